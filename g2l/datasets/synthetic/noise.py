"""Random signals over frames."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Signal = npt.NDArray[np.float64]


def autoregressive_noise(
    generator: np.random.Generator, rows: int, frames: int, correlation: float
) -> Signal:
    """Return AR(1) noise of unit variance from the first frame on, (rows, frames).

    Args:
        generator: Source of randomness.
        rows: Independent signals.
        frames: Length.
        correlation: Of neighbouring frames, in [0, 1).
    """
    noise = generator.standard_normal((rows, frames))
    noise[:, 1:] *= np.sqrt(1 - correlation**2)
    for frame in range(1, frames):
        noise[:, frame] += correlation * noise[:, frame - 1]
    return noise


def smooth_noise(generator: np.random.Generator, rows: int, frames: int, width: float) -> Signal:
    """Return white noise smoothed by a Gaussian, rescaled to unit variance, (rows, frames).

    Args:
        generator: Source of randomness.
        rows: Independent signals.
        frames: Length.
        width: Standard deviation of the Gaussian in frames; the autocorrelation is exp(−τ² / 4·width²).
    """
    reach = int(np.ceil(4 * width))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    kernel /= np.sqrt(np.sum(kernel**2))
    white = generator.standard_normal((rows, frames + 2 * reach))
    return np.stack([np.convolve(row, kernel, mode="valid") for row in white])
