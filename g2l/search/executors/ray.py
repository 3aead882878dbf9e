"""Candidates on the machines of a Ray cluster, or on a small Ray started on this one.

Ray is an extra and imported nowhere else.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from g2l.errors import DiskFullError, InputError
from g2l.evaluation import Evaluation, EvaluationTask, Fitness
from g2l.search.executors.base import LONGEST_REASON, WORKER_DIED, Executor, attempt, describe, failed

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
    "RAY_worker_niceness": "0",
}
"""No usage statistics, no events of Ray's processes in our output, normal priority for workers."""

RETRIES = 3
"""By Ray itself, of a task whose machine or process is lost."""

REFRESH_SECONDS = 2.0
"""How long the size of the cluster is cached: machines join and leave."""

CONNECT_SECONDS = 10.0
"""Timeout for the address of a cluster."""

STORE_BYTES = 100 * 2**20
"""Of a Ray started here: no large object is ever passed."""

LONGEST_TEMPORARY = 30
"""Characters of a temporary folder in which the sockets of Ray fit their limit of 107."""
SHORT_TEMPORARY = "/tmp/ray"

_log = logging.getLogger("g2l")


class RayExecutor(Executor):
    """Runs as many tasks at once on a Ray cluster as fit.

    A task takes one CPU and a share of a GPU. With a GPU its process ends after it, which frees the memory of
    the device. The machines must have this package, and the data and the run under the same paths.

    Args:
        fitness: Trains and scores candidates; picklable.
        workers: CPUs of the Ray that is started on this machine; None with an address.
        address: Of a running cluster as `ray.init` takes it, or None.
        gpus_per_candidate: Share of a GPU, or number of GPUs, that a task takes.

    Raises:
        InputError: Ray is not installed, `workers` is below 1, or not exactly one of `workers` and `address`
            is given.
    """

    def __init__(
        self,
        fitness: Fitness,
        *,
        workers: int | None = None,
        address: str | None = None,
        gpus_per_candidate: float = 0.0,
    ) -> None:
        if (workers is None) == (address is None):
            raise InputError("give either `workers` of a Ray to start or the `address` of one that runs.")
        super().__init__(fitness, workers=1 if workers is None else workers)
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            import ray
        except ImportError:
            raise InputError("Ray is not installed.", hint="pip install 'g2l[ray]'") from None
        self._ray = ray
        self._address = address
        self._gpus = gpus_per_candidate
        self._evaluate: Any = None
        self._shared: Any = None
        self._started = False
        self._running: dict[Any, EvaluationTask] = {}
        self._slots = 0
        self._counted = 0.0

    @property
    def slots(self) -> int:
        """Tasks that fit the machines now, at least one: it may wait for a machine to join."""
        self._connect()
        if time.monotonic() >= self._counted + REFRESH_SECONDS:
            self._slots = max(1, self._room())
            self._counted = time.monotonic()
        return self._slots

    def results(self) -> Iterator[Evaluation]:
        """Yield the evaluations of all submitted tasks as they complete."""
        try:
            while self._fill():
                # Not longer than this, since the cluster may grow.
                ready, _ = self._ray.wait(list(self._running), timeout=REFRESH_SECONDS)
                found = [self._result(reference, self._running.pop(reference)) for reference in ready]
                self._fill()  # before the caller spends time on the evaluation
                yield from found
        finally:
            self._cancel()

    def close(self) -> None:
        """Cancel all tasks, and end a Ray that was started here."""
        self._cancel()
        if self._started:
            self._ray.shutdown()
        self._started, self._evaluate = False, None

    def _fill(self) -> bool:
        """Start tasks while there is room; return whether any is running."""
        while self._waiting and len(self._running) < self.slots:
            self._connect()
            task = self._waiting.popleft()
            self._running[self._evaluate.remote(self._shared, task)] = task
        return bool(self._running)

    def _result(self, reference: Any, task: EvaluationTask) -> Evaluation:
        try:
            evaluation: Evaluation = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, DiskFullError):
                raise cause from None
            return failed(task, _reason(self._ray, error))
        return evaluation

    def _connect(self) -> None:
        if self._evaluate is not None:
            return
        if not self._ray.is_initialized():
            _initialise(self._ray, self._address, self._workers)
            self._started = True
        if not self._room():
            message = f"no machine has room for a candidate (1 CPU, {self._gpus:g} GPU)"
            if self._address is None:
                raise InputError(f"{message}.")
            _log.warning("%s; waiting until one joins the Ray cluster at %s.", message, self._address)
        self._shared = self._ray.put(self._fitness)
        self._evaluate = self._ray.remote(
            num_cpus=1, num_gpus=self._gpus, max_calls=1 if self._gpus else 0, max_retries=RETRIES
        )(attempt)

    def _room(self) -> int:
        nodes: Any = self._ray.nodes  # not typed
        return count_slots(nodes(), self._gpus)

    def _cancel(self) -> None:
        """Cancel all tasks."""
        self._waiting.clear()
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._running.clear()


def count_slots(nodes: Sequence[Mapping[str, Any]], gpus_per_candidate: float) -> int:
    """Return how many tasks, of one CPU each, run at once on machines as `ray.nodes` describes them."""
    slots = 0
    for node in nodes:
        if not node["Alive"]:
            continue
        room = int(node["Resources"].get("CPU", 0))
        if gpus_per_candidate:
            gpus = int(node["Resources"].get("GPU", 0))
            # A share lies on one GPU; the tiny number makes 1 / 0.1 ten whatever the rounding.
            share = int(1 / gpus_per_candidate + 1e-6)
            room = min(room, gpus * share if share else int(gpus / gpus_per_candidate))
        slots += room
    return slots


def _initialise(ray: Any, address: str | None, workers: int | None) -> None:
    """Connect to a cluster, or start one that only this machine can reach."""
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        options |= {
            "address": "local",
            "num_cpus": workers,
            "include_dashboard": False,
            "object_store_memory": STORE_BYTES,
            "_node_ip_address": "127.0.0.1",
        }
        if len(tempfile.gettempdir()) > LONGEST_TEMPORARY:
            options["_temp_dir"] = SHORT_TEMPORARY
    else:
        options["address"] = address
        check_reachable(address)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**options)
    except (ConnectionError, ValueError) as error:
        raise _unreachable(address, error) from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray puts its own there


def check_reachable(address: str) -> None:
    """Raise `InputError` if nothing listens at the address: Ray tries for minutes, then ends the process."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return  # a name such as `auto`, which Ray resolves
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, error) from None


def _unreachable(address: str | None, error: Exception) -> InputError:
    hint = "start one with `ray start --head` and give its address, or leave the address out."
    return InputError(f"no Ray cluster at {address}: {describe(error)}", hint=hint)


def _reason(ray: Any, error: Exception) -> str:
    """Return why Ray has given a task up, in one line."""
    if isinstance(error, ray.exceptions.RayTaskError):  # ends with the message of the error in the worker
        return str(error).strip().splitlines()[-1][:LONGEST_REASON]
    if isinstance(
        error,
        (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError),
    ):
        return WORKER_DIED
    return describe(error)
