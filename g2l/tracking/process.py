"""Starting the uploader beside a run, and waiting for it at the end, as long as it makes progress."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import g2l
from g2l.errors import G2LError, OperationalError
from g2l.files import hold_folder
from g2l.records import RUN, RunRecord
from g2l.tracking import uploader
from g2l.tracking.environment import target
from g2l.tracking.upload import RecordedRun, recorded_run

PATIENCE_SECONDS = 15.0
"""How long the end of a command waits without a sign of progress."""
SYNC_SECONDS = 60.0
"""The same of `g2l sync`, which does nothing else."""
_PROBLEM_SECONDS = 10.0
"""The same where the last request has failed; it is repeated meanwhile."""
_INTERRUPTED_SECONDS, _INTERRUPTED_AT_MOST = 5.0, 10.0
_START_SECONDS = 30.0
"""How long MLflow may take to be imported on a busy machine."""

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
        self._seen = self._late = 0.0
        """When the last sign of progress was seen, and until when the next one may take."""

    def start(self, folder: Path) -> None:
        """Start to record a run, whose `run.json` is there; takes milliseconds.

        Args:
            folder: Of the root run.
        """
        self._folder = folder
        command = [sys.executable, "-P", "-m", "g2l.tracking.uploader", str(folder)]
        command += ["--joins"] if self._joins else []
        package = Path(g2l.__file__).parents[1]
        paths = [os.environ.get("PYTHONPATH", "")]
        if package.name not in ("site-packages", "dist-packages"):
            paths.insert(0, str(package))
        try:
            if self._pending is not None:
                uploader.remember(self._pending, folder)
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

        Args:
            interrupted: Whether a person waits for the end of the command: it takes 10 s at most.
            patience: Seconds without a sign of progress.

        Returns:
            One line about what is not recorded yet, or None.
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
        while not self._ended.wait(0.05) and not (interrupted and self._arrived):
            latest, end = max(self._seen, begin), max(self._late, begin) + patience
            if interrupted:
                end = min(latest + _INTERRUPTED_SECONDS, begin + _INTERRUPTED_AT_MOST)
            elif self._failing:
                end = min(end, latest + _PROBLEM_SECONDS)
            if time.monotonic() > end:
                return

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with suppress(OSError, ValueError):
            for text in process.stdout:
                line = json.loads(text)
                if "allow" in line:
                    self._failing = self._failing and line["allow"] > 0  # 0: a request has succeeded
                    if not self._failing:
                        self._seen = time.monotonic()
                        self._late = self._seen + line["allow"]
                elif "arrived" in line:
                    self._arrived = True
                elif "note" in line:
                    self._tell(line["note"])
                elif self._folder is not None and (self._folder / RUN).exists():
                    if self.problem is None and self._joins:
                        self._tell(f"{line['problem'].rstrip('.')}; the records wait in the run's folder.")
                    self.problem, self.hint, self._failing = line["problem"], line["hint"], True
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
    """Record a run that is over; return where MLflow keeps it.

    Args:
        folder: Of the run, or of a stage of it.

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
