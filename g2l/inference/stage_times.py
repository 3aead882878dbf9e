"""Where the time of a prediction goes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class StageTimes:
    """Seconds that each stage was busy; since stages run at the same time, they add up to more than passed.

    Each stage is counted by one thread.

    Attributes:
        seconds: By stage.
        frames: Frames of the feature files that were predicted.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.frames = 0

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Count the seconds of the block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start
