"""Viterbi: the most probable sequence of labels, given how often training saw one class follow another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from g2l.datasets.labels import Labels

_BLOCK = 8192
"""Frames whose logarithms are taken at a time."""


class Viterbi:
    """Finds the labels y that maximise Σ ln p(y_t) + Σ ln A(y_t | y_{t−1}), exactly.

    Probabilities come in any chunks, in order of time. What is kept of a frame is, for each class, the best
    class before it: C bytes a frame (2·C beyond 256 classes), 52 MB for 1,080,000 frames of 48 classes. The
    labels are known only when the whole video has been seen.

    Args:
        transitions: ln A, (C, C): earlier class by row.
    """

    def __init__(self, transitions: npt.NDArray[np.float64]) -> None:
        # (earlier, later) -> (later, earlier): the best earlier class is then found along memory.
        self._transitions = np.ascontiguousarray(transitions.T)
        self._scores: npt.NDArray[np.float64] | None = None
        self._back: list[npt.NDArray[np.unsignedinteger]] = []

    def add(self, probabilities: npt.NDArray[np.floating]) -> None:
        """Add the next chunk, (C, t)."""
        for start in range(0, probabilities.shape[1], _BLOCK):
            block = probabilities[:, start : start + _BLOCK].astype(np.float64)
            np.maximum(block, np.finfo(np.float32).tiny, out=block)
            self._add(np.ascontiguousarray(np.log(block).T))  # (t, C)

    def finish(self) -> Labels:
        """Return the best class of every frame, (T,)."""
        if self._scores is None:
            return np.zeros(0, np.int64)
        label = int(self._scores.argmax())
        reversed_labels = []
        for block in reversed(self._back):
            for frame in range(len(block) - 1, -1, -1):
                reversed_labels.append(label)
                label = block.item(frame, label)
        return np.array(reversed_labels[::-1], np.int64)

    def _add(self, logarithms: npt.NDArray[np.float64]) -> None:
        num_classes = len(self._transitions)
        back = np.zeros(logarithms.shape, np.uint8 if num_classes <= 256 else np.uint16)
        paths, classes = np.empty_like(self._transitions), np.arange(num_classes)
        scores, rows = self._scores, zip(logarithms, back, strict=True)
        if scores is None:
            scores = next(rows)[0].copy()  # nothing leads to the first frame
        for logarithm, best in rows:
            np.add(self._transitions, scores, out=paths)
            earlier = paths.argmax(axis=1)
            best[:] = earlier
            scores = paths[classes, earlier]
            scores += logarithm
        self._scores = scores
        self._back.append(back)
