"""How many epochs are best: the maximum of the smoothed hold-out curve.

A score jumps by one or two points from epoch to epoch. The maximum of the raw curve is mostly the luckiest of
many epochs; that of a moving mean is the middle of the best stretch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from g2l.errors import InputError

RISING = 1.0
"""Points that the last third of a curve must add for more epochs to be worth trying."""


def smoothed(curve: Sequence[float]) -> list[float]:
    """Return the moving mean of a curve over a tenth of it on either side, less of it near the ends."""
    reach = len(curve) // 10
    windows = [curve[max(0, epoch - reach) : epoch + reach + 1] for epoch in range(len(curve))]
    return [math.fsum(window) / len(window) for window in windows]


def best_length(curves: Sequence[Sequence[float]]) -> int:
    """Return the number of epochs, from 1, at which the smoothed mean of the trainings' curves is highest.

    Of equals the earlier epoch wins. InputError if there is no curve, or they differ in length.
    """
    if not curves or not curves[0] or len({len(curve) for curve in curves}) > 1:
        raise InputError("`curves` must hold at least one score each, and as many in each, but do not.")
    means = smoothed([math.fsum(scores) / len(scores) for scores in zip(*curves, strict=True)])
    return max(range(len(means)), key=means.__getitem__) + 1


def still_rising(curve: Sequence[float]) -> bool:
    """Return whether more epochs are likely to be better: a smoothed curve is best near its end."""
    best = max(range(len(curve)), key=curve.__getitem__) + 1
    return curve[-1] - curve[len(curve) * 2 // 3 - 1] > RISING and best > 0.9 * len(curve)
