"""The process beside a run that records its folder in MLflow: `python -m g2l.tracking.uploader FOLDER`.

It reads `finish` from its standard input once the run has written its last record; the end of the input
without it means that the process of the run is dead. It writes one JSON object a line: `allow` (a sign of
progress, and how many seconds the next request may take), `problem` with `hint`, `note`, `arrived`. Nothing
else is written anywhere: the output of MLflow, SQLAlchemy and the interpreter goes to /dev/null.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import threading
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from g2l.errors import G2LError, OperationalError
from g2l.files import hold_folder, read_json, remove_torn, write_json
from g2l.records import RUN, RunRecord
from g2l.tracking.environment import load_mlflow, target
from g2l.tracking.store import reason
from g2l.tracking.upload import TRACKING, Uploader

INTERVAL_SECONDS = 2.0
_SHARE = 20
"""A pass may take one part in so many of this process's time."""
_LONGEST_WAIT = 30.0
_PATIENCE_SECONDS = 60.0
"""Longest wait for the store after the run has died; a live run ends this process itself."""


class Control:
    """Messages from and to the process of the run."""

    def __init__(self, commands: TextIO, answers: TextIO) -> None:
        self.over = threading.Event()
        self.dead = False
        self._answers = answers
        self._told: set[str] = set()
        threading.Thread(target=self._listen, args=[commands], daemon=True).start()

    def tell(self, **line: Any) -> None:
        """Write one line; a reader that is gone changes nothing."""
        with suppress(OSError, ValueError):
            self._answers.write(f"{json.dumps(line)}\n")
            self._answers.flush()

    def tell_once(self, **line: Any) -> None:
        """Write one line unless it was written before."""
        text = json.dumps(line)
        if text not in self._told:
            self._told.add(text)
            self.tell(**line)

    def _listen(self, commands: TextIO) -> None:
        self.dead = commands.readline().strip() != "finish"
        self.over.set()


def main() -> None:
    """Record one run until it is over, then what earlier runs left."""
    parser = ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pending", type=Path)
    parser.add_argument("--joins", action="store_true")
    options = parser.parse_args()
    control = Control(sys.stdin, _private_output())
    os.nice(5)
    try:
        load_mlflow()
        control.tell(allow=0.0)
        record_run(options.folder, control, joins=options.joins)
        if options.pending is not None:
            forget(options.pending, options.folder)
        control.tell(arrived=True)
        if options.pending is not None:
            record_others(options.pending, control)
    except G2LError as error:
        control.tell(problem=error.message, hint=error.hint)
        sys.exit(1)
    except Exception as error:  # a bug of ours must not end the run without a word
        control.tell(problem=f"the uploader stopped ({type(error).__name__}: {reason(error)})", hint=None)
        sys.exit(1)


def record_run(folder: Path, control: Control, *, joins: bool) -> None:
    """Mirror a run until it is over and has arrived.

    Raises:
        InputError: The folder holds no run that can be read.
        OperationalError: The run's process is dead, and the store does not answer.
    """
    with only_uploader(folder, control):
        remove_torn(folder, TRACKING)
        uploader = _uploader(folder, control, joins=joins)
        wait, progress_at = INTERVAL_SECONDS, time.monotonic()
        while True:
            over, started = control.over.is_set(), time.monotonic()
            try:
                if uploader.step(over=over) and over:
                    return
                wait = max(INTERVAL_SECONDS, _SHARE * (time.monotonic() - started))
                progress_at = time.monotonic()
            except OperationalError as error:  # of the store, or of the disk that holds the run
                control.tell(problem=error.message, hint=error.hint)
                wait = min(2 * wait, _LONGEST_WAIT)
                if control.dead and time.monotonic() > progress_at + _PATIENCE_SECONDS:
                    raise
            finally:
                for note in uploader.notes:
                    control.tell_once(note=note)
            if over:
                time.sleep(min(wait, INTERVAL_SECONDS))
            else:
                control.over.wait(wait)


def record_others(pending: Path, control: Control) -> None:
    """Record what earlier runs could not; one that is still being worked on is left to its own uploader."""
    for entry in sorted(pending.glob("*.json")):
        try:
            folder = pending / read_json(entry)["folder"]
            if not (folder / RUN).exists():
                entry.unlink(missing_ok=True)
                continue
            with hold_folder(folder), only_uploader(folder, control, wait=False):
                if _uploader(folder, control, keeps_store=True).step(over=True):
                    forget(pending, folder)
        except (G2LError, KeyError, TypeError, OSError):
            continue  # it stays where it is


def _uploader(folder: Path, control: Control, **choice: bool) -> Uploader:
    goal = target(RunRecord.read(folder).environment, **choice)
    return Uploader(folder, goal, lambda seconds: control.tell(allow=seconds))


def remember(pending: Path, folder: Path) -> None:
    """Note that a run may not be recorded yet."""
    write_json(_entry(pending, folder), {"folder": os.path.relpath(folder, pending)})


def forget(pending: Path, folder: Path) -> None:
    """Note that a run is recorded."""
    _entry(pending, folder).unlink(missing_ok=True)
    with suppress(OSError):
        pending.rmdir()


def _entry(pending: Path, folder: Path) -> Path:
    return pending / f"{RunRecord.read(folder).id}.json"


@contextmanager
def only_uploader(folder: Path, control: Control, *, wait: bool = True) -> Iterator[None]:
    """Be the only process that records a run.

    Raises:
        OperationalError: Another one does, and `wait` is false.
    """
    problem = f"{folder}: another process records this run"
    with (folder / RUN).open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise OperationalError(f"{problem}.") from None
            control.tell(problem=problem, hint=None)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks
        yield


def _private_output() -> TextIO:
    """Keep the standard output for the protocol, and turn away all that others write."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    return answers


if __name__ == "__main__":
    main()
