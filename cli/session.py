"""What every stage command does around its stage: folder, tracker, progress, the line to resume with."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from g2l.errors import InputError

from . import console
from .settings import RunConfig

if TYPE_CHECKING:
    from g2l.pipeline.stage import Workplace

RUNS = Path("runs")
RECORD = "run.json"


@contextmanager
def workplace(options: RunConfig, command: str, subject: str) -> Iterator[Workplace]:
    """Yield where a command works; at the end send what is tracked and say where the results are.

    Args:
        options: Device, folder, resume, how much is said.
        command: Name of the command, part of the default folder.
        subject: What it works on, such as `gtea-split1`; part of the default folder.
    """
    from g2l.training.device import resolve_device

    resolve_device(options.device)  # a wrong one is told before anything is written
    folder = output_folder(options, command, subject)
    try:
        with _opened(options, folder) as place:
            yield place
    except KeyboardInterrupt:
        console.say(f"to resume: {resume_line(sys.argv[1:], folder)}")
        raise


@contextmanager
def quick_workplace(
    folder: Path, device: str, *, quiet: bool, resume: bool | None = None
) -> Iterator[Workplace]:
    """Yield where a command works that keeps no run of its own in its folder.

    Args:
        folder: Where it writes.
        device: What runs the model.
        quiet: Whether to say only warnings and errors.
        resume: Whether to leave alone what is done there, or None for a command that does all of it again.
    """
    options = RunConfig(device=device, output_dir=folder, quiet=quiet, resume=bool(resume))
    try:
        with _opened(options, folder) as place:
            yield place
    except KeyboardInterrupt:
        if resume is not None:
            console.say(f"to resume: {resume_line(sys.argv[1:])}")
        raise


def announce(place: Workplace, run_id: str | None) -> None:
    """Say, last of all, where the results are."""
    console.say(f"results: {place.folder}" + (f" · MLflow run {run_id}" if run_id else ""))


@contextmanager
def _opened(options: RunConfig, folder: Path) -> Iterator[Workplace]:
    from g2l.pipeline.stage import Workplace
    from g2l.tracking.mlflow_tracker import MlflowTracker

    console.configure(quiet=options.quiet)
    tracker = MlflowTracker(spool=RUNS / "tracking")
    try:
        yield Workplace(
            folder=folder,
            tracker=tracker,
            progress=console.ConsoleProgress(),
            device=options.device,
            resume=options.resume,
            evaluations=RUNS / "evaluations",
        )
    finally:
        unsent = tracker.close()
        if unsent:
            console.say(unsent)


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
    """Return the command that continues an interrupted run.

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
        elif argument in ("--resume", "--no-resume"):
            if remaining and remaining[0].lower() in ("true", "false", ""):
                del remaining[:1]
        else:
            line.append(argument)
    place = [] if folder is None else ["--output-dir", str(folder)]
    return shlex.join(["g2l", *line, *place, "--resume"])


def _split(argument: str) -> list[str]:
    name, equals, value = argument.partition("=")
    return [name, value] if equals and name in ("--output-dir", "--resume") else [argument]


def _nothing_to_resume(folder: Path) -> InputError:
    return InputError(f"{folder}: there is no run to resume.", hint="leave --resume out to start one.")
