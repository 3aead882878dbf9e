"""One worker process, as the process that started it sees it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, resource_tracker

from g2l.evaluation import Evaluation, Fitness
from g2l.search.executors.contract import TaskGroup
from g2l.search.executors.worker import evaluate_group, initialise


class WorkerHandle:
    """A process that is started with its first group, in a pool of its own.

    A pool of several can break while it starts one more, and then fails as it happens to; and it takes those
    down that work beside the one that died.

    Args:
        fitness: Trains and scores candidates; picklable.
        threads: Threads that its numerical libraries may use.
    """

    def __init__(self, fitness: Fitness, threads: int) -> None:
        context = get_context("spawn")  # so that CUDA works in it
        worker_end, self._lifeline = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(
            1, mp_context=context, initializer=initialise, initargs=(fitness, threads, worker_end)
        )

    def submit(self, group: TaskGroup) -> Future[list[Evaluation]]:
        """Hand over a group; the process must have nothing to do. Its future raises what `died` knows."""
        try:
            with deaf():
                return self._pool.submit(evaluate_group, group)
        except BrokenProcessPool as error:  # it died while it had nothing to do
            lost: Future[list[Evaluation]] = Future()
            lost.set_exception(error)
            return lost

    def cut(self) -> None:
        """Let the process end now, without waiting for it."""
        self._lifeline.close()

    def end(self) -> None:
        """End the process now and wait until it is gone."""
        self.cut()
        self._pool.shutdown(wait=True, cancel_futures=True)


def died(future: Future[list[Evaluation]]) -> bool:
    """Return whether the process died before this ended `future` could tell of its group."""
    return isinstance(future.exception(), BrokenProcessPool)


@contextmanager
def deaf() -> Iterator[None]:
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
