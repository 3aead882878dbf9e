"""From the segments of one video to a class for every frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from g2l.config import DataConfig
from g2l.datasets.convert.segments import Segment
from g2l.datasets.errors import DataError, DataWarning

TOLERANCE = DataConfig.length_tolerance
"""Frames by which segments may reach beyond the features: as many as labels may when a data set is read."""


@dataclass(frozen=True)
class Timeline:
    """All frames of a video in order.

    Attributes:
        runs: Class name and number of frames; where every frame is labelled they may end a little before the
            features do.
        filled: Frames that no segment covers.
    """

    runs: tuple[tuple[str, int], ...]
    filled: int


def make_timeline(
    table: Path,
    segments: Sequence[Segment],
    num_frames: int,
    background: str | None,
    issues: list[DataError],
    tolerance: int = TOLERANCE,
) -> Timeline:
    """Return the classes of all frames, appending what is wrong with the segments to `issues`.

    Args:
        table: File to name in issues.
        segments: Of one video, in any order.
        num_frames: T.
        background: Class of the frames that no segment covers; None: segments come from labels of every
            frame, and none is filled in.
        issues: Added to: segments that overlap, or end more than `tolerance` frames after the features (both
            errors), or end after them at all (a warning; they are clipped). Without a background also labels
            that end before the features do.
        tolerance: Frames by which labels may be longer or shorter than the features.
    """
    ordered = sorted(segments, key=lambda segment: (segment.start, segment.line))
    _check_overlaps(table, ordered, issues)
    _check_ends(table, ordered, num_frames, issues, tolerance)
    runs: list[tuple[str, int]] = []
    covered = filled = 0
    for segment in ordered:
        start, end = min(segment.start, num_frames), min(segment.end, num_frames)
        if start > covered and background is not None:
            runs.append((background, start - covered))
            filled += start - covered
        if end > start:
            runs.append((segment.label, end - start))
        covered = max(covered, end)
    if background is None:
        _check_last(table, covered, num_frames, issues, tolerance)
    elif num_frames > covered:
        runs.append((background, num_frames - covered))
        filled += num_frames - covered
    return Timeline(tuple(runs), filled)


def _check_overlaps(table: Path, ordered: Sequence[Segment], issues: list[DataError]) -> None:
    longest: Segment | None = None
    for segment in ordered:
        if longest is not None and segment.start < longest.end:
            message = (
                f"segments must not overlap, but {segment.label!r} starts at frame {segment.start}, before "
                f"{longest.label!r} of line {longest.line} ends ({longest.end})."
            )
            issues.append(DataError(table, segment.line, message))
        if longest is None or segment.end > longest.end:
            longest = segment


def _check_ends(
    table: Path, ordered: Sequence[Segment], num_frames: int, issues: list[DataError], tolerance: int
) -> None:
    for segment in ordered:
        if segment.end <= num_frames:
            continue
        message = f"{segment.label!r} ends at frame {segment.end}, but the video has {num_frames} frames"
        if segment.end > num_frames + tolerance:
            message += f"; a segment may end at most {tolerance} frames later."
            issues.append(
                DataError(
                    table,
                    segment.line,
                    message,
                    hint="--fps and --label-fps give the rates of features and labels.",
                )
            )
        else:
            lost = "is left out" if segment.start >= num_frames else "is clipped"
            issues.append(DataWarning(table, segment.line, f"{message}: it {lost}."))


def _check_last(table: Path, covered: int, num_frames: int, issues: list[DataError], tolerance: int) -> None:
    if covered >= num_frames:
        return
    message = f"has labels of {covered} frames, but the video has {num_frames} frames"
    if num_frames - covered > tolerance:
        message += f"; they may differ by at most {tolerance}."
        hint = "--label-fps tells another rate of the labels, --length-tolerance allows more."
        issues.append(DataError(table, None, message, hint=hint))
    else:
        issues.append(DataWarning(table, None, f"{message}; the first {covered} are used."))
