"""The processes of this machine as Linux tells of them: who is below whom, and what is left of a family."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PATIENCE_SECONDS = 600.0
SPAWNED = "multiprocessing.spawn"


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
