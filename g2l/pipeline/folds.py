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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from g2l.config import DataConfig
from g2l.datasets.layout import common_videos, find_dataset, read_folds
from g2l.errors import InputError, OperationalError
from g2l.pipeline.context import RunContext
from g2l.pipeline.data import DataSets
from g2l.progress import NullProgress
from g2l.records import FoldsRecord, RunKind, fold_folder, write_result
from g2l.search.executors.process import WorkerProcess
from g2l.structure import DilationStructure

ALL = "all"
_FOLDS = re.compile(r"\s*\d{1,9}\s*(,\s*\d{1,9}\s*)*", re.ASCII)

_log = logging.getLogger("g2l")


class SearchTask(Protocol):
    """A global or a local search."""

    @property
    def data(self) -> DataConfig:
        """Data set and how it is read."""

    def settings(self) -> dict[str, Any]:
        """Return the resolved configuration as JSON values."""


class SearchOutcome(Protocol):
    """Result of a search."""

    @property
    def structure(self) -> DilationStructure:
        """Its rates."""


T = TypeVar("T")
Found = TypeVar("Found", bound=SearchOutcome)
Work = Callable[[RunContext, DataConfig, str], T]
"""Takes the context of a fold, its data and its folder below that of the context."""


def chosen_folds(data: DataConfig, text: str, *, tested: bool = False) -> tuple[int, ...]:
    """Return the folds that `--split` names: one, several such as `1,3`, or all that have test videos.

    Args:
        data: The data set.
        text: What was given.
        tested: Whether a fold without test videos is refused.

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
    """Raise `InputError` if a structure was searched on test videos of a fold.

    Args:
        path: File of the structure.
        provenance: What it records of its search; one that does not name a split is not checked.
        data: The data set.
        folds: Folds that the structure is for.
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

    Args:
        context: Where it runs.
        name: What is done in each fold.
        data: The data set.
        folds: Their numbers.
        settings: The resolved configuration as JSON values.
        common: Whether there is one search for all folds.

    Raises:
        InputError: A bundle cannot be read, or the folder holds another run.
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


@dataclass(frozen=True)
class Ahead:
    """Folds that run at once, each in a process of its own, before they are gone through one by one.

    Attributes:
        work: Does the same as the work of this process, and prints nothing; picklable.
        workers: Number of processes; 1 for none.
    """

    work: Work[object]
    workers: int = 1


def in_each_fold(
    stage: RunContext, data: DataConfig, folds: Sequence[int], work: Work[T], ahead: Ahead
) -> dict[int, T]:
    """Return what `work` returns in each fold, one after the other, or from what was done ahead of it.

    Args:
        stage: The run that they belong to.
        data: The data set.
        folds: Their numbers.
        work: Done in each.
        ahead: What processes of their own do before.

    Raises:
        OperationalError: Such a process died.
    """
    if ahead.workers > 1 and stage.result is None:
        _run_ahead(stage, fold_data(data, folds), ahead)
        stage = replace(stage, resume=True)
    found = {}
    for number, one in enumerate(fold_data(data, folds), start=1):
        _log.info("Fold %d (%d of %d).", one.split, number, len(folds))
        # Videos that a fold keeps in memory go with its data sets.
        found[one.split] = work(replace(stage, data=DataSets()), one, fold_folder(one.split))
    return found


def _run_ahead(stage: RunContext, places: Sequence[DataConfig], ahead: Ahead) -> None:
    """Do the work of several folds at once; as many threads each as this process has, for the same bits."""
    import torch

    silent = replace(stage, progress=NullProgress(), on_start=None)
    waiting, running = deque(places), dict[Future[None], tuple[WorkerProcess, DataConfig]]()
    _log.info("%d folds, %d at once.", len(places), min(ahead.workers, len(places)))
    try:
        with stage.progress.task("folds", len(places)) as bar:
            while waiting or running:
                while waiting and len(running) < ahead.workers:
                    worker, place = WorkerProcess(torch.get_num_threads()), waiting.popleft()
                    running[worker.submit(_run_one, ahead.work, silent, place)] = (worker, place)
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    worker, place = running.pop(future)
                    worker.end()
                    try:
                        future.result()
                    except BrokenProcessPool:
                        raise OperationalError(
                            f"fold {place.split}: its process died (killed, or out of memory).",
                            hint="go on with --resume, and fewer --fold-workers.",
                        ) from None
                    bar.advance()
    finally:
        for worker, _ in running.values():
            worker.terminate()
        for worker, _ in running.values():
            worker.end()


def _run_one(work: Work[object], context: RunContext, place: DataConfig) -> None:
    work(replace(context, data=DataSets()), place, fold_folder(place.split))


def search_folds(
    context: RunContext,
    name: str,
    task: SearchTask,
    places: Sequence[DataConfig],
    work: Work[Found],
    ahead: Ahead,
) -> None:
    """Search in one fold or once for several, which is the run itself, or in each of several.

    Args:
        context: Where it runs.
        name: Of the search.
        task: What is searched.
        places: Data of each search.
        work: Searches.
        ahead: What processes of their own do before.
    """
    if len(places) == 1:
        if places[0].common:
            log_common(places[0])
        work(context, places[0], "")
        return
    folds = [place.split for place in places]
    with open_folds(context, name, task.data, folds, task.settings()) as stage:
        found = in_each_fold(stage, task.data, folds, work, ahead)
        if stage.result is None:
            structures = {fold_folder(fold): one.structure.as_lists() for fold, one in found.items()}
            write_result(stage.folder, {"structures": structures})
