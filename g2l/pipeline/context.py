"""The context that a command builds once, and the records that every stage leaves in its folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from g2l.config import BackboneConfig, DataConfig, GlobalSearchConfig, RecipeConfig
from g2l.errors import G2LError, InputError, brief
from g2l.figures.style import save_figure
from g2l.files import ensure_folder, read_json, remove_torn
from g2l.pipeline.data import DataSets
from g2l.pipeline.output import LOCK, MANIFEST, locked, refuse_foreign_folder
from g2l.progress import NullProgress, Progress
from g2l.records import (
    DATASET,
    FIGURES,
    FOLDS,
    RESULT,
    RUN,
    SCHEMA,
    STATUS,
    RunKind,
    RunRecord,
    RunStatus,
    StatusRecord,
    read_result,
)
from g2l.search.budget import CostPlan
from g2l.search.candidates import SearchObserver
from g2l.search.journal import changed_settings
from g2l.settings import Settings, setting_fields
from g2l.structure import DilationStructure
from g2l.tracking.environment import environment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PLACEMENT = frozenset(
    name
    for config in (DataConfig, GlobalSearchConfig)
    for name, one in setting_fields(config).items()
    if not one.changes_result
)
"""Settings that change no result, so that a resumed run may change them."""

RECORDS = (RUN, STATUS, RESULT, DATASET, FOLDS, "tracking.json")
"""Files that describe a stage; those of an earlier run are removed with what they describe."""

_log = logging.getLogger("g2l")


@dataclass(frozen=True, kw_only=True)
class StageTask:
    """Data, network and recipe of a stage; a subclass adds its own settings."""

    data: DataConfig
    backbone: BackboneConfig
    recipe: RecipeConfig

    def settings(self) -> dict[str, Any]:
        """Return the resolved configuration as JSON values."""
        return {one.name: _plain(getattr(self, one.name)) for one in fields(self)}


def _plain(value: Any) -> Any:
    if isinstance(value, DilationStructure):
        return value.as_lists()
    return value.as_dict() if isinstance(value, Settings) else value


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """Where and how the stages of one command run; an open stage is a context with a run id.

    Attributes:
        folder: Output folder of the command, or of the open stage.
        device: `auto`, `cpu` or `cuda`.
        progress: Where progress is shown.
        resume: Whether to continue what the folder holds.
        evaluations: Folder of candidate evaluations that runs share, or None to share none.
        plots: Format of figures: svg, pdf or png.
        data: The data sets of the command, each opened once.
        on_start: Called with the folder of the command when its `run.json` is there, or None.
        on_plan: Called with the cost of a search, and of what follows it, before it starts, or None.
        observers: Called with every evaluation and generation of a global search.
        run_id: Identifier of the open stage; empty while none is open.
        started_at: When the open stage was first started, in milliseconds since 1970.
        result: What the open stage found when it finished before, or None.
    """

    folder: Path
    device: str = "auto"
    progress: Progress = field(default_factory=NullProgress)
    resume: bool = False
    evaluations: Path | None = None
    plots: str = "svg"
    data: DataSets = field(default_factory=DataSets, compare=False)
    on_start: Callable[[Path], None] | None = None
    on_plan: Callable[[CostPlan], None] | None = None
    observers: Sequence[SearchObserver] = ()
    run_id: str = ""
    started_at: int = 0
    result: Mapping[str, Any] | None = None

    @contextmanager
    def stage(
        self, kind: RunKind, name: str, settings: Mapping[str, Any], folder: str = "", *, fixed: bool = True
    ) -> Iterator[RunContext]:
        """Open a stage and record how it ended.

        A stage that is refused with an `InputError` leaves nothing behind if it is new, and the status it had
        if it is resumed.

        Args:
            kind: What it does.
            name: What people read.
            settings: The resolved configuration as JSON values; a resumed stage must have the same.
            folder: Its folder below that of this context; empty for the folder itself.
            fixed: Whether other settings are refused on resume; else they make it a new run.

        Raises:
            InputError: The folder holds a stage and resuming was not asked for, or it holds another stage.
        """
        place = self.folder / folder
        made = _missing(place)
        ensure_folder(place)
        root = not self.run_id
        earlier = self._earlier(place, kind)
        if earlier is not None and (
            changes := changed_settings(earlier.settings, settings, ignored=_PLACEMENT)
        ):
            if fixed:
                raise InputError(
                    f"{place / RUN}: was started with other settings: {changes}.",
                    hint="resume with the settings it was started with, or choose another --output-dir.",
                )
            earlier = None
        status = None if earlier is None else StatusRecord.read(place)
        result = None if earlier is None else _trusted_result(place)
        record = earlier or RunRecord(
            kind=kind, name=name, settings=settings, environment=environment() if root else None
        )
        try:
            if earlier is None:
                record.write(place)
            if root and self.on_start is not None:
                self.on_start(place)
            with _recorded(place, status):
                yield replace(
                    self, folder=place, run_id=record.id, started_at=record.started_at, result=result
                )
        except InputError:
            if earlier is None:
                _leave_nothing(place, made)
            elif status is not None:
                status.write(place)
            raise

    def draw(self, name: str, figure: Figure) -> None:
        """Write a figure of the open stage."""
        save_figure(self.folder / FIGURES / f"{name}.{self.plots}", figure)

    def _earlier(self, place: Path, kind: RunKind) -> RunRecord | None:
        """Return the record of the stage that is to be resumed, None where there is none."""
        if not (place / RUN).exists():
            return None
        record = RunRecord.read(place)
        if record.kind is not kind:
            raise InputError(
                f"{place / RUN}: expected a {kind.value} run, but found {record.kind.value!r}.",
                hint="choose another output folder.",
            )
        if not self.resume:
            replaced = "--overwrite to replace it, " if kind is RunKind.PREDICT else ""
            raise InputError(
                f"{place}: already holds a {kind.value} run.",
                hint=f"add --resume to continue it, {replaced}or choose another folder.",
            )
        if read_json(place / RUN).get("schema") != SCHEMA:
            raise InputError(
                f"{place}: was written by g2l 0.1.0, whose runs cannot be resumed.",
                hint="start a new run in another --output-dir.",
            )
        return record


@contextmanager
def open_run(folder: Path, **options: Any) -> Iterator[RunContext]:
    """Own the output folder of a command until it ends, and yield the context that its stages run in.

    Args:
        folder: Made if it is missing, and removed again if nothing is written.
        options: Other attributes of `RunContext`.

    Raises:
        InputError: The folder holds files of others, belongs to a data set, or is in use by another process.
    """
    refuse_foreign_folder(folder)
    made = _missing(folder)
    try:
        with locked(folder):
            context = RunContext(folder=folder, **options)
            if context.resume:
                for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
                    remove_torn(path)
            yield context
    finally:
        _remove_empty(made)


@contextmanager
def _recorded(folder: Path, before: StatusRecord | None) -> Iterator[None]:
    """Write that a stage runs, then how it ended; nothing where it had finished and still has."""
    finished = before is not None and before.status is RunStatus.FINISHED and (folder / RESULT).exists()
    if not finished:
        StatusRecord(status=RunStatus.RUNNING).write(folder)
    try:
        yield
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        interrupted = not isinstance(error, Exception)
        status = RunStatus.KILLED if interrupted else RunStatus.FAILED
        reason = "interrupted" if interrupted else brief(error)
        with suppress(G2LError):  # a disk that refuses that too must not hide why the stage broke off
            StatusRecord(status=status, reason=reason).write(folder)
        raise
    if not finished:
        StatusRecord(status=RunStatus.FINISHED).write(folder)


def _trusted_result(folder: Path) -> dict[str, Any] | None:
    """Return what a stage found when it finished, None where it has not or its files have changed."""
    result = read_result(folder)
    if result is None and (folder / RESULT).exists():
        _log.warning("%s: files of the result are missing or were changed; it is made again.", folder)
        (folder / RESULT).unlink()
    return result


def _missing(folder: Path) -> list[Path]:
    """Return a folder and those above it that do not exist, innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders, innermost first, up to the first that holds something."""
    with suppress(OSError):
        for path in folders:
            path.rmdir()


def _leave_nothing(folder: Path, made: Sequence[Path]) -> None:
    """Take back the records of a stage that was refused, and its folders, unless it has written more."""
    ours = {*RECORDS, MANIFEST}
    written = {path.name for path in folder.iterdir()} - {LOCK}
    if written <= ours:
        for name in written & ours:
            (folder / name).unlink()
    _remove_empty(made)
