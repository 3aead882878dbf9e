"""Several candidates at once, each in its own process on this machine.

Compared with loky and joblib, whose executor breaks as a whole when one worker dies, and with pebble, whose
workers notice the death of their parent only between tasks: neither passes the kill tests without this code.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from typing import TypeVar

from g2l.evaluation import Evaluation, EvaluationTask, Fitness
from g2l.machine import usable_cores
from g2l.search.executors.base import WORKER_DIED, Executor, attempt, failed

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

T = TypeVar("T")

_log = logging.getLogger("g2l")


class ProcessExecutor(Executor):
    """Evaluates in a pool of spawned worker processes, among which the cores are divided.

    When a worker dies, the others finish their tasks; then the lost ones run again, one at a time. This
    separates a candidate that kills its worker from candidates that together needed too much memory.
    """

    def __init__(self, fitness: Fitness, *, workers: int) -> None:
        super().__init__(fitness, workers=workers)
        self._pool: list[WorkerProcess] = []
        self._running: dict[Future[Evaluation], tuple[WorkerProcess, EvaluationTask]] = {}

    def results(self) -> Iterator[Evaluation]:
        """Yield the evaluations of all submitted tasks as they complete."""
        try:
            while self._fill():
                found, lost = self._gather(FIRST_COMPLETED)
                if not lost:
                    self._fill()  # before the caller spends time on the evaluation
                yield from found
                if lost:
                    found, more = self._gather(ALL_COMPLETED)
                    yield from found
                    for task in lost + more:
                        self._start(task)
                        found, _ = self._gather(ALL_COMPLETED)
                        yield found[0] if found else failed(task, WORKER_DIED)
        finally:
            self._waiting.clear()
            if self._running:  # interrupted or abandoned
                self.close()

    def _fill(self) -> bool:
        """Start tasks while workers are idle; return whether any is running."""
        while self._waiting and len(self._running) < self._workers:
            self._start(self._waiting.popleft())
        return bool(self._running)

    def _start(self, task: EvaluationTask) -> None:
        busy = [worker for worker, _ in self._running.values()]
        idle = [worker for worker in self._pool if worker not in busy]
        if not idle:
            idle = [WorkerProcess(max(1, usable_cores() // self._workers), _keep, self._fitness)]
            self._pool += idle
        self._running[idle[0].submit(_evaluate, task)] = (idle[0], task)

    def _gather(self, until: str) -> tuple[list[Evaluation], list[EvaluationTask]]:
        """Return the evaluations that are found until then, and the tasks whose workers died."""
        lost, found = [], []
        for future in wait(self._running, return_when=until).done:
            worker, task = self._running.pop(future)
            if isinstance(future.exception(), BrokenProcessPool):
                self._pool.remove(worker)
                worker.end()
                lost.append(task)
            else:
                found.append(future)
        if lost:
            _log.warning("a worker process died; %d candidate(s) are run again, one at a time.", len(lost))
        return [future.result() for future in found], lost

    def close(self) -> None:
        """Terminate all workers and wait until they are gone."""
        for worker in self._pool:
            worker.terminate()
        for worker in self._pool:
            worker.end()
        self._pool.clear()
        self._running.clear()


class WorkerProcess:
    """One process, started with its first task, in an executor of its own; it ends with this one.

    An executor of several processes can break while it starts another one, and takes down the tasks beside
    the one whose process died.
    `prepare` is called with its arguments in the process before the first task, and both are pickled;
    `threads` is how many its numerical libraries may use.
    """

    def __init__(
        self, threads: int, prepare: Callable[..., object] | None = None, *arguments: object
    ) -> None:
        context = get_context("spawn")  # CUDA cannot be used in forked processes
        worker_end, self._lifeline = context.Pipe(duplex=False)
        self._executor = ProcessPoolExecutor(
            1, mp_context=context, initializer=_initialise, initargs=(threads, worker_end, prepare, arguments)
        )

    def submit(self, function: Callable[..., T], *arguments: object) -> Future[T]:
        """Start a task; the process must be idle. The future raises BrokenProcessPool if the process dies."""
        try:
            with block_signals():
                return self._executor.submit(function, *arguments)
        except BrokenProcessPool as error:  # it died while it was idle
            lost: Future[T] = Future()
            lost.set_exception(error)
            return lost

    def terminate(self) -> None:
        """Let the process exit now, without waiting for it."""
        self._lifeline.close()

    def end(self) -> None:
        """Terminate the process and wait until it is gone."""
        self.terminate()
        self._executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def block_signals() -> Iterator[None]:
    """Keep SIGINT from processes that are started here, and postpone SIGINT and SIGTERM until they are.

    Workers need seconds before they can ignore SIGINT themselves, and one whose start is interrupted prints
    a traceback.
    """
    # Python's resource tracker, started with the first worker, would unblock signals again.
    resource_tracker.ensure_running()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _postponed():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


@contextmanager
def _postponed() -> Iterator[None]:
    """Handle signals at the end: one taken by another thread is handled in the main one, blocked or not."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    handlers = {number: handler for number, handler in handlers.items() if handler is not None}  # set in C
    for number in handlers:
        signal.signal(number, lambda number, _frame: received.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for late in received:
            signal.raise_signal(late)


# The functions below run in the worker process.

_fitness: Fitness | None = None
"""Kept between tasks, so that its data sets stay open."""


def _initialise(
    threads: int, lifeline: Connection, prepare: Callable[..., object] | None, arguments: Sequence[object]
) -> None:
    """Prepare a worker process.

    `lifeline` is the read end of a pipe that the parent never writes to: it ends when the parent closes it,
    or when the parent has died, in whatever way.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the worker too
    threading.Thread(target=_exit_with_parent, args=(lifeline,), daemon=True).start()
    os.environ |= dict.fromkeys(THREAD_VARIABLES, str(threads))
    torch = sys.modules.get("torch")
    if torch is not None:  # imported by the main module of a script: too late for the variables
        torch.set_num_threads(threads)
    if prepare is not None:
        prepare(*arguments)


def _keep(fitness: Fitness) -> None:
    global _fitness
    _fitness = fitness


def _evaluate(task: EvaluationTask) -> Evaluation:
    if _fitness is None:
        raise RuntimeError("the worker was not initialised")
    return attempt(_fitness, task)


def _exit_with_parent(lifeline: Connection) -> None:
    lifeline.poll(None)
    os._exit(1)  # at once: nothing that a clean-up could save
