"""Edit score: how well the order of the segments is predicted, whatever their lengths (METHOD, section 5)."""

from __future__ import annotations

from g2l.metrics.frames import LabelArray, percentage
from g2l.metrics.segments import Segments


def edit_score(predicted: Segments, truth: Segments) -> float:
    """Return 100 · (1 − distance / number of segments of the longer side) for one video.

    Two empty sides agree (100); one empty side has nothing right (0).

    Args:
        predicted: Predicted segments, background dropped.
        truth: True segments, background dropped.
    """
    longest = max(len(predicted), len(truth))
    if longest == 0:
        return 100.0
    return percentage(longest - levenshtein(predicted.labels, truth.labels), longest)


def levenshtein(first: LabelArray, second: LabelArray) -> int:
    """Return the least number of insertions, deletions and substitutions between two sequences.

    Bit-parallel dynamic programming (Myers, J. ACM 1999, in the form of Hyyrö, 2003). A column of
    the distance table runs along the longer sequence and is kept as the differences of neighbouring
    cells, which are −1, 0 or +1: one Python integer has a bit for each +1 and another for each −1,
    so that a whole column takes a dozen integer operations.

    Args:
        first: Class indices, (N,).
        second: Class indices, (M,).
    """
    short, long = sorted((first.tolist(), second.tolist()), key=len)
    everywhere = (1 << len(long)) - 1
    matches: dict[int, int] = {}
    for position, label in enumerate(long):
        matches[label] = matches.get(label, 0) | 1 << position
    rises, falls = everywhere, 0
    for label in short:
        match = matches.get(label, 0)
        # Cells equal to their upper left neighbour; the carry of the sum follows runs of rises.
        unchanged = (((match & rises) + rises) ^ rises) | match | falls
        # From the column before to this one, moved down a cell; the top row always rises by one.
        right_rises = (falls | (everywhere & ~(unchanged | rises))) << 1 | 1
        right_falls = (rises & unchanged) << 1
        rises = (right_falls | ~(unchanged | right_rises)) & everywhere
        falls = right_rises & unchanged & everywhere
    return len(short) + rises.bit_count() - falls.bit_count()
