"""`last.ckpt` of every course that a search has trained: they save work, and decide nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from g2l.errors import G2LError, InputError
from g2l.training.checkpoint import BeyondBudgetError
from g2l.training.courses import Course
from g2l.training.run import Training

SAVE_SECONDS = 60.0
"""A kill costs at most about this much training; most candidates are done before."""

logger = logging.getLogger("g2l")


class CourseCheckpoints:
    """The checkpoints that one training may go on from, and leaves behind.

    Args:
        folder: Where `<key of the course>/last.ckpt` is read and written, or None to keep none.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._beyond: set[Course] = set()
        self._saved = time.monotonic()

    def load(self, training: Training, course: Course, identity: Mapping[str, Any]) -> bool:
        """Bring `training` to where a course was left; return False if there is nothing to go on from.

        What is of another training, or damaged, is told by a warning and will be replaced; what is beyond
        the end of the course belongs to a larger budget and stays.
        """
        path = self._path(course)
        if path is None or not path.exists():
            return False
        try:
            training.load(path, identity, course.until)
        except BeyondBudgetError:
            self._beyond.add(course)
            return False
        except InputError as error:
            logger.warning("%s The candidate is trained from the start.", error)
            return False
        return True

    def save(self, training: Training, course: Course, identity: Mapping[str, Any]) -> None:
        """Write where `training` is in a course; a disk that refuses costs later work only."""
        path = self._path(course)
        if path is None or course in self._beyond:
            return
        try:
            training.save(path, identity)
        except G2LError as error:
            logger.warning("%s The candidate cannot be continued later.", error)
        self._saved = time.monotonic()

    def save_sometimes(self, training: Training, course: Course, identity: Mapping[str, Any]) -> None:
        """Write it if the last time is long ago."""
        if time.monotonic() - self._saved > SAVE_SECONDS:
            self.save(training, course, identity)

    def _path(self, course: Course) -> Path | None:
        return None if self._folder is None else self._folder / course.key / "last.ckpt"
