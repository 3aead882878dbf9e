"""SRT: subtitles that players show over the video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from g2l.files import write_text
from g2l.inference.formats.milliseconds import bounds
from g2l.inference.segment_rows import SegmentRow


def write_srt(path: Path, video: str, rows: Sequence[SegmentRow], fps: float | None) -> None:
    """Write one subtitle per segment, atomically: the class name.

    Players know no way to escape in this format and show what is no tag of theirs as it stands, so names are
    left as they are; only a line break, after which a blank line would end the subtitle, becomes a space.

    Args:
        path: Ends in `.srt`.
        video: Its name; the file does not hold it.
        rows: Its segments in order of time.
        fps: Frames per second.
    """
    cues = (
        f"{number}\n{_clock(start)} --> {_clock(end)}\n{' '.join(row.label.split())}\n\n"
        for number, (row, (start, end)) in enumerate(zip(rows, bounds(rows), strict=True), start=1)
    )
    write_text(path, "".join(cues))


def _clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},{rest:03}"
