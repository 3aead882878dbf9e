"""What runs inside a worker process."""

from __future__ import annotations

import os
import signal
import sys
import threading
from multiprocessing.connection import Connection

from g2l.evaluation import Evaluation, Fitness
from g2l.search.executors.contract import TaskGroup, attempt

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

_fitness: Fitness | None = None
"""The one thing a worker keeps between tasks, so that its data sets stay open."""


def initialise(fitness: Fitness, threads: int, lifeline: Connection) -> None:
    """Prepare this process.

    Args:
        fitness: Trains and scores one candidate.
        threads: Threads that its numerical libraries may use.
        lifeline: Read end of a pipe that the parent never writes to: it reads as ended when the parent
            closes it to stop us, or when the parent is gone, however it went.
    """
    global _fitness
    _fitness = fitness
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches us too; the parent decides
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    os.environ |= dict.fromkeys(THREAD_VARIABLES, str(threads))
    torch = sys.modules.get("torch")
    if torch is not None:  # a script's main module has imported it: too late for the variables
        torch.set_num_threads(threads)


def evaluate_group(group: TaskGroup) -> list[Evaluation]:
    """Return the evaluations of `group` by the fitness this worker was given."""
    if _fitness is None:
        raise RuntimeError("the worker was not initialised")
    return attempt(_fitness, group)


def _end_with(lifeline: Connection) -> None:
    lifeline.poll(None)
    os._exit(1)  # no clean-up may delay us: nobody is left to read what we would say
