"""What every stage stands on: its folder, its record, and the run that tracks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from g2l.errors import InputError
from g2l.files import ensure_folder, read_json, write_json
from g2l.progress import NullProgress, Progress
from g2l.tracking.environment import environment
from g2l.tracking.protocol import FOLDER_TAG, NullTracker, Run, RunKind, RunStatus, Tracker

SCHEMA = "g2l.run/1"
RECORD = "run.json"
RESULT = "result.json"
DATA_FACTS = "dataset.json"


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """Where and how stages run; the same for all stages of one command.

    Attributes:
        folder: Output folder of the stage.
        tracker: Where root runs are opened.
        parent: Run of the enclosing stage, or None at the root.
        progress: Where progress is shown.
        device: `auto`, `cpu` or `cuda`.
        resume: Whether to continue what the folder holds.
        evaluations: Folder of candidate evaluations that runs share, or None to share none.
    """

    folder: Path
    tracker: Tracker = field(default_factory=NullTracker)
    parent: Run | None = None
    progress: Progress = field(default_factory=NullProgress)
    device: str = "auto"
    resume: bool = False
    evaluations: Path | None = None

    def below(self, name: str, parent: Run) -> Workplace:
        """Return the workplace of a stage inside this one."""
        return replace(self, folder=self.folder / name, parent=parent)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One open stage.

    Attributes:
        place: Where it runs.
        run: The run that tracks it.
        result: What it wrote when it finished before, or None.
    """

    place: Workplace
    run: Run
    result: Any = None

    @property
    def folder(self) -> Path:
        """Output folder of the stage."""
        return self.place.folder

    def below(self, name: str) -> Workplace:
        """Return the workplace of a stage inside this one."""
        return self.place.below(name, self.run)

    def finish(self, result: Any) -> None:
        """Write the result: from now on the stage counts as done and is not repeated on resume."""
        write_json(self.folder / RESULT, result)
        self.run.log_artifact(self.folder / RESULT)

    def once(self, name: str, work: Callable[[Workplace], None]) -> None:
        """Do a short stage inside this one that is repeated from its start, unless it was finished before.

        Args:
            name: Its folder below that of this stage.
            work: Does it in the workplace it is given.
        """
        place = self.below(name)
        if not (place.folder / RESULT).exists():
            work(place)
            write_json(place.folder / RESULT, {})


@contextmanager
def open_stage(place: Workplace, kind: RunKind, name: str, settings: Mapping[str, Any]) -> Iterator[Stage]:
    """Open the folder and the run of a stage; record how it ended.

    Args:
        place: Where it runs.
        kind: Kind of the tracked run.
        name: Name of the tracked run.
        settings: The resolved configuration as JSON values; a resumed stage must have the same.

    A stage that is refused before it has written anything leaves no folder, so that it counts as no run.

    Raises:
        InputError: The folder holds a run and resuming was not asked for, or it holds another run.
    """
    missing = [folder for folder in (place.folder, *place.folder.parents) if not folder.exists()]
    ensure_folder(place.folder)
    record = _record(place, kind, settings)
    fresh = not record
    finished = place.folder / RESULT
    result = _json_object(finished) if finished.exists() else None
    try:
        with tracked(place, kind, name, run_id=record.get("run_id")) as run:
            run.log_params(settings)  # on resume too: the store may not know the run any more
            write_record(place, run, kind, settings, record)
            yield Stage(place=place, run=run, result=result)
    except InputError:
        if fresh:
            _leave_nothing(place.folder, missing)
        raise


def _leave_nothing(folder: Path, made: Sequence[Path]) -> None:
    """Take back what describes a stage that was refused, and its folders, unless it has written more.

    Args:
        folder: Of the stage.
        made: It and those above it, innermost first, as far as the stage made them.
    """
    written = list(folder.iterdir())
    if {path.name for path in written} <= {RECORD, DATA_FACTS}:
        for path in written:
            path.unlink()
    with suppress(OSError):  # up to the first that holds something else
        for path in made:
            path.rmdir()


def write_record(
    place: Workplace,
    run: Run,
    kind: RunKind,
    settings: Mapping[str, Any],
    earlier: Mapping[str, Any] | None = None,
) -> None:
    """Write `run.json` and keep it with the run; that of a command says by what it was started.

    Args:
        place: Whose folder gets it.
        run: The tracked run.
        kind: Its kind.
        settings: The resolved configuration as JSON values.
        earlier: What the file held, where the run is resumed.
    """
    record = dict(earlier or {})
    if place.parent is None:
        record.setdefault("environment", environment())
    record |= {"schema": SCHEMA, "kind": kind.value, "settings": dict(settings), "run_id": run.run_id}
    write_json(place.folder / RECORD, record)
    run.log_artifact(place.folder / RECORD)
    run.set_tags({FOLDER_TAG: place.folder.name})


@contextmanager
def tracked(place: Workplace, kind: RunKind, name: str, *, run_id: str | None = None) -> Iterator[Run]:
    """Open a run below the place's parent, or a root run, and record how it ended.

    Args:
        place: Where the work is done.
        kind: Kind of the run.
        name: Name of the run.
        run_id: Run to reopen, or None for a new one.
    """
    if place.parent is None:
        run: Run = place.tracker.start(name=name, kind=kind, run_id=run_id)
    else:
        run = place.parent.child(name=name, kind=kind, run_id=run_id)
    status, reason = RunStatus.FAILED, None
    try:
        yield run
        status = RunStatus.FINISHED
    except (KeyboardInterrupt, SystemExit):
        status, reason = RunStatus.KILLED, "interrupted"
        raise
    except Exception as error:
        reason = str(error)
        raise
    finally:
        run.finish(status, reason)


def _json_object(path: Path) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected an object, but found {type(value).__name__}.")
    return value


def _record(place: Workplace, kind: RunKind, settings: Mapping[str, Any]) -> dict[str, Any]:
    path = place.folder / RECORD
    if not path.exists():
        return {}
    if not place.resume:
        raise InputError(
            f"{place.folder}: already holds a {kind.value} run.",
            hint="add --resume to continue it, or choose another --output-dir.",
        )
    record = _json_object(path)
    if record.get("schema") != SCHEMA or record.get("kind") != kind.value:
        raise InputError(f"{path}: expected a {kind.value} run, but found {record.get('kind')!r}.")
    if not isinstance(record.get("settings"), dict):
        raise InputError(f"{path}: expected `settings` to be an object.")
    before, now = _flat(record["settings"]), _flat(settings)
    differing = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    if differing:
        changes = ", ".join(f"`{n}` was {before.get(n)!r} and is {now.get(n)!r}" for n in differing)
        raise InputError(
            f"{path}: was started with other settings: {changes}.",
            hint="resume with the settings it was started with, or choose another --output-dir.",
        )
    return record


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings under dotted names, each as JSON would give it back."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = _json(value)
    return flat


def _json(value: Any) -> Any:
    """Return a sequence as JSON would give it back, so that tuples compare equal to lists."""
    return [_json(item) for item in value] if isinstance(value, list | tuple) else value
