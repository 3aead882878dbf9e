"""How long onnxruntime takes for one video."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from g2l.errors import InputError, OperationalError
from g2l.export.rewriting import RewritableExport
from g2l.structure import DilationStructure

WARM_UPS = 2
"""Runs before the clock counts: the first ones allocate, and on a GPU choose algorithms."""
RUNS = 9
CPU: tuple[tuple[str, Mapping[str, str]], ...] = (("CPUExecutionProvider", {}),)


@dataclass(frozen=True)
class Latency:
    """The time for one video.

    Attributes:
        milliseconds: Median over the runs, transfers to and from a GPU included.
        spread: Interquartile range of the same, in milliseconds.
    """

    milliseconds: float
    spread: float


class LatencyMeter:
    """Measures structures of one network on one machine. The machine should have nothing else to do.

    Args:
        export: The network.
        feature_dim: D.
        frames: T of the video, >= 1.
        providers: onnxruntime's names with options; the first one must start.
        threads: CPU threads, or None for one per core.

    Raises:
        InputError: There is less than one frame.
    """

    def __init__(
        self,
        export: RewritableExport,
        *,
        feature_dim: int,
        frames: int,
        providers: Sequence[tuple[str, Mapping[str, str]]] = CPU,
        threads: int | None = None,
    ) -> None:
        if frames < 1:
            raise InputError(f"`frames` must be >= 1, but is {frames} instead.")
        self._export = export
        self._providers = list(providers)
        self._threads = threads
        features = np.random.default_rng(0).standard_normal((1, feature_dim, frames), dtype=np.float32)
        self._inputs = {"features": features}

    def measure(self, structure: DilationStructure) -> Latency:
        """Return the latency of a structure.

        Raises:
            OperationalError: onnxruntime cannot load or run the network, or the provider does not start.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads or 0
        options.log_severity_level = 3  # errors; its warnings are about its own graph optimiser
        try:
            session = onnxruntime.InferenceSession(
                self._export.serialised(structure), options, providers=self._providers, enable_fallback=0
            )
            seconds = [self._timed(session) for _ in range(WARM_UPS + RUNS)][WARM_UPS:]
        except Exception as error:  # onnxruntime's errors have no common base class
            raise OperationalError(f"onnxruntime failed: {' '.join(str(error).split())}") from error
        if self._providers[0][0] not in session.get_providers():
            raise OperationalError(f"onnxruntime did not start {self._providers[0][0]}.")
        low, middle, high = 1000.0 * np.percentile(seconds, (25, 50, 75))
        return Latency(float(middle), float(high - low))

    def _timed(self, session: Any) -> float:
        start = time.perf_counter()
        session.run(["probabilities"], self._inputs)
        return time.perf_counter() - start
