"""JSON: what scripts read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from g2l.files import write_json
from g2l.inference.segment_rows import SegmentRow

SCHEMA = "g2l.segments/1"


def write_json_segments(path: Path, video: str, rows: Sequence[SegmentRow], fps: float | None) -> None:
    """Write the segments of one video as one JSON object, atomically.

    Args:
        path: Ends in `.json`.
        video: Its name.
        rows: Its segments in order of time; they cover it.
        fps: Frames per second, or None: seconds are null then.
    """
    segments = [
        {
            "label": row.label,
            "start_frame": row.start_frame,
            "end_frame": row.end_frame,
            "start_s": _rounded(row.start_s, 3),
            "end_s": _rounded(row.end_s, 3),
            "confidence": round(row.confidence, 4),
            "entropy": round(row.entropy, 4),
        }
        for row in rows
    ]
    frames = rows[-1].end_frame if rows else 0
    write_json(path, {"schema": SCHEMA, "video": video, "fps": fps, "frames": frames, "segments": segments})


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
