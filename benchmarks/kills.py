"""How often a search that is killed at a random moment and resumed gives the uninterrupted result.

`python -m benchmarks.kills` kills (−9) searches: all processes at once, only the main one, or only a worker.
It needs Linux, and Ray for the Ray executor.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from benchmarks.careful_search import differences, outcome, run, write_data
from g2l.config import DataConfig
from g2l.search_config import ExecutorKind

PATIENCE_SECONDS = 600.0
SPAWNED = "multiprocessing.spawn"
LATEST = 0.95
"""Of the time of an unbroken run: later moments often come after the end."""

TOO_LATE = 0.7
"""Factor of that time where a run ended before it was killed: the machine is not as busy any more."""

LONGEST_PAUSE = 0.3
"""After a line of the journal: about as long as it takes to train a candidate."""


class Victim(StrEnum):
    """What is killed."""

    EVERYTHING = "everything"
    MAIN = "main process"
    WORKER = "worker"


VICTIMS = {
    ExecutorKind.SERIAL: (Victim.EVERYTHING,),
    ExecutorKind.PROCESS: tuple(Victim),
    ExecutorKind.RAY: tuple(Victim),
}


@dataclass(frozen=True)
class Kill:
    """One kill, as it turned out.

    Attributes:
        victim: What was killed.
        seconds: When, counted from the start.
        lines: Lines of the journal then.
        differing: Files that are not those of the unbroken run after all.
    """

    victim: Victim
    seconds: float
    lines: int
    differing: list[str]


class Killer:
    """Runs searches in processes of their own, and kills them.

    Args:
        folder: Where searches are written.
    """

    def __init__(self, folder: Path) -> None:
        os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        self._folder = folder
        self._log = folder / "log.txt"
        self._data: DataConfig = write_data(folder / "data")
        self._server = multiprocessing.get_context("forkserver")
        self._server.set_forkserver_preload(["benchmarks.careful_search"])

    def start(self, folder: Path, executor: ExecutorKind, evaluations: Path | None = None) -> BaseProcess:
        """Start or resume a search, which may share its evaluations."""
        place = (folder, self._data, executor, self._log, evaluations)
        process = self._server.Process(target=run, args=place)
        process.start()
        return process

    def unbroken(self, executor: ExecutorKind) -> tuple[dict[str, Any], float]:
        """Return what a search leaves that nobody disturbs, and how many seconds it took."""
        folder, started = self._folder / f"{executor}-unbroken", time.monotonic()
        self.finish(folder, executor)
        return outcome(folder), time.monotonic() - started

    def finish(self, folder: Path, executor: ExecutorKind) -> None:
        """Search to the end."""
        self.wait(self.start(folder, executor))

    def wait(self, process: BaseProcess) -> None:
        """Wait until a search has come to its end.

        Raises:
            RuntimeError: It fails, or takes too long.
        """
        process.join(PATIENCE_SECONDS)
        if process.exitcode != 0:
            kill_process(process.pid or 0)
            told = "\n".join(self._log.read_text(errors="replace").splitlines()[-30:])
            raise RuntimeError(f"a search ended with {process.exitcode} instead of 0:\n{told}")

    def kill(
        self, folder: Path, executor: ExecutorKind, victim: Victim, delay: float, lines: int = 0
    ) -> Kill | None:
        """Start or resume a search and kill it; a worker's end it survives. None if it was too fast.

        Args:
            folder: Output folder of the search.
            executor: Where candidates are trained.
            victim: What is killed.
            delay: Seconds that are waited for, once the journal is long enough.
            lines: How many lines it must have.
        """
        started, process = time.monotonic(), self.start(folder, executor)
        journal = folder / "journal.jsonl"
        while process.is_alive() and _lines(journal) < lines:
            process.join(0.02)
        process.join(delay)
        doomed = _chosen(process, victim)
        if not doomed:
            self.wait(process)
            return None
        lines = _lines(journal)
        seconds = time.monotonic() - started
        family = [*descendants(process.pid or 0), process.pid or 0]
        for pid in doomed:
            kill_process(pid)
        if victim is Victim.WORKER:
            self.wait(process)
        else:
            process.join(PATIENCE_SECONDS)
        return Kill(victim, seconds, lines, [f"process {pid} is left" for pid in left_of(family)])


def _chosen(process: BaseProcess, victim: Victim) -> list[int]:
    """Return what to kill; for a worker, wait until there is one."""
    while process.is_alive():
        if victim is Victim.EVERYTHING:
            return [process.pid or 0, *descendants(process.pid or 0)]
        if victim is Victim.MAIN:
            return [process.pid or 0]
        workers = workers_below(process.pid or 0)
        if workers:
            return [random.choice(workers)]
        time.sleep(0.02)
    return []


def _lines(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def descendants(process: int) -> list[int]:
    """Return the processes below one."""
    children: dict[int, list[int]] = {}
    for pid, parent, _ in _processes():
        children.setdefault(parent, []).append(pid)
    found = [process]
    for pid in found:
        found += children.get(pid, ())
    return found[1:]


def workers_below(process: int) -> list[int]:
    """Return the processes below one that train candidates."""
    below = {pid: _command(pid) for pid in descendants(process)}
    return [pid for pid, line in below.items() if line.startswith("ray::attempt") or SPAWNED in line]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _processes() -> Iterator[tuple[int, int, str]]:
    """Yield number, parent and state of every process."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, *_ = path.read_text().rsplit(")", 1)[1].split()
        except OSError:  # it has just ended
            continue
        yield int(path.parent.name), int(parent), state


def left_of(family: list[int]) -> list[int]:
    """Return those of a family that do not end."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        left = [pid for pid, _, state in _processes() if pid in family and state != "Z"]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def kill_process(pid: int) -> None:
    """Kill a process (-9) unless it is gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kills(killer: Killer, folder: Path, executor: ExecutorKind, number: int) -> Iterator[Kill]:
    """Yield `number` kills of searches that are each killed once.

    Every second one comes at a random moment of the whole run, much of which is the start of processes, the
    others after a random number of journal lines.
    """
    expected, seconds = killer.unbroken(executor)
    most = len(expected["journal.jsonl"])
    done = attempts = 0
    while done < number:
        attempts += 1
        place, victim = folder / f"{executor}-{attempts}", VICTIMS[executor][done % len(VICTIMS[executor])]
        lines = random.randint(1, most) if done % 2 else 0
        delay = random.uniform(0, LONGEST_PAUSE if lines else LATEST * seconds)
        killed = killer.kill(place, executor, victim, delay, lines)
        if killed is None:
            seconds *= TOO_LATE
        else:
            killer.finish(place, executor)
            killed.differing.extend(differences(outcome(place), expected))
            done += 1
            yield killed


def main() -> None:
    """Print a line for each kill, and how many results were identical."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=30, help="divided evenly between the executors")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--executors", nargs="+", default=list(VICTIMS), type=ExecutorKind)
    options = parser.parse_args()
    random.seed(options.seed)
    identical = total = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        killer = Killer(folder)
        for executor in options.executors:
            for killed in kills(killer, folder, executor, options.kills // len(options.executors)):
                total += 1
                identical += not killed.differing
                verdict = ", ".join(killed.differing) or "identical"
                moment = f"{killed.victim} killed after {killed.seconds:4.1f} s, {killed.lines:2d} lines"
                print(f"{executor:7} {total:2d}  {moment}: {verdict}", flush=True)
        outcomes = [outcome(folder / f"{executor}-unbroken") for executor in options.executors]
    same = all(not differences(outcomes[0], other) for other in outcomes[1:])
    print(f"{total} kills, {identical} identical results; unbroken runs of all executors identical: {same}")
    sys.exit(identical < total or not same)


if __name__ == "__main__":
    main()
