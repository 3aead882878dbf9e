"""What every stage command does around its stage: folder, upload, progress, the line to resume with."""

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
RECORD = "run.json"


@contextmanager
def run_context(options: RunConfig, command: str, subject: str) -> Iterator[RunContext]:
    """Yield the context of a command; at the end finish its upload and print where the results are.

    Args:
        options: Device, folder, resume, verbosity.
        command: Name of the command, part of the default folder.
        subject: What it works on, such as `gtea-split1`; part of the default folder.
    """
    from g2l.training.device import resolve_device

    resolve_device(options.device)  # a wrong one is reported before anything is written
    folder = output_folder(options, command, subject)
    quiet, resume = options.quiet, options.resume
    with open_folder(folder, options.device, quiet=quiet, resume=resume, resumed_by=folder) as context:
        yield context


@contextmanager
def open_folder(
    folder: Path,
    device: str,
    *,
    quiet: bool,
    resume: bool = False,
    resumable: bool = True,
    resumed_by: Path | None = None,
) -> Iterator[RunContext]:
    """Yield the context of a command that writes into a folder.

    Args:
        folder: Where it writes.
        device: What runs the network.
        quiet: Whether to print only warnings and errors.
        resume: Whether to continue what the folder holds.
        resumable: Whether the command has a `--resume` option.
        resumed_by: Value of `--output-dir` that the line to resume with must have, or None.
    """
    from g2l.tracking.environment import tracking_uri

    console.configure(quiet=quiet)
    tracking_uri()  # a wrong one is reported before anything is written
    try:
        with _uploaded(folder, device, resume=resume) as context:
            yield context
    except KeyboardInterrupt:
        if resumable:
            console.say(f"to resume: {resume_line(sys.argv[1:], resumed_by)}")
        raise


@contextmanager
def _uploaded(
    folder: Path, device: str, *, resume: bool = False, scratch: bool = False
) -> Iterator[RunContext]:
    """Yield a context; at the end wait for its upload, and print where everything is.

    Args:
        folder: Of the command.
        device: What runs the network.
        resume: Whether to continue what the folder holds.
        scratch: Whether the folder is removed when everything was sent.
    """
    from g2l.pipeline.context import open_run
    from g2l.tracking.process import Upload

    upload = Upload(_shared("unrecorded"))
    recorded, interrupted = None, False
    try:
        with open_run(
            folder,
            device=device,
            progress=console.ConsoleProgress(),
            resume=resume,
            evaluations=_shared("evaluations"),
            on_start=upload.start,
        ) as context:
            yield context
    except KeyboardInterrupt:
        interrupted = True
        raise
    finally:
        unsent = upload.finish(interrupted=interrupted)
        recorded = upload.recorded()
        if unsent:
            console.say(unsent)
        elif scratch:
            shutil.rmtree(folder, ignore_errors=True)
    if recorded is not None:
        if recorded.page:
            console.say(f"page in MLflow: {recorded.page}")
        if recorded.serve:
            console.say(f"to serve the model: {recorded.serve}")
    if not scratch:
        run = f" · MLflow run {recorded.run_id}" if recorded else ""
        console.say(f"results: {folder}{run}")


@contextmanager
def scratch_context(*, quiet: bool) -> Iterator[RunContext]:
    """Yield the context of a command that leaves no run of its own, only what is uploaded.

    Its folder is a temporary one, which is kept only where the upload could not be completed.
    """
    console.configure(quiet=quiet)
    folder = Path(tempfile.mkdtemp(prefix="g2l-"))
    with _uploaded(folder, "cpu", scratch=True) as context:
        yield context


def _shared(name: str) -> Path | None:
    """Return a folder that runs share; None where the working directory cannot be written."""
    folder = RUNS / name
    existing = next(path for path in (folder, RUNS, Path()) if path.exists())
    return folder if os.access(existing, os.W_OK) else None


def output_folder(options: RunConfig, command: str, subject: str) -> Path:
    """Return the folder of this run: the one given, the latest one on --resume, else a new one.

    Raises:
        InputError: There is nothing to resume.
    """
    if options.output_dir is not None:
        # A folder without a record is fine: a run may be killed before it writes one.
        if options.resume and not options.output_dir.exists():
            raise _nothing_to_resume(options.output_dir)
        return options.output_dir
    parent = RUNS / command / subject
    if not options.resume:
        return parent / time.strftime("%Y%m%d-%H%M%S")
    earlier = sorted(path.parent for path in parent.glob(f"*/{RECORD}"))
    if not earlier:
        raise _nothing_to_resume(parent)
    return earlier[-1]


def resume_line(arguments: list[str], folder: Path | None = None) -> str:
    """Return the command that continues an interrupted run, which can be run as it is.

    Args:
        arguments: The command line, also as `mlflow run` writes it: `--resume false --output-dir ''`.
        folder: The run's output folder, or None for a command that is always given one.
    """
    line: list[str] = []
    remaining = [part for argument in arguments for part in _split(argument)]
    while remaining:
        argument = remaining.pop(0)
        if argument == "--output-dir":
            del remaining[:1]
        elif argument in ("--resume", "--no-resume", "--overwrite", "--no-overwrite"):
            if remaining and remaining[0].lower() in ("true", "false", ""):
                del remaining[:1]
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
    if name == "__main__.py" and "-m" in typed:
        module = typed.index("-m") + 1
        return list(typed[: module + 1]) if typed[module] in ("cli", "g2l_cli") else ["g2l"]
    if name.endswith(".py"):
        return [typed[0], script]
    found = shutil.which(name)
    on_path = found is not None and os.path.realpath(found) == os.path.realpath(script)
    return [name if on_path else script] if name == "g2l" else ["g2l"]


def _split(argument: str) -> list[str]:
    name, equals, value = argument.partition("=")
    return [name, value] if equals and name in ("--output-dir", "--resume") else [argument]


def _nothing_to_resume(folder: Path) -> InputError:
    return InputError(f"{folder}: there is no run to resume.", hint="leave --resume out to start one.")
