"""Minimum duration: segments that are too short go to their neighbours."""

from __future__ import annotations

import heapq

import numpy as np

from g2l.datasets.labels import Labels
from g2l.metrics.segments import segments


def remove_short(labels: Labels, frames: int) -> Labels:
    """Return labels without segments of fewer than `frames` frames, unless one is all there is.

    The shortest segment goes first, the earlier one of equals. It falls to its longer neighbour, the earlier
    one of equals; what then meets with the same label is one segment. So on until none is too short.

    Args:
        labels: Class of every frame, (T,).
        frames: Least length that stays.
    """
    found = segments(labels)
    nobody = len(found)  # the neighbour of the first and of the last segment
    lengths, classes = [*(found.ends - found.starts).tolist(), 0], [*found.labels.tolist(), -1]
    before, after = [nobody, *range(nobody)], [*range(1, nobody + 1), nobody]

    def absorb(number: int, heir: int) -> None:
        lengths[heir] += lengths[number]
        lengths[number] = 0
        after[before[number]], before[after[number]] = after[number], before[number]

    waiting = [(length, number) for number, length in enumerate(lengths) if 0 < length < frames]
    heapq.heapify(waiting)
    while waiting:
        length, number = heapq.heappop(waiting)
        if lengths[number] != length:  # absorbed, or grown meanwhile
            continue
        left, right = before[number], after[number]
        heir, other = (left, right) if lengths[left] >= lengths[right] else (right, left)
        if heir == nobody:
            break
        absorb(number, heir)
        if classes[other] == classes[heir]:
            absorb(other, heir)
        if lengths[heir] < frames:
            heapq.heappush(waiting, (lengths[heir], heir))
    return np.repeat(found.labels, lengths[:nobody])
