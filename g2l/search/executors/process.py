"""Several candidates at once, each in a process of its own on this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Self

from g2l.errors import InputError
from g2l.evaluation import Evaluation, Fitness
from g2l.search.executors.contract import EvaluationTask, failed
from g2l.search.executors.worker import evaluate_task, initialise

_log = logging.getLogger("g2l")


class ProcessExecutor:
    """Evaluates in worker processes that are started afresh (`spawn`), so that CUDA works in them.

    The cores are divided between the workers. No more tasks are handed out than there are workers, so
    that when a worker dies it is known which candidates are lost: these are run again one at a time,
    which tells the one that kills its worker from those that happened to run beside it.

    Args:
        fitness: Trains and scores one candidate; picklable.
        workers: Number of processes, at least 1.

    Raises:
        InputError: `workers` is below 1.
    """

    def __init__(self, fitness: Fitness, *, workers: int) -> None:
        if workers < 1:
            raise InputError(f"`workers` must be >= 1, but is {workers} instead.")
        self._fitness = fitness
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._lifeline: Connection | None = None
        self._running: dict[Future[Evaluation], EvaluationTask] = {}

    def evaluate(self, tasks: Sequence[EvaluationTask]) -> Iterator[Evaluation]:
        """Yield one evaluation per task, as they complete."""
        waiting = list(reversed(tasks))
        try:
            while waiting or self._running:
                whole = self._hand_out(waiting)
                done = wait(self._running, return_when=FIRST_COMPLETED).done
                if whole and not any(future.exception() for future in done):
                    for future in done:
                        del self._running[future]
                        yield future.result()
                else:
                    yield from self._recover()
        finally:
            if self._running:  # interrupted, or the caller has lost interest
                self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def _hand_out(self, waiting: list[EvaluationTask]) -> bool:
        """Give each idle worker a task from the end of `waiting`; return False if the pool has broken."""
        while waiting and len(self._running) < self._workers:
            try:
                future = self._open_pool().submit(evaluate_task, waiting[-1])
            except BrokenProcessPool:
                return False
            self._running[future] = waiting.pop()
        return True

    def _recover(self) -> Iterator[Evaluation]:
        """Take the broken pool down, save what it had finished, run again what it had not."""
        broken = dict(self._running)
        self._stop()
        lost = []
        for future, task in broken.items():
            if future.cancelled() or future.exception():
                lost.append(task)
            else:
                yield future.result()
        _log.warning("a worker process died; %d candidate(s) are run again, one at a time.", len(lost))
        for task in lost:
            future = self._open_pool().submit(evaluate_task, task)
            self._running[future] = task
            try:
                evaluation = future.result()
            except BrokenProcessPool:
                evaluation = failed(task, "its worker process died twice (killed, or out of memory)")
                self._stop()
            self._running.clear()
            yield evaluation

    def _open_pool(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = get_context("spawn")
            worker_end, self._lifeline = context.Pipe(duplex=False)
            threads = max(1, _cores() // self._workers)
            self._pool = ProcessPoolExecutor(
                self._workers,
                mp_context=context,
                initializer=initialise,
                initargs=(self._fitness, threads, worker_end),
            )
        return self._pool

    def _stop(self) -> None:
        """End all workers now and wait until they are gone."""
        if self._lifeline is not None:
            self._lifeline.close()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._lifeline = None
        self._running.clear()


def _cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
