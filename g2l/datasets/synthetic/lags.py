"""Signals with planted lags: the right dilation rates are known, so a search can be checked against them.

Per lag L there is one smooth signal s, and one bit of the class, which is 1 where s(t − L) + s(t + L) > 0. A
layer of kernel 3 and rate L computes that sum; a network needs one layer per lag. The signals are zero
outside the video, as a padded convolution sees them. They are smooth over about L / 4 frames, so that a rate
near L already sees much of the sum, and a local search feels which way to go.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from g2l.datasets.synthetic.content import (
    MIN_VIDEOS,
    Signal,
    SyntheticDataset,
    SyntheticVideo,
    check_sizes,
    smooth_noise,
    subject_splits,
    video_names,
)
from g2l.errors import InputError

MAX_LAGS = 6
"""Of one data set: 2^6 classes."""
FRAMES_PER_LAG = 4
"""Videos are at least this many times as long as the largest lag, so that most frames see both ends."""
SMOOTHNESS = 1 / 6
"""Width of the smoothing in lags: the autocorrelation falls to 0.57 at a quarter of the lag."""
WHITE_NOISE = 0.1


def lags(
    generator: np.random.Generator,
    planted: Sequence[int] = (41,),
    *,
    videos: int = 24,
    frames: int = 400,
    feature_dim: int = 8,
) -> SyntheticDataset:
    """Return a data set with 2^n classes for n planted lags.

    Args:
        generator: Source of randomness.
        planted: Lags in frames, all different.
        videos: Number of videos, six subjects taking turns.
        frames: Mean T; videos have 0.75 to 1.25 times as many.
        feature_dim: D; the signals and as many others as fit are mixed into all features.

    Raises:
        InputError: A size is too small, or the lags are not 1 to `MAX_LAGS` different integers >= 1.
    """
    if not 1 <= len(planted) <= MAX_LAGS or len(set(planted)) < len(planted) or min(planted) < 1:
        raise InputError(
            f"`lags` must be 1 to {MAX_LAGS} different integers >= 1, but is {list(planted)} instead."
        )
    check_sizes(
        videos=(videos, MIN_VIDEOS),
        frames=(frames, FRAMES_PER_LAG * max(planted)),
        feature_dim=(feature_dim, len(planted)),
    )
    # An orthonormal mixture: no feature shows a signal by itself, one 1x1 convolution recovers all.
    mixture, _ = np.linalg.qr(generator.standard_normal((feature_dim, feature_dim)))
    names = video_names("Lags", videos)
    made = []
    for name in names:
        length = round(frames * generator.uniform(0.75, 1.25))
        signals = _draw_signals(generator, planted, feature_dim, length)
        bits = [lagged_sum(signals[row], lag) > 0 for row, lag in enumerate(planted)]
        labels = sum((bit.astype(np.int64) << row for row, bit in enumerate(bits)), np.int64(0))
        features = mixture @ signals + WHITE_NOISE * generator.standard_normal(signals.shape)
        made.append(SyntheticVideo(name, features.astype(np.float32), np.asarray(labels)))
    return SyntheticDataset(_class_names(planted), tuple(made), subject_splits(names))


def lagged_sum(signal: Signal, lag: int) -> Signal:
    """Return s(t − lag) + s(t + lag) for every frame of a signal (T,) that is zero outside it."""
    padded = np.pad(signal, lag)
    total: Signal = padded[: len(signal)] + padded[2 * lag :]
    return total


def _draw_signals(
    generator: np.random.Generator, planted: Sequence[int], feature_dim: int, length: int
) -> Signal:
    """Return the signal of each lag, then distracting ones as smooth as the first, (D, T)."""
    smoothness = [*planted, *[planted[0]] * (feature_dim - len(planted))]
    return np.concatenate([smooth_noise(generator, 1, length, SMOOTHNESS * lag) for lag in smoothness])


def _class_names(planted: Sequence[int]) -> tuple[str, ...]:
    """Return names such as `lag41_high-lag7_low`, in index order; the first lag is the lowest bit."""
    return tuple(
        "-".join(f"lag{lag}_{'high' if index >> row & 1 else 'low'}" for row, lag in enumerate(planted))
        for index in range(2 ** len(planted))
    )
