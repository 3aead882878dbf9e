"""Smoothing of labels: median, minimum duration and Viterbi."""

from __future__ import annotations

import heapq
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from g2l.datasets.labels import Labels, log_probabilities
from g2l.errors import InputError
from g2l.metrics.segments import segments
from g2l.models.metadata import ModelMetadata

Smoother: TypeAlias = Callable[[Labels, npt.NDArray[np.floating]], Labels]
"""(most probable class (T,), class probabilities (C, T)) -> smoothed class (T,), of a whole video."""
_LONGEST = 2**31
_BLOCK = 8192
"""Frames whose logarithms are taken at a time."""


class SmoothingKind(StrEnum):
    """How labels are smoothed."""

    NONE = "none"
    """The most probable class of every frame."""
    MIN_DURATION = "min-duration"
    """Segments that are too short go to their neighbours."""
    MEDIAN = "median"
    """Each frame takes the label that most frames around it have."""
    VITERBI = "viterbi"
    """The most probable sequence, given how often training saw one class follow another."""


@dataclass(frozen=True, kw_only=True)
class Smoothing:
    """How labels are smoothed, with the one parameter that each kind has."""

    kind: SmoothingKind = SmoothingKind.NONE
    duration: str | None = None
    """Of the shortest segment (`min-duration`) or the window (`median`): `15` frames or `0.5s`."""
    weight: float = 1.0
    """How much the logarithms of the transitions count beside the network (`viterbi`)."""

    def validate(self) -> Smoothing:
        """Return self; InputError if the duration does not belong to the kind, or a value is out of range."""
        timed = self.kind in (SmoothingKind.MIN_DURATION, SmoothingKind.MEDIAN)
        if timed != (self.duration is not None):
            need = "must be given" if timed else "must be left out"
            raise InputError(f"`duration` {need} for smoothing by {self.kind}.")
        if timed:
            self.frames(1.0)
        if not 0 <= self.weight < math.inf:
            raise InputError(f"`weight` must be >= 0 and finite, but is {self.weight} instead.")
        return self

    def frames(self, fps: float | None) -> int:
        """Return the least number of frames that lasts as long as the duration, 1 or more.

        InputError if it is not a time, or in seconds where the frame rate is unknown.
        """
        found = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?|\.\d+)s", (self.duration or "").strip(), re.ASCII)
        number = float(found[1] or found[2]) if found else 0
        if found is None or not 0 < number < _LONGEST:
            option = "--median-window" if self.kind is SmoothingKind.MEDIAN else "--min-duration"
            raise InputError(
                f"`{option}` must be a number of frames, such as 15, or of seconds, such as 0.5s, above 0 "
                f"and below {_LONGEST:,}, but is {self.duration!r} instead."
            )
        if found[1]:
            return int(number)
        if fps is None:
            raise InputError(
                f"{self.duration} cannot be converted to frames: the frame rate of the model is unknown.",
                hint="give --fps, or a number of frames.",
            )
        return max(1, math.ceil(round(number * fps, 6)))  # 0.1 s at 30 fps is 3 frames, not 3.0000000004

    def __str__(self) -> str:
        parameter = f"{self.weight:g}" if self.kind is SmoothingKind.VITERBI else self.duration
        return str(self.kind) if self.kind is SmoothingKind.NONE else f"{self.kind} {parameter}"


def make_smoother(settings: Smoothing, metadata: ModelMetadata, fps: float | None) -> Smoother | None:
    """Return the function that smooths the labels of a model, or None without smoothing.

    InputError as of `Smoothing`, or if the model does not hold transitions.
    """
    settings.validate()
    if settings.kind is SmoothingKind.VITERBI:
        return _by_viterbi(metadata, settings.weight)
    if settings.kind is SmoothingKind.NONE:
        return None
    frames = settings.frames(fps)
    if settings.kind is SmoothingKind.MEDIAN:
        return lambda labels, _: filter_median(labels, frames)
    return lambda labels, _: remove_short(labels, frames)


def _by_viterbi(metadata: ModelMetadata, weight: float) -> Smoother:
    if metadata.transitions is None:
        raise InputError(
            "smoothing by viterbi needs the transitions between classes, which this model does not hold.",
            hint="train it anew, or smooth by min-duration or median.",
        )
    transitions = weight * log_probabilities(metadata.transitions, len(metadata.classes))
    rate = metadata.sample_rate

    # The transitions are between frames that the network sees.
    return lambda labels, probabilities: viterbi(probabilities[:, ::rate], transitions).repeat(rate)[
        : len(labels)
    ]


def filter_median(labels: Labels, window: int) -> Labels:
    """Return the most frequent label of the window around each frame; an even window is one frame longer.

    Class indices have no order, so the median is that of the one-hot labels. The frame's own label wins a
    tie, else the lower index. At both ends of the video the window is cut.
    """
    half = window // 2
    frames = np.arange(len(labels))
    first, last = np.maximum(frames - half, 0), np.minimum(frames + half + 1, len(labels))
    smooth = labels.copy()
    most = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        here = labels == label
        until = np.concatenate([[0], np.cumsum(here)])
        # Twice the count leaves room for the half that a frame's own label is preferred by.
        votes = 2 * (until[last] - until[first]) + here
        smooth[votes > most] = label
        np.maximum(most, votes, out=most)
    return smooth


def remove_short(labels: Labels, frames: int) -> Labels:
    """Return labels without segments of fewer than `frames` frames, unless one is all there is.

    The shortest segment goes first, the earlier one of equals. It falls to its longer neighbour, the earlier
    one of equals; what then meets with the same label is one segment. So on until none is too short.
    """
    found = segments(labels)
    outside = len(found)  # the neighbour of the first and of the last segment
    lengths, classes = [*(found.ends - found.starts).tolist(), 0], [*found.labels.tolist(), -1]
    before, after = [outside, *range(outside)], [*range(1, outside + 1), outside]

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
        if heir == outside:
            break
        absorb(number, heir)
        if classes[other] == classes[heir]:
            absorb(other, heir)
        if lengths[heir] < frames:
            heapq.heappush(waiting, (lengths[heir], heir))
    return np.repeat(found.labels, lengths[:outside])


def viterbi(probabilities: npt.NDArray[np.floating], transitions: npt.NDArray[np.float64]) -> Labels:
    """Return the labels y, (T,), that maximise Σ ln p(y_t) + Σ ln A(y_t | y_{t−1}), exactly.

    p is (C, T), read in blocks, and ln A is (C, C), the earlier class by row. Each frame keeps the best class
    before each class: C bytes (2·C beyond 256 classes), 52 MB for 1,080,000 frames of 48 classes.
    """
    num_classes, frames = probabilities.shape
    # (earlier, later) -> (later, earlier): the best earlier class is then found along memory.
    into = np.ascontiguousarray(transitions.T)
    paths, classes = np.empty_like(into), np.arange(num_classes)
    back = np.zeros((frames, num_classes), np.uint8 if num_classes <= 256 else np.uint16)
    scores = np.zeros(num_classes)
    for start in range(0, frames, _BLOCK):
        block = probabilities[:, start : start + _BLOCK].astype(np.float64)
        logarithms = np.log(np.maximum(block, np.finfo(np.float32).tiny))
        for frame, logarithm in enumerate(np.ascontiguousarray(logarithms.T), start):
            if frame:  # nothing leads to the first one
                np.add(into, scores, out=paths)
                back[frame] = earlier = paths.argmax(axis=1)
                logarithm += paths[classes, earlier]
            scores = logarithm
    labels = np.empty(frames, np.int64)
    label = int(scores.argmax())
    for frame in range(frames - 1, -1, -1):
        labels[frame] = label
        label = back.item(frame, label)
    return labels
