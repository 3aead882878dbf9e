"""Several candidates at once, each in a process of its own on this machine."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, wait
from typing import Self

from g2l.errors import InputError
from g2l.evaluation import Evaluation, Fitness
from g2l.machine import usable_cores
from g2l.search.executors.contract import WORKER_DIED, TaskGroup, failed
from g2l.search.executors.dispatch import dispatch
from g2l.search.executors.worker_handle import WorkerHandle, died

_log = logging.getLogger("g2l")


class ProcessExecutor:
    """Evaluates in worker processes that are started afresh (`spawn`), so that CUDA works in them.

    The cores are divided between the workers. When one dies, the others finish what they have; then its
    group is run again with nothing beside it, and one that kills its worker again is taken apart. This tells
    the candidate that kills its worker from those that happened to need too much together.

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
        self._crew: list[WorkerHandle] = []
        self._running: dict[Future[list[Evaluation]], tuple[WorkerHandle, TaskGroup]] = {}
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
        """Give an idle worker a group, or a new one if there is none."""
        worker = self._free_worker()
        self._running[worker.submit(group)] = (worker, group)

    def collect(self) -> Iterator[Evaluation]:
        """Wait until a group has ended or a worker has died and yield what there is."""
        try:
            lost = yield from self._gather(FIRST_COMPLETED)
            if lost:
                yield from self._recover(lost)
        finally:
            self._recovering = False

    def _free_worker(self) -> WorkerHandle:
        """Return a worker that has nothing to do; it is one of the crew before anything can interrupt us."""
        busy = [worker for worker, _ in self._running.values()]
        for worker in self._crew:
            if worker not in busy:
                return worker
        self._crew.append(WorkerHandle(self._fitness, max(1, usable_cores() // self._workers)))
        return self._crew[-1]

    def _gather(self, until: str) -> Generator[Evaluation, None, list[TaskGroup]]:
        """Yield what has been found until then; return the groups whose workers have died."""
        lost, found = [], []
        for future in wait(self._running, return_when=until).done:
            worker, group = self._running.pop(future)
            if died(future):
                self._crew.remove(worker)
                worker.end()
                lost.append(group)
            else:
                found.append(future)
        self._recovering |= bool(lost)
        for future in found:
            yield from future.result()
        return lost

    def _recover(self, lost: list[TaskGroup]) -> Iterator[Evaluation]:
        """Let the others finish and run again what the dead have not."""
        lost = lost + (yield from self._gather(ALL_COMPLETED))
        _log.warning(
            "a worker process died; %d candidate(s) are run again, one after the other.", sum(map(len, lost))
        )
        for group in lost:
            yield from self._run_alone(group)

    def _run_alone(self, group: TaskGroup) -> Iterator[Evaluation]:
        """Yield the evaluations of a group beside which nothing else runs."""
        self.start(group)
        if not (yield from self._gather(ALL_COMPLETED)):
            return
        if len(group) == 1:
            yield failed(group[0], WORKER_DIED)
        else:
            for task in group:
                yield from self._run_alone((task,))

    def _stop(self) -> None:
        """End all workers now and wait until they are gone."""
        for worker in self._crew:
            worker.cut()
        for worker in self._crew:
            worker.end()
        self._crew.clear()
        self._running.clear()
