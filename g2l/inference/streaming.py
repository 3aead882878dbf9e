"""Labelling a stream: features come in chunks, labels leave once no later frame can change them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from g2l.config import Normalization
from g2l.datasets.features import Features
from g2l.datasets.labels import Labels
from g2l.errors import InputError
from g2l.inference.loading import prepare
from g2l.inference.sessions import Probabilities, Session, require_finite
from g2l.inference.tiling import known_receptive_field, whole_video


@dataclass(frozen=True)
class StreamedLabels:
    """Labels (t,) and probabilities (C, t) of the t >= 0 frames of a stream from number `start` on."""

    start: int
    labels: Labels
    probabilities: Probabilities


class StreamingPredictor:
    """Labels one video that arrives frame by frame as it would be labelled as a whole.

    A frame is labelled once the network has seen as many later frames as the label depends on. Kept in memory
    are these and as many earlier frames as it depends on, however long the stream is. They are computed again
    with every chunk, so that larger chunks cost less. At the start of the stream there is nothing before the
    first frame and at its end nothing after the last one, as in a file: there the network pads by itself.

    `delay` is the number of frames by which a label may lag behind its frame. InputError if labels of the
    model depend on all frames of a video, by its backbone or its normalisation.
    """

    def __init__(self, session: Session) -> None:
        metadata = session.metadata
        reach = known_receptive_field(metadata)
        if reach is None or metadata.normalize is Normalization.VIDEO:
            reason = whole_video(metadata.backbone.name)
            if reach is not None:
                reason = "its features are normalised by the mean and deviation of the whole video"
            raise InputError(
                f"the model cannot label a stream: {reason}.",
                hint="train ms-tcn or ms-tcn++, with normalize none or train; --causal leaves no delay.",
            )
        self._session = session
        self._rate = metadata.sample_rate
        self._receptive_field = reach
        self.delay = self._receptive_field.future * self._rate
        self._received = self._emitted = 0  # frames of the stream
        self._first = self._computed = 0  # frames of the network: the first that is kept, the next to compute
        self._kept: Features = np.empty((metadata.feature_dim, 0), np.float32)
        self._last: Probabilities = np.empty((len(metadata.classes), 0), np.float32)
        self._finished = False

    @property
    def delay_s(self) -> float | None:
        """The delay in seconds, or None where the frame rate of the model is unknown."""
        fps = self._session.metadata.fps
        return None if fps is None else self.delay / fps

    def push(self, features: npt.NDArray[Any]) -> StreamedLabels:
        """Take in the next t >= 1 frames, (D, t) as in feature files; return what is known of others by now.

        After an error the stream is as it was before: InputError if they have another shape, are not finite,
        or come after `finish`, OperationalError if the runtime failed.
        """
        if self._finished:
            raise InputError("the stream is finished.", hint="a StreamingPredictor labels one video.")
        chunk = self._checked(features)
        skipped = -self._received % self._rate
        sampled = prepare(chunk[:, skipped :: self._rate], self._session.metadata)
        window = np.concatenate([self._kept, sampled], axis=1)
        ready = self._first + window.shape[1] - self._receptive_field.future
        return self._advance(window, max(ready, self._computed), self._received + chunk.shape[1])

    def finish(self) -> StreamedLabels:
        """End the stream and return what is known of its last frames."""
        result = self._advance(self._kept, self._first + self._kept.shape[1], self._received)
        self._finished = True
        return result

    def _advance(self, window: Features, ready: int, received: int) -> StreamedLabels:
        """Compute frames up to `ready` of the network, and emit what they are labels of.

        `window` (D, n) holds its frames from the first one kept on; `received` counts those of the stream.
        """
        known = self._last
        if ready > self._computed:
            computed = self._session.probabilities(np.ascontiguousarray(window))
            require_finite(computed)
            known = np.concatenate([known, computed[:, self._computed - self._first :]], axis=1)
        # Of the network: the frame whose label is emitted first, which is that of `known` where there is any.
        first = self._emitted // self._rate
        known = known[:, : ready - first]
        stop = max(self._emitted, min(received, ready * self._rate))
        own = slice(self._emitted - first * self._rate, stop - first * self._rate)
        probabilities = known.repeat(self._rate, axis=1)[:, own]
        result = StreamedLabels(self._emitted, probabilities.argmax(axis=0), probabilities)
        # Nothing is changed before here, so that a failing runtime leaves the stream as it was.
        drop = max(0, ready - self._receptive_field.past - self._first)
        self._kept, self._first = window[:, drop:].copy(), self._first + drop
        self._last = known[:, stop // self._rate - first :].copy()
        self._received, self._emitted, self._computed = received, stop, ready
        return result

    def _checked(self, features: npt.NDArray[Any]) -> Features:
        chunk, rows = np.asarray(features), self._session.metadata.feature_dim
        if chunk.ndim != 2 or len(chunk) != rows or not chunk.shape[1] or chunk.dtype.kind not in "fiu":
            raise InputError(
                f"`features` must be numbers of shape {rows} × frames (feature_dim × frames), "
                f"but are {chunk.dtype} of shape {chunk.shape} instead."
            )
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf
            chunk = chunk.astype(np.float32)
        if not np.isfinite(chunk).all():
            frame = self._received + int(np.argwhere(~np.isfinite(chunk))[:, 1].min())
            raise InputError(f"`features` must be finite, but those of frame {frame} are not.")
        return chunk
