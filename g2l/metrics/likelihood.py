"""How probable a network finds the truth: the one metric here that sees more than the most probable class."""

from __future__ import annotations

import math

LIKELIHOOD = "likelihood"
"""Name of the metric, which only a network has: files of labels hold no probabilities."""


def likelihood(cross_entropy: float, frames: int) -> float:
    """Return the geometric mean of the probabilities given to the true classes, in percent.

    It is 100·exp(−mean cross-entropy); higher is better, 100 / C is what uniform guessing has. Changes by a
    training step move it a little, where segment scores stand still or jump.

    Args:
        cross_entropy: Sum over the frames of −log probability of the true class, in nats.
        frames: Their number; without any the result is 0.
    """
    return 100 * math.exp(-cross_entropy / frames) if frames else 0.0
