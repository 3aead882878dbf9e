"""Times of segments as annotation files count them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from g2l.inference.segment_rows import SegmentRow


def bounds(rows: Sequence[SegmentRow]) -> Iterator[tuple[int, int]]:
    """Yield start and end of each segment in milliseconds; one ends where the next begins.

    Raises:
        ValueError: The frame rate is unknown.
    """
    for row in rows:
        if row.start_s is None or row.end_s is None:
            raise ValueError(f"{row.video}: without a frame rate there are no milliseconds")
        yield round(1000 * row.start_s), round(1000 * row.end_s)
