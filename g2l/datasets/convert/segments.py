"""Segments of videos in frames of the features, whatever unit, rate and origin the labels have."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import groupby
from pathlib import Path

from g2l.datasets.errors import DataError, DataWarning
from g2l.errors import brief, did_you_mean

LABEL_FORMATS = (
    "a table of segments (.csv, .tsv or .txt with video, label, start and end, or an export of ELAN or "
    "BORIS), an .eaf file, or a folder with a file for each video: .eaf, a table, or .txt with a class, "
    "`1-30 class` or `start end class` a line"
)
_CLOCK = re.compile(r"(?:(\d{1,6}):)?(\d{1,6}):(\d{1,2}(?:[.,]\d{1,9})?)", re.ASCII)
_LAST = 2**53
"""Frames beyond are not told apart: later times count as this one."""
_NUMBER = re.compile(r"\d{1,15}(?:[.,]\d{1,15})?(?:[eE][+-]?\d{1,2})?", re.ASCII)


class Unit(Enum):
    """Units of a time, by their number per second; frames of labels have the rate of the labels."""

    FRAMES = None
    SECONDS = 1
    MILLISECONDS = 1000


@dataclass(frozen=True)
class LabelSettings:
    """How labels are read, and how their times become frames of the features."""

    fps: float | None = None  # of the features, where it is known
    label_fps: float | None = None  # rate at which labels count frames; None is that of the features
    offset: float = 0.0  # seconds to add to each time
    tier: str | None = None  # to read from files that have several
    seconds: bool = False  # plain times are seconds: a frame rate was given, and no rate of the labels
    videos: Collection[str] = ()  # those that have features
    classes: Sequence[str] | None = None  # names by number

    def require(self, path: Path, unit: Unit) -> None:
        """Raise DataError if times in `unit` need the rate of the features, and it is unknown."""
        shifted = self.label_fps is not None or self.offset
        if self.fps is None and (unit is not Unit.FRAMES or shifted):
            what = "shifted or scaled" if unit is Unit.FRAMES else f"in {unit.name.lower()}"
            message = f"times are {what}, and the frame rate of the features is unknown."
            raise DataError(path, None, message, hint="give --fps, the frames per second of the features.")

    def frame(self, time: float, unit: Unit) -> int:
        """Return the frame of the features at `time`; halves go up, so that neighbours stay together."""
        fps = self.fps or 1
        if unit is not Unit.FRAMES:
            time *= fps / unit.value
        elif self.label_fps is not None:
            time *= fps / self.label_fps
        frame = time + self.offset * fps + 0.5
        return math.floor(frame) if abs(frame) < _LAST else round(math.copysign(_LAST, frame))


@dataclass(frozen=True)
class Segment:
    """A run of frames [start, end) of one class; `line` is its 1-based line in the file of labels."""

    line: int
    label: str
    start: int
    end: int


@dataclass
class SegmentTable:
    """The valid segments of all videos, and the issues of the others."""

    path: Path
    settings: LabelSettings = field(default_factory=LabelSettings)
    issues: list[DataError] = field(default_factory=list)
    segments: dict[str, list[Segment]] = field(default_factory=dict)
    mentions: dict[str, int] = field(default_factory=dict)  # first line of each video, valid or not
    files: dict[str, Path] = field(default_factory=dict)  # of videos that have one of their own
    whole: set[str] = field(default_factory=set)  # videos of which each frame has a label
    left_out: int = 0  # segments that lasted less than a frame
    label_frames: int = 0  # frames of the labels, at their own rate

    def file(self, video: str) -> Path:
        """Return the file of labels of a video."""
        return self.files.get(video, self.path)

    def error(self, path: Path, line: int | None, reason: str, *, hint: str | None = None) -> None:
        """Add an error."""
        self.issues.append(DataError(path, line, reason, hint=hint))

    def warn(self, path: Path, line: int | None, reason: str) -> None:
        """Add a warning."""
        self.issues.append(DataWarning(path, line, reason))

    def mention(self, video: str, line: int, path: Path | None = None) -> list[Segment]:
        """Note that a video occurs, and return its segments, to be added to."""
        self.mentions.setdefault(video, line)
        if path is not None:
            self.files[video] = path
        return self.segments.setdefault(video, [])

    def add(self, video: str, line: int, label: str, times: tuple[float, float], unit: Unit) -> None:
        """Add a segment, or an issue where it has no class name, no length or starts too early."""
        path, (first, last) = self.file(video), times
        message = None
        if reason := label_error(label):
            message = f"expected a class name, but {brief(repr(label))} {reason}."
        elif last < first or (last == first and unit is Unit.FRAMES):
            message = f"{label!r} must end after it starts, but starts at {first:g} and ends at {last:g}."
        if message:
            self.mentions.setdefault(video, line)
            return self.error(path, line, message)
        self.label_frames += round(last - first) if unit is Unit.FRAMES else 0
        start, end = (self.settings.frame(time, unit) for time in times)
        if start < 0:
            self.warn(path, line, f"{label!r} starts {-start} frames before the features: it is clipped.")
        if max(start, 0) < end:
            return self.mention(video, line).append(Segment(line, label, max(start, 0), end))
        self.left_out += 1
        if end > 0 and video not in self.whole:
            rate = f"{self.settings.fps} frames per second"
            self.warn(path, line, f"{label!r} lasts less than a frame at {rate} and is left out.")
        return None

    def add_every_frame(self, video: str, path: Path, labels: Sequence[str]) -> None:
        """Add the labels of all frames of a video; the line of a segment is that of its first frame."""
        self.mention(video, 1, path)
        self.whole.add(video)
        frame = 0
        for label, run in groupby(labels):
            end = frame + sum(1 for _ in run)
            self.add(video, frame + 1, label, (frame, end), Unit.FRAMES)
            frame = end
        if self.settings.offset:  # frames before or after the labels are then of the background
            self.whole.discard(video)

    def choose_tier(self, path: Path, counts: dict[str, int]) -> str:
        """Return the requested tier, or the only one with annotations (`counts`), or raise DataError."""
        tier = self.settings.tier
        shown = ", ".join(f"{name!r} with {count} annotations" for name, count in counts.items()) or "none"
        if tier is not None:
            if tier in counts:
                return tier
            message = f"expected a tier {tier!r}, but its tiers are {shown}."
            raise DataError(path, None, message, hint=did_you_mean(tier, list(counts)))
        filled = [name for name, count in counts.items() if count]
        if not filled:
            raise DataError(path, None, f"expected annotations, but its tiers are {shown}.")
        if len(filled) > 1:
            hint = f"--tier chooses one, such as --tier {filled[0]!r}."
            raise DataError(path, None, f"expected one tier, but found {shown}.", hint=hint)
        return filled[0]

    def timeline(
        self, video: str, num_frames: int, background: str, tolerance: int
    ) -> tuple[list[tuple[str, int]], int]:
        """Return class and number of frames of each run, and the number of frames that no segment covers.

        Overlaps and ends more than `tolerance` frames after the features are errors. Where every frame has a
        label, none is added: the runs may end up to `tolerance` frames before the features.
        """
        path, whole = self.file(video), video in self.whole
        ordered = sorted(self.segments[video], key=lambda segment: (segment.start, segment.line))
        longest: Segment | None = None
        runs: list[tuple[str, int]] = []
        covered = filled = 0

        def fill(until: int) -> int:
            if whole or until <= covered:
                return 0
            runs.append((background, until - covered))
            return until - covered

        for segment in ordered:
            if longest is not None and segment.start < longest.end:
                message = (
                    f"segments must not overlap, but {segment.label!r} starts at frame {segment.start}, "
                    f"before {longest.label!r} of line {longest.line} ends ({longest.end})."
                )
                self.error(path, segment.line, message)
            longest = segment if longest is None or segment.end > longest.end else longest
            start, end = min(segment.start, num_frames), min(segment.end, num_frames)
            filled += fill(start)
            if end > start:
                runs.append((segment.label, end - start))
            covered = max(covered, end)
        for segment in ordered:
            self._check_end(path, segment, num_frames, tolerance)
        filled += fill(num_frames)
        if whole and covered < num_frames:
            message = f"has labels of {covered} frames, but the video has {num_frames} frames"
            if num_frames - covered <= tolerance:
                self.warn(path, None, f"{message}; the first {covered} are used.")
            else:
                hint = "--label-fps sets another rate of the labels, --length-tolerance allows more."
                if 2 * covered < num_frames:
                    hint = f"each line was read as the class of a frame; labels can be {LABEL_FORMATS}."
                self.error(path, None, f"{message}; they may differ by at most {tolerance}.", hint=hint)
        return runs, filled

    def _check_end(self, path: Path, segment: Segment, num_frames: int, tolerance: int) -> None:
        message = f"{segment.label!r} ends at frame {segment.end}, but the video has {num_frames} frames"
        if segment.end > num_frames + tolerance:
            hint = "--fps and --label-fps give the rates of features and labels."
            message += f"; a segment may end at most {tolerance} frames later."
            self.error(path, segment.line, message, hint=hint)
        elif segment.end > num_frames:
            lost = "is left out" if segment.start >= num_frames else "is clipped"
            self.warn(path, segment.line, f"{message}: it {lost}.")


def parse_time(text: str, unit: Unit) -> tuple[float, Unit] | None:
    """Return a time and its unit, or None; `hh:mm:ss.ms` and `mm:ss` are seconds in any column."""
    text = text.strip()
    if match := _CLOCK.fullmatch(text):
        hours, minutes, seconds = (float((part or "0").replace(",", ".")) for part in match.groups())
        return (3600 * hours + 60 * minutes + seconds, Unit.SECONDS) if seconds < 60 else None
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text.replace(",", "."))
    return None if unit is Unit.FRAMES and not value.is_integer() else (value, unit)


def label_error(label: str) -> str | None:
    """Return why `label` cannot be a class name in `mapping.txt`, or None when it can."""
    if not label.strip():
        return "is empty"
    categories = {unicodedata.category(character) for character in label}
    if "\n" in label or categories & {"Zl", "Zp"}:
        return "holds a line break"
    return "holds a control character" if "Cc" in categories else None
