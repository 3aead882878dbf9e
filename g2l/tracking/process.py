"""The process beside a run that records its folder in MLflow, and `Upload`, which starts and ends it.

`python -m g2l.tracking.process FOLDER` reads `finish` from its standard input once the run has written its
last record; the end of the input without it means that the process of the run is dead. It writes one JSON
object a line: `allow` (a sign of progress, and how many seconds the next request may take), `problem` with
`hint`, `note`, `arrived`. The output of MLflow, SQLAlchemy and the interpreter goes to /dev/null.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TextIO

import g2l
from g2l.errors import G2LError, OperationalError
from g2l.files import hold_folder, read_json, remove_torn, write_json
from g2l.records import RUN, RunRecord
from g2l.tracking.environment import load_mlflow, target
from g2l.tracking.store import reason
from g2l.tracking.upload import TRACKING, RecordedRun, Uploader, recorded_run

PATIENCE_SECONDS = 15.0
"""How long the end of a command waits without a sign of progress."""
SYNC_SECONDS = 60.0
"""The same of `g2l sync`, which does nothing else, and of an uploader whose run has died."""
_INTERRUPTED_SECONDS, _INTERRUPTED_AT_MOST = 5.0, 10.0
_FAILING_SECONDS = 10.0
"""The longest wait for a store whose last answer was an error."""
_START_SECONDS = 30.0
"""How long MLflow may take to be imported on a busy machine."""
INTERVAL_SECONDS = 2.0
_SHARE = 20
"""A pass may take one part in so many of this process's time."""
_LONGEST_WAIT = 30.0

logger = logging.getLogger("g2l")


class Upload:
    """The uploader of one command; owned by one thread. Nothing here raises because of the store.

    Args:
        pending: Folder that remembers runs which are not recorded yet, for the next uploader, or None.
        tell: Called once for each problem, while the run goes on.
        joins: Whether `MLFLOW_RUN_ID` is meant for this run.
    """

    def __init__(
        self, pending: Path | None = None, *, tell: Callable[[str], None] | None = None, joins: bool = True
    ) -> None:
        self.problem: str | None = None
        self.hint: str | None = None
        self._pending = pending
        self._tell = tell or (lambda line: logger.warning("%s", line))
        self._joins = joins
        self._folder: Path | None = None
        self._process: subprocess.Popen[str] | None = None
        self._arrived = self._failing = False
        self._ended = threading.Event()
        self._late = 0.0
        """When the next sign of progress is due."""

    def start(self, folder: Path) -> None:
        """Start to record a root run, whose `run.json` is there; takes milliseconds."""
        self._folder = folder
        command = [sys.executable, "-P", "-m", "g2l.tracking.process", str(folder)]
        command += ["--joins"] if self._joins else []
        package = Path(g2l.__file__).parents[1]
        paths = [os.environ.get("PYTHONPATH", "")]
        if package.name not in ("site-packages", "dist-packages"):
            paths.insert(0, str(package))
        try:
            if self._pending is not None:
                remember(self._pending, folder)
                command += ["--pending", str(self._pending)]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
                start_new_session=True,  # Ctrl-C is for the command, which informs the uploader
            )
        except (OSError, G2LError) as error:
            self.problem = f"the uploader cannot be started ({error})"
            return
        self._late = time.monotonic() + _START_SECONDS
        threading.Thread(target=self._read, args=[self._process], daemon=True).start()

    def recorded(self) -> RecordedRun | None:
        """Return where MLflow keeps the run, None where it is not recorded."""
        if self._folder is None:
            return None
        try:
            environment = RunRecord.read(self._folder).environment
            return recorded_run(self._folder, target(environment, joins=self._joins))
        except G2LError:
            return None

    def finish(self, *, interrupted: bool = False, patience: float = PATIENCE_SECONDS) -> str | None:
        """Wait until everything is recorded, as long as that makes progress, and end the uploader.

        After Ctrl-C (`interrupted`) it takes 10 s at most. Return a line on what is not recorded, or None.
        """
        process, folder = self._process, self._folder
        refused = folder is None or not (folder / RUN).exists()  # the run has removed its record
        if process is not None:
            try:
                if not refused:
                    self._wait(process, interrupted, patience)
            finally:
                _end(process)
        if refused or self._arrived:
            return None
        why = self.problem or "MLflow has not answered in time"
        return f"{why.rstrip('.')}; not recorded yet: run `g2l sync {folder}`"

    def _wait(self, process: subprocess.Popen[str], interrupted: bool, patience: float) -> None:
        """Return when the uploader has ended or makes no progress; after Ctrl-C not for other runs."""
        with suppress(OSError):
            assert process.stdin is not None
            process.stdin.write("finish\n")
            process.stdin.close()
        begin = time.monotonic()
        patience = min(patience, _INTERRUPTED_SECONDS) if interrupted else patience
        while not self._ended.wait(0.05) and not (interrupted and self._arrived):
            end = max(self._late, begin) + (min(patience, _FAILING_SECONDS) if self._failing else patience)
            if time.monotonic() > (min(end, begin + _INTERRUPTED_AT_MOST) if interrupted else end):
                return

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with suppress(OSError, ValueError):
            for text in process.stdout:
                line, now = json.loads(text), time.monotonic()
                if "allow" in line:
                    self._failing = self._failing and line["allow"] > 0  # 0: a request has succeeded
                    if not self._failing:
                        self._late = now + line["allow"]
                elif "arrived" in line:
                    self._arrived = True
                elif "note" in line:
                    self._tell(line["note"])
                elif self._folder is not None and (self._folder / RUN).exists():
                    if self.problem is None and self._joins:
                        self._tell(f"{line['problem'].rstrip('.')}; the records wait in the run's folder.")
                    self.problem, self.hint, self._failing = line["problem"], line["hint"], True
                    self._late = min(self._late, now)
        self._ended.set()


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(OSError):
        process.terminate()
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def record(folder: Path) -> RecordedRun:
    """Record a run that is over, given by its folder or that of a stage; return where MLflow keeps it.

    Raises:
        InputError: The folder holds no run.
        OperationalError: The run is still going on, or the store does not answer.
    """
    while (folder.absolute().parent / RUN).exists():
        folder = folder.absolute().parent
    RunRecord.read(folder)
    with hold_folder(folder):
        upload = Upload(joins=False)
        upload.start(folder)
        late, recorded = upload.finish(patience=SYNC_SECONDS), upload.recorded()
        if late is not None or recorded is None:
            problem = upload.problem or "MLflow has not answered in time"
            raise OperationalError(f"{folder}: not recorded: {problem}", hint=upload.hint)
        return recorded


class Control:
    """Messages from and to the process of the run."""

    def __init__(self, commands: TextIO, answers: TextIO) -> None:
        self.over = threading.Event()
        self.dead = False
        self._answers = answers
        threading.Thread(target=self._listen, args=[commands], daemon=True).start()

    def tell(self, **line: Any) -> None:
        """Write one line; a reader that is gone changes nothing."""
        with suppress(OSError, ValueError):
            self._answers.write(f"{json.dumps(line)}\n")
            self._answers.flush()

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
    """Mirror a run until it is over and has arrived; another process that records it is waited for.

    Raises:
        InputError: The folder holds no run that can be read.
        OperationalError: The run's process is dead, and the store does not answer.
    """
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(hold_folder(folder / RUN))
                break
            except OperationalError:
                control.tell(problem=f"{folder}: another process records this run", hint=None)
                time.sleep(INTERVAL_SECONDS)
        remove_torn(folder, TRACKING)
        uploader, told = _uploader(folder, control, joins=joins), 0
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
                if control.dead and time.monotonic() > progress_at + SYNC_SECONDS:
                    raise
            finally:
                for note in uploader.notes[told:]:
                    control.tell(note=note)
                told = len(uploader.notes)
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
            with hold_folder(folder), hold_folder(folder / RUN):
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
