"""From feature files to a class for every frame: reading, computing and decoding at the same time."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from g2l.errors import OperationalError
from g2l.inference.ahead import ahead
from g2l.inference.assembling import Assembler, Scored
from g2l.inference.batching import Batching, OneByOne
from g2l.inference.loading import Buffers, Failed, Loaded, Loader, giving_up, new_array
from g2l.inference.loading import prepare as prepare
from g2l.inference.sessions import BatchSession, ProbabilityBatch, Session
from g2l.inference.stage_times import StageTimes
from g2l.inference.tiling import plan_capacity
from g2l.inference.videos import VideoFailure as VideoFailure
from g2l.inference.videos import VideoPrediction as VideoPrediction
from g2l.inference.videos import find_videos as find_videos

_WAITING = 4
"""Tiles that may wait for who uses them, so that a slow write does not stop the network."""


class Predictor:
    """Predicts videos with one session: a thread reads, a thread computes, and who iterates uses the results.

    Args:
        session: Runs the model; used from one thread only.
        max_memory: Bytes that this process may have in memory, or None for a share of what is available; a
            video that does not fit is computed in tiles, with the same result.
        folder: Where the probabilities of such a video lie, in a file that vanishes with them, or None for
            the system's own choice.

    Attributes:
        times: How long each stage was busy so far.

    Raises:
        InputError: `max_memory` holds nothing.
    """

    def __init__(
        self,
        session: Session,
        *,
        max_memory: int | None = None,
        folder: Path | None = None,
    ) -> None:
        self.session = session
        self.times = StageTimes()
        self._capacity = plan_capacity(session.metadata, max_memory)
        self._folder = folder
        self._batching: Batching = OneByOne()
        allocate = new_array
        if isinstance(session, BatchSession):
            self._batching, allocate = session.batching, session.allocate
        # Kept from one call to the next, since new memory costs more than reading into it.
        self._buffers = Buffers(allocate)

    def predict(self, paths: Iterable[Path]) -> Generator[VideoPrediction | VideoFailure, None, None]:
        """Return one result per video, in order, as they are completed.

        A video is computed while the next one is read. Closing the iterator ends the threads. There may be
        one at a time.

        Args:
            paths: Feature files, or folders of them, see `find_videos`.

        Raises:
            InputError: There is nothing to predict, or a file is missing, before anything is read.
        """
        return self.results(find_videos(paths))

    def results(self, videos: Sequence[Path]) -> Generator[VideoPrediction | VideoFailure, None, None]:
        """Return the same of files that `find_videos` found; there may be none."""
        metadata = self.session.metadata
        loader = Loader(metadata, self._capacity, self._batching, self._buffers, self.times)
        loaded = ahead(loader.load(videos), 0, "g2l-read")
        scored = ahead(self._scored(loaded), _WAITING, "g2l-infer")
        with closing(scored):
            yield from Assembler(metadata.sample_rate, self._folder, self.times).videos(scored)

    def _scored(
        self, loaded: Generator[Loaded | Failed, None, None]
    ) -> Generator[Scored | Failed, None, None]:
        with closing(loaded):
            for item in loaded:
                if isinstance(item, Failed):
                    yield item
                    continue
                failures: list[Failed] = []
                with self.times.measure("infer"):
                    scored = self._score(item, failures)
                yield from scored
                yield from failures

    def _score(self, loaded: Loaded, failures: list[Failed]) -> list[Scored]:
        scored = []
        batch = self._run_batch(loaded)
        for row, piece in enumerate(loaded.pieces):
            if piece.video.failed:
                continue
            with giving_up(piece.video, failures):
                if batch is None:
                    own = np.ascontiguousarray(loaded.features[row, :, : piece.tile.frames])
                    probabilities = self.session.probabilities(own)
                else:
                    probabilities = batch[row]
                probabilities = probabilities[:, piece.tile.kept]
                if not np.isfinite(probabilities).all():
                    hint = "an fp16 export overflows where features are large."
                    raise OperationalError("the model gives NaN.", hint=hint)
                scored.append(Scored(piece, probabilities))
        return scored

    def _run_batch(self, loaded: Loaded) -> ProbabilityBatch | None:
        """Return the probabilities of a group, or None where its pieces are to be computed by themselves."""
        if not isinstance(self.session, BatchSession) or len(loaded.features) == 1:
            return None
        try:
            return self.session.batch(loaded.features, [piece.tile.frames for piece in loaded.pieces])
        except OperationalError:  # it may be too large for the device: each piece says what is wrong with it
            return None
