"""Several candidates at once, each in a process of its own on this machine."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from typing import Self

from g2l.errors import InputError
from g2l.evaluation import Evaluation, Fitness
from g2l.machine import usable_cores
from g2l.search.executors.contract import WORKER_DIED, TaskGroup, failed
from g2l.search.executors.dispatch import dispatch
from g2l.search.executors.worker import evaluate_group, initialise

_log = logging.getLogger("g2l")


class ProcessExecutor:
    """Evaluates in worker processes that are started afresh (`spawn`), so that CUDA works in them.

    The cores are divided between the workers. No more groups are handed out than there are workers, so
    that when a worker dies it is known which candidates are lost: their groups are run again one at a
    time, and one that kills its worker again is taken apart. This tells the candidate that kills its
    worker from those that happened to run beside it.

    Args:
        fitness: Trains and scores candidates; picklable.
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
        self._running: dict[Future[list[Evaluation]], TaskGroup] = {}
        self._recovering = False

    @property
    def slots(self) -> int:
        """The number of workers."""
        return self._workers

    def evaluate(self, groups: Iterator[TaskGroup | None]) -> Iterator[Evaluation]:
        """Yield one evaluation per task, as their groups complete."""
        try:
            yield from dispatch(groups, self)
        finally:
            if self.busy:  # interrupted, or the caller has lost interest
                self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    @property
    def idle(self) -> bool:
        """Whether a worker has nothing to do, and lost groups need not run alone."""
        return not self._recovering and len(self._running) < self._workers

    @property
    def busy(self) -> bool:
        """Whether groups are under way."""
        return bool(self._running)

    def start(self, group: TaskGroup) -> None:
        """Give an idle worker a group; in a pool that has broken meanwhile it counts as lost."""
        self._running[self._submit(group)] = group

    def collect(self) -> Iterator[Evaluation]:
        """Wait until a group has ended or a worker has died and yield what there is."""
        done = wait(self._running, return_when=FIRST_COMPLETED).done
        if any(isinstance(future.exception(), BrokenProcessPool) for future in done):
            yield from self._recover()
            return
        for future in done:
            del self._running[future]
        for future in done:
            yield from future.result()

    def _recover(self) -> Iterator[Evaluation]:
        """Take the broken pool down, save what it had finished, run again what it had not."""
        broken = dict(self._running)
        self._stop()
        lost = []
        self._recovering = True
        try:
            for future, group in broken.items():
                if future.cancelled() or future.exception():
                    lost.append(group)
                else:
                    yield from future.result()
            _log.warning(
                "a worker process died; %d candidate(s) are run again, one after the other.",
                sum(map(len, lost)),
            )
            for group in lost:
                yield from self._run_alone(group)
        finally:
            self._recovering = False

    def _run_alone(self, group: TaskGroup) -> Iterator[Evaluation]:
        """Yield the evaluations of a group beside which nothing else runs."""
        self.start(group)
        (future,) = self._running
        try:
            evaluations = future.result()
        except BrokenProcessPool:
            self._stop()
        else:
            self._running.clear()
            yield from evaluations
            return
        if len(group) == 1:
            yield failed(group[0], WORKER_DIED)
        else:
            for task in group:
                yield from self._run_alone((task,))

    def _submit(self, group: TaskGroup) -> Future[list[Evaluation]]:
        try:
            with _deaf():
                return self._open_pool().submit(evaluate_group, group)
        except BrokenProcessPool as error:
            lost: Future[list[Evaluation]] = Future()
            lost.set_exception(error)
            return lost

    def _open_pool(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = get_context("spawn")
            worker_end, self._lifeline = context.Pipe(duplex=False)
            threads = max(1, usable_cores() // self._workers)
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


@contextmanager
def _deaf() -> Iterator[None]:
    """Let processes that are started here never hear a terminal's Ctrl-C: they need seconds to say so.

    Nor is their start broken off half-way, for they would complain of missing orders: what comes meanwhile is
    answered afterwards.
    """
    # Python's tracker of shared resources, started with the first worker, would let signals through again.
    resource_tracker.ensure_running()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _postponed():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


@contextmanager
def _postponed() -> Iterator[None]:
    """Answer signals at the end: what another thread takes is answered in the main one, blocked or not."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    answers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    answers = {number: answer for number, answer in answers.items() if answer is not None}  # set by C code
    for number in answers:
        signal.signal(number, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        for number, answer in answers.items():
            signal.signal(number, answer)
        for late in came:
            signal.raise_signal(late)
