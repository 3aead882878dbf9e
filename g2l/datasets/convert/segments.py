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
_NUMBER = re.compile(r"\d{1,15}(?:[.,]\d{1,15})?(?:[eE][+-]?\d{1,2})?", re.ASCII)


class Unit(Enum):
    """What a time counts, by how many there are in a second; frames of labels have the rate of the labels."""

    FRAMES = None
    SECONDS = 1
    MILLISECONDS = 1000


@dataclass(frozen=True)
class Clock:
    """How times of labels become frames of the features.

    Attributes:
        fps: Rate of the features, or None when it is not known.
        label_fps: Rate at which labels count frames, or None: that of the features.
        offset: Seconds to add to each time.
    """

    fps: float | None = None
    label_fps: float | None = None
    offset: float = 0.0

    def require(self, path: Path, unit: Unit) -> None:
        """Check that times in `unit` can be converted.

        Raises:
            DataError: They need the rate of the features, which is not known.
        """
        needs = unit is not Unit.FRAMES or self.label_fps is not None or self.offset
        if self.fps is None and needs:
            what = (
                f"times are in {unit.name.lower()}"
                if unit is not Unit.FRAMES
                else "times are shifted or scaled"
            )
            hint = "give --fps, the frames per second of the features."
            raise DataError(path, None, f"{what}, and the frame rate of the features is unknown.", hint=hint)

    def frame(self, time: float, unit: Unit) -> int:
        """Return the frame of the features at `time`; halves go up, so that neighbours stay together."""
        if unit is not Unit.FRAMES:
            time *= (self.fps or 1) / unit.value
        elif self.label_fps is not None:
            time *= (self.fps or 1) / self.label_fps
        return math.floor(time + self.offset * (self.fps or 1) + 0.5)


@dataclass(frozen=True)
class Segment:
    """A run of frames of one class.

    Attributes:
        line: Where it is in its file, 1-based.
        label: Class name.
        start: First frame.
        end: Frame after the last.
    """

    line: int
    label: str
    start: int
    end: int


@dataclass
class SegmentTable:
    """The segments that are valid by themselves.

    Attributes:
        path: The file, or the folder of files.
        clock: How times become frames.
        segments: Of each video, in the order of the rows.
        mentions: The first line of each video that has a row, valid or not.
        files: The file of each video that has one of its own.
        whole: Videos of which each frame was given a label, so that none may be filled in.
        left_out: Segments that lasted less than a frame.
        label_frames: Frames of the labels, at their own rate.
    """

    path: Path
    clock: Clock = field(default_factory=Clock)
    segments: dict[str, list[Segment]] = field(default_factory=dict)
    mentions: dict[str, int] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    left_out: int = 0
    label_frames: int = 0

    def file(self, video: str) -> Path:
        """Return the file that holds the segments of a video."""
        return self.files.get(video, self.path)

    def mention(self, video: str, line: int, path: Path | None = None) -> list[Segment]:
        """Note that a video is there, and return its segments, to be added to."""
        self.mentions.setdefault(video, line)
        if path is not None:
            self.files[video] = path
        return self.segments.setdefault(video, [])

    def add(
        self,
        video: str,
        line: int,
        label: str,
        times: tuple[float, float],
        unit: Unit,
        issues: list[DataError],
    ) -> None:
        """Add a segment, or an issue where it has no class name, no length or starts too early."""
        path, (first, last) = self.file(video), times
        if reason := label_error(label):
            self.mentions.setdefault(video, line)
            issues.append(DataError(path, line, f"expected a class name, but {brief(repr(label))} {reason}."))
            return
        if last <= first:
            self.mentions.setdefault(video, line)
            message = f"{label!r} must end after it starts, but starts at {first:g} and ends at {last:g}."
            issues.append(DataError(path, line, message))
            return
        self.label_frames += round(last - first) if unit is Unit.FRAMES else 0
        start, end = (self.clock.frame(time, unit) for time in times)
        if start < 0:
            message = f"{label!r} starts {-start} frames before the features: it is clipped."
            issues.append(DataWarning(path, line, message))
        if max(start, 0) < end:
            self.mention(video, line).append(Segment(line, label, max(start, 0), end))
            return
        self.left_out += 1
        if end > 0 and video not in self.whole:
            message = (
                f"{label!r} lasts less than a frame at {self.clock.fps} frames per second and is left out."
            )
            issues.append(DataWarning(path, line, message))

    def add_every_frame(self, video: str, path: Path, labels: Sequence[str], issues: list[DataError]) -> None:
        """Add the labels of all frames of a video; the line of a segment is that of its first frame."""
        self.mention(video, 1, path)
        self.whole.add(video)
        frame = 0
        for label, run in groupby(labels):
            end = frame + sum(1 for _ in run)
            self.add(video, frame + 1, label, (frame, end), Unit.FRAMES, issues)
            frame = end
        if self.clock.offset:  # frames before or after the labels are then of the background
            self.whole.discard(video)


def choose_tier(path: Path, counts: dict[str, int], tier: str | None) -> str:
    """Return the tier to read: `tier`, or the only one that has annotations.

    Args:
        path: To name in errors.
        counts: Annotations of each tier.
        tier: What was asked for, or None.

    Raises:
        DataError: There is no such tier, or there are several with annotations, or none.
    """
    shown = ", ".join(f"{name!r} with {count} annotations" for name, count in counts.items()) or "none"
    if tier is not None:
        if tier in counts:
            return tier
        message = f"expected a tier {tier!r}, but its tiers are {shown}."
        raise DataError(path, None, message, hint=did_you_mean(tier, list(counts)))
    filled = [name for name, count in counts.items() if count]
    if len(filled) == 1:
        return filled[0]
    if not filled:
        raise DataError(path, None, f"expected annotations, but its tiers are {shown}.")
    hint = f"--tier chooses one, such as --tier {filled[0]!r}."
    raise DataError(path, None, f"expected one tier, but found {shown}.", hint=hint)


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


@dataclass(frozen=True)
class LabelSettings:
    """How labels are read.

    Attributes:
        clock: How times become frames.
        tier: Tier to take of files that have several, or None.
        seconds: Whether plain times are seconds: a frame rate was given, and no rate of the labels.
        videos: Names of the videos that have features.
        classes: Names of the classes by number, or None.
    """

    clock: Clock
    tier: str | None = None
    seconds: bool = False
    videos: Collection[str] = ()
    classes: Sequence[str] | None = None
