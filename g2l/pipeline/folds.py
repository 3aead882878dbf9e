"""Several folds in one run: each is a stage of its own in `fold-<k>`.

A search is done in each fold, or once for all of them, as in the paper. Done once it sees the videos that
every fold trains on and none tests on (deviation: the paper applies what it searched on one fold, whose train
part holds test videos of the others).
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from g2l.config import DataConfig
from g2l.datasets.layout import common_videos, find_dataset, read_folds
from g2l.errors import InputError, OperationalError
from g2l.pipeline.context import RunContext, StageTask
from g2l.pipeline.data import DataSets
from g2l.progress import NullProgress
from g2l.records import FoldsRecord, RunKind, fold_folder, write_result
from g2l.search.executors.process import WorkerProcess
from g2l.structure import DilationStructure

ALL = "all"
_FOLDS = re.compile(r"\s*\d{1,9}\s*(,\s*\d{1,9}\s*)*", re.ASCII)

_log = logging.getLogger("g2l")


Task = TypeVar("Task", bound=StageTask)
T = TypeVar("T")
Work = Callable[[RunContext, Task, str], T]
"""Takes the context of a fold, the task on its data and its folder below that of the context; picklable."""


def chosen_folds(data: DataConfig, text: str, *, tested: bool = False) -> tuple[int, ...]:
    """Return the folds that `--split` names: one, several such as `1,3`, or all that have test videos.

    With `tested`, a fold without test videos is refused.

    Raises:
        InputError: The text names no folds, one of them twice, or one that the data set lacks.
    """
    folder = find_dataset(data)
    if text.strip().lower() == ALL:
        folds = folder.splits()
        if not folds:
            raise InputError(f"{folder.path / 'splits'}: expected train.split<k>.bundle, found none.")
    elif _FOLDS.fullmatch(text):
        folds = tuple(map(int, text.split(",")))
    else:
        raise InputError(f"`--split` must be a fold, several such as 1,3, or all, but is {text!r} instead.")
    if len(set(folds)) < len(folds):
        raise InputError(f"`--split` must name each fold once, but is {text!r} instead.")
    untested = [fold for fold, (_, test) in read_folds(folder, folds).items() if not test]
    if text.strip().lower() == ALL and len(untested) < len(folds):
        return tuple(fold for fold in folds if fold not in untested)
    if tested and untested:
        raise InputError(
            f"{folder.bundles(untested[0])[1]}: expected test videos, found none.",
            hint="`g2l train` trains without test videos.",
        )
    return folds


def fold_data(data: DataConfig, folds: Sequence[int]) -> tuple[DataConfig, ...]:
    """Return how the data of each fold is read."""
    return tuple(data.replace(split=fold, common=()) for fold in folds)


def common_data(data: DataConfig, folds: Sequence[int]) -> DataConfig:
    """Return how the data of one search for several folds is read."""
    return data.replace(split=folds[0], common=tuple(folds) if len(folds) > 1 else ())


def refuse_leaks(path: Path, provenance: Mapping[str, Any], data: DataConfig, folds: Sequence[int]) -> None:
    """Raise `InputError` if the structure of a file was searched on test videos of the folds it is for.

    `provenance` is what it records of its search; one that does not name a split is not checked.
    """
    text = str(provenance.get("split"))
    if provenance.get("dataset") != data.dataset or not _FOLDS.fullmatch(text):
        return
    folder, searched = find_dataset(data), list(map(int, text.split(",")))
    if not set(searched) <= set(folder.splits()):
        return  # bundles that are gone
    seen, _ = common_videos(list(read_folds(folder, searched).values()))
    for fold, (_, test) in read_folds(folder, folds).items():
        if leaked := [name for name in test if name in seen]:
            raise InputError(
                f"{path}: was searched on split {text}, which has seen {len(leaked)} of the {len(test)} test "
                f"videos of fold {fold}, such as {leaked[0]}.",
                hint="search in each fold by itself (--search-per-fold), or on videos that no fold tests on "
                f"(g2l search-global --split {','.join(map(str, folds))}), if there are any.",
            )


@contextmanager
def open_folds(
    context: RunContext,
    name: str,
    data: DataConfig,
    folds: Sequence[int],
    settings: Mapping[str, Any],
    *,
    common: bool = False,
) -> Iterator[RunContext]:
    """Open the run that several folds belong to; record and log which videos each choice sees.

    `name` is what is done in each fold; with `common` there is one search for all of them.
    """
    joined = common_data(data, folds)
    sides = read_folds(find_dataset(data), folds)
    known = {**settings, "data": joined.as_dict(), "one_search": common}
    with context.stage(RunKind.FOLDS, f"{name} {data.dataset} splits {joined.fold_names}", known) as stage:
        if FoldsRecord.read(stage.folder) is None:
            FoldsRecord(
                folds=folds,
                search=common_videos(list(sides.values()))[0] if common else None,
                train={fold_folder(fold): train for fold, (train, _) in sides.items()},
                test={fold_folder(fold): test for fold, (_, test) in sides.items()},
            ).write(stage.folder)
        if common:
            log_common(joined)
        what = "All other choices" if common else "All choices"
        _log.info("%s of this run within a fold use its train videos only (listed in folds.json).", what)
        yield stage


def log_common(data: DataConfig) -> None:
    """Log which videos one search for several folds sees."""
    sides = read_folds(find_dataset(data), data.folds)
    videos = {name for side in sides.values() for part in side for name in part}
    common, _ = common_videos(list(sides.values()))
    _log.info(
        "One search for folds %s sees the %d of %d videos that each of them trains on and none tests on: %s.",
        *(data.fold_names, len(common), len(videos), ", ".join(common)),
    )


def in_each_fold(
    stage: RunContext,
    task: Task,
    folds: Sequence[int],
    work: Work[Task, T],
    *,
    workers: int = 1,
    show: Callable[[T, Task, str], None] = lambda found, task, folder: None,
) -> dict[int, T]:
    """Return what `work` returns in each fold, one after the other.

    With several workers, as many processes first do the work of a fold each, printing nothing; then it is
    gone through fold by fold with what they have left. `show` is called after each fold in this process.

    Raises:
        OperationalError: A process died.
    """
    tasks = [replace(task, data=data) for data in fold_data(task.data, folds)]
    if workers > 1 and stage.result is None:
        _run_ahead(stage, tasks, work, workers)
        stage = replace(stage, resume=True)
    found = {}
    for number, (fold, one) in enumerate(zip(folds, tasks, strict=True), start=1):
        _log.info("Fold %d (%d of %d).", fold, number, len(folds))
        # Videos that a fold keeps in memory go with its data sets.
        found[fold] = work(replace(stage, data=DataSets()), one, fold_folder(fold))
        show(found[fold], one, fold_folder(fold))
    return found


def _run_ahead(stage: RunContext, tasks: Sequence[Task], work: Work[Task, object], workers: int) -> None:
    """Do the work of several folds at once; as many threads each as this process has, for the same bits."""
    import torch

    silent = replace(
        stage, data=DataSets(), progress=NullProgress(), on_start=None, on_plan=None, observers=()
    )
    waiting, running = deque(tasks), dict[Future[object], tuple[WorkerProcess, int]]()
    _log.info("%d folds, %d at once.", len(tasks), min(workers, len(tasks)))
    try:
        with stage.progress.task("folds", len(tasks)) as bar:
            while waiting or running:
                while waiting and len(running) < workers:
                    worker, task = WorkerProcess(torch.get_num_threads()), waiting.popleft()
                    fold = task.data.split
                    running[worker.submit(_run_one, work, silent, task, fold_folder(fold))] = (worker, fold)
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    worker, fold = running.pop(future)
                    worker.end()
                    try:
                        future.result()
                    except BrokenProcessPool:
                        raise OperationalError(
                            f"fold {fold}: its process died (killed, or out of memory).",
                            hint="go on with --resume, and fewer --fold-workers.",
                        ) from None
                    bar.advance()
    finally:
        for worker, _ in running.values():
            worker.terminate()
        for worker, _ in running.values():
            worker.end()


def _run_one(work: Work[Task, object], context: RunContext, task: Task, folder: str) -> None:
    work(context, task, folder)  # what it returns stays in the process


def run_in_folds(
    context: RunContext,
    name: str,
    task: Task,
    folds: Sequence[int],
    work: Work[Task, T],
    summarise: Callable[[dict[int, T]], Mapping[str, Any]],
    *,
    workers: int = 1,
    show: Callable[[T, Task, str], None] = lambda found, task, folder: None,
    **settings: Any,
) -> dict[int, T]:
    """Work in several folds, or in one that is the run itself; see `in_each_fold`.

    `summarise` returns arguments of `write_result` for the run of several folds, which has more `settings`.
    """
    if len(folds) == 1:
        task = replace(task, data=fold_data(task.data, folds)[0])
        found = {folds[0]: work(context, task, "")}
        show(found[folds[0]], task, "")
        return found
    with open_folds(context, name, task.data, folds, task.settings() | settings) as stage:
        found = in_each_fold(stage, task, folds, work, workers=workers, show=show)
        if stage.result is None:
            write_result(stage.folder, **summarise(found))
    return found


class SearchOutcome(Protocol):
    """Result of a search."""

    @property
    def structure(self) -> DilationStructure:
        """Its rates."""


Found = TypeVar("Found", bound=SearchOutcome)


def search_folds(
    context: RunContext,
    name: str,
    task: Task,
    folds: Sequence[int],
    work: Work[Task, Found],
    *,
    per_fold: bool,
    workers: int = 1,
    show: Callable[[Found, Task, str], None],
) -> None:
    """Search in each fold, or once on what is common to all of them, which is the run itself."""

    def summarise(found: dict[int, Found]) -> dict[str, Any]:
        structures = {fold_folder(fold): one.structure.as_lists() for fold, one in found.items()}
        return {"result": {"structures": structures}}

    if per_fold or len(folds) == 1:
        run_in_folds(context, name, task, folds, work, summarise, workers=workers, show=show)
        return
    task = replace(task, data=common_data(task.data, folds))
    log_common(task.data)
    show(work(context, task, ""), task, "")
