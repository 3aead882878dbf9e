"""The smoothing that settings ask for, ready to be applied to one video after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from g2l.datasets.labels import Labels, log_probabilities
from g2l.errors import InputError
from g2l.inference.smoothing.median import filter_median
from g2l.inference.smoothing.min_duration import remove_short
from g2l.inference.smoothing.settings import Smoothing, SmoothingKind
from g2l.inference.smoothing.viterbi import Viterbi
from g2l.models.metadata import ModelMetadata

Smoother: TypeAlias = Callable[[Labels, npt.NDArray[np.floating]], Labels]
"""(most probable class (T,), class probabilities (C, T)) -> smoothed class (T,), of a whole video."""


def make_smoother(settings: Smoothing, metadata: ModelMetadata, fps: float | None) -> Smoother | None:
    """Return what smooths the labels of a model, or None where nothing is to be smoothed.

    Args:
        settings: Which smoothing.
        metadata: Of the model: its sample rate, and the transitions that Viterbi needs.
        fps: Frames per second of the feature files, or None.

    Raises:
        InputError: A setting is out of range, seconds cannot be counted in frames, or the model does not
            hold transitions.
    """
    settings.validate()
    if settings.kind is SmoothingKind.VITERBI:
        return _viterbi(metadata, settings.weight)
    if settings.duration is None:
        return None
    frames = settings.duration.frames(fps)
    if settings.kind is SmoothingKind.MEDIAN:
        return lambda labels, _: filter_median(labels, frames)
    return lambda labels, _: remove_short(labels, frames)


def _viterbi(metadata: ModelMetadata, weight: float) -> Smoother:
    if metadata.transitions is None:
        raise InputError(
            "smoothing by viterbi needs the transitions between classes, which this model does not hold.",
            hint="train it anew, or smooth by min-duration or median.",
        )
    transitions = weight * log_probabilities(metadata.transitions, len(metadata.classes))
    rate = metadata.sample_rate

    def smooth(labels: Labels, probabilities: npt.NDArray[np.floating]) -> Labels:
        viterbi = Viterbi(transitions)
        viterbi.add(probabilities[:, ::rate])  # the transitions are between frames that the network sees
        return viterbi.finish().repeat(rate)[: len(labels)]

    return smooth
