"""The frame of every stage command: folder, upload, progress, the command to resume."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from g2l.errors import InputError

from . import console
from .settings import RunConfig

if TYPE_CHECKING:
    from g2l.pipeline.context import RunContext

RUNS = Path("runs")


@contextmanager
def run_context(options: RunConfig, command: str, subject: str) -> Iterator[RunContext]:
    """Yield the context of a command whose default folder is named by it and by what it works on."""
    from g2l.training.device import resolve_device

    resolve_device(options.device)  # a wrong one is reported before anything is written
    folder = output_folder(options, command, subject)
    with open_folder(
        folder,
        options.device,
        quiet=options.quiet,
        resume=options.resume,
        plots=options.plots,
        resumed_by=folder,
    ) as context:
        yield context


@contextmanager
def open_folder(
    folder: Path,
    device: str,
    *,
    quiet: bool,
    resume: bool = False,
    plots: str = "svg",
    resumed_by: Path | None = None,
    scratch: bool = False,
) -> Iterator[RunContext]:
    """Yield the context of a command; at the end wait for its upload and print where the results are.

    Args:
        folder: Where it writes.
        device: What runs the network.
        quiet: Whether to print only warnings and errors.
        resume: Whether to continue what the folder holds.
        plots: Format of figures.
        resumed_by: Value of `--output-dir` that the line to resume with must have, or None.
        scratch: Whether the command leaves no run, and the folder is removed when everything was sent.
    """
    from g2l.pipeline.context import open_run
    from g2l.tracking.environment import tracking_uri
    from g2l.tracking.process import Upload

    console.configure(quiet=quiet)
    tracking_uri()  # a wrong one is reported before anything is written
    upload = Upload(_shared("unrecorded"))
    interrupted = False
    try:
        with open_run(
            folder,
            device=device,
            progress=console.ConsoleProgress(),
            resume=resume,
            evaluations=_shared("evaluations"),
            plots=plots,
            on_start=upload.start,
        ) as context:
            yield context
    except KeyboardInterrupt:
        interrupted = True
        raise
    finally:
        unsent = upload.finish(interrupted=interrupted)
        if unsent:
            console.say(unsent)
        elif scratch:
            shutil.rmtree(folder, ignore_errors=True)
        if interrupted and not scratch:
            console.say(f"to resume: {resume_line(sys.argv[1:], resumed_by)}")
    recorded = upload.recorded()
    if recorded is not None:
        if recorded.page:
            console.say(f"page in MLflow: {recorded.page}")
        if recorded.serve:
            console.say(f"to serve the model: {recorded.serve}")
    if not scratch:
        console.say(f"results: {folder}" + (f" · MLflow run {recorded.run_id}" if recorded else ""))


@contextmanager
def scratch_context(*, quiet: bool) -> Iterator[RunContext]:
    """Yield the context of a command that leaves no run of its own, only what is uploaded."""
    folder = Path(tempfile.mkdtemp(prefix="g2l-"))
    with open_folder(folder, "cpu", quiet=quiet, scratch=True) as context:
        yield context


def _shared(name: str) -> Path | None:
    """Return a folder that runs share; None where the working directory cannot be written."""
    folder = RUNS / name
    existing = next(path for path in (folder, RUNS, Path()) if path.exists())
    return folder if os.access(existing, os.W_OK) else None


def output_folder(options: RunConfig, command: str, subject: str) -> Path:
    """Return the folder of this run: the one given, the latest one on --resume, else a new one."""
    # A given folder without a record is fine: a run may be killed before it writes one.
    folder, parent = options.output_dir, RUNS / command / subject
    if folder is None and options.resume:
        folder = max((path.parent for path in parent.glob("*/run.json")), default=None)
    if options.resume and (folder is None or not folder.exists()):
        missing = parent if folder is None else folder
        raise InputError(f"{missing}: there is no run to resume.", hint="leave --resume out to start one.")
    return folder or parent / time.strftime("%Y%m%d-%H%M%S")


def resume_line(arguments: Sequence[str], folder: Path | None = None) -> str:
    """Return the command that continues an interrupted run, which a shell can run as it is.

    Args:
        arguments: The command line, also as `mlflow run` writes it: `--resume false --output-dir ''`.
        folder: The run's output folder, or None for a command that is always given one.
    """
    line: list[str] = []
    remaining = list(arguments)
    while remaining:
        name, equals, _ = (argument := remaining.pop(0)).partition("=")
        if name == "--output-dir":
            del remaining[: 0 if equals else 1]
        elif name in ("--resume", "--overwrite"):
            if not equals and remaining and remaining[0].lower() in ("true", "false", ""):
                del remaining[0]
        else:
            line.append(argument)
    place = [] if folder is None else ["--output-dir", str(folder)]
    return shlex.join([*program(sys.argv[0], sys.orig_argv), *line, *place, "--resume"])


def program(script: str, typed: Sequence[str]) -> list[str]:
    """Return how the command was called: `g2l`, `.venv/bin/g2l`, `python -m cli`, or a script.

    Args:
        script: `sys.argv[0]`.
        typed: `sys.orig_argv`.
    """
    name = Path(script).name
    if name == "g2l":
        found = shutil.which(name)
        return [name if found and os.path.realpath(found) == os.path.realpath(script) else script]
    if name == "__main__.py":
        module = [*typed, "-m"].index("-m") + 1
        return list(typed[: module + 1]) if typed[module : module + 1] in (["cli"], ["g2l_cli"]) else ["g2l"]
    return [typed[0], script] if name.endswith(".py") else ["g2l"]
