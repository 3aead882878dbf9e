"""The formats by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from pathlib import Path

from g2l.errors import InputError
from g2l.inference.formats.eaf import write_eaf
from g2l.inference.formats.json_segments import write_json_segments
from g2l.inference.formats.srt import write_srt
from g2l.inference.frame_names import check_recognition_names, write_recognition
from g2l.inference.segment_rows import SegmentRow


class Format(StrEnum):
    """What segments can be written as."""

    CSV = "csv"
    """`segments.csv`, one table of all videos, which is always written."""
    JSON = "json"
    """`<video>.json`."""
    MSTCN = "mstcn"
    """`<video>`, as the evaluation scripts of MS-TCN and G2L read it."""
    EAF = "eaf"
    """`<video>.eaf` for ELAN."""
    SRT = "srt"
    """`<video>.srt`, subtitles."""


Write = Callable[[Path, str, Sequence[SegmentRow], float | None], None]
"""(path, name of the video, its segments, frames per second): writes a file atomically."""

WRITERS: dict[Format, tuple[str, Write]] = {
    Format.JSON: (".json", write_json_segments),
    Format.MSTCN: ("", lambda path, video, rows, fps: write_recognition(path, rows)),
    Format.EAF: (".eaf", write_eaf),
    Format.SRT: (".srt", write_srt),
}
"""Suffix and writer of each format that has a file per video."""

_TIMED = (Format.EAF, Format.SRT)


def check_formats(formats: Collection[Format], classes: Sequence[str], fps: float | None) -> None:
    """Return if all formats can be written; to be asked before hours of predicting.

    Args:
        formats: Those asked for.
        classes: All class names.
        fps: Frames per second, or None.

    Raises:
        InputError: A format counts time, but the frame rate is unknown, or a class name does not fit one.
    """
    for each in _TIMED:
        if each in formats and fps is None:
            raise InputError(
                f"format {each} counts time, but the model does not know the frame rate.", hint="give --fps."
            )
    if Format.MSTCN in formats:
        check_recognition_names(classes)
