"""Several folds in one run: what each choice sees, and that all figures are means of the folds."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from statistics import fmean

import pytest

from g2l.config import Selection
from g2l.datasets.dataset import SegmentationDataset
from g2l.errors import InputError, OperationalError
from g2l.files import read_json
from g2l.metrics.scores import metric_value
from g2l.pipeline import pipeline
from g2l.pipeline.context import RunContext
from g2l.pipeline.folds import (
    chosen_folds,
    common_data,
    in_each_fold,
    refuse_leaks,
    search_folds,
)
from g2l.pipeline.pipeline import run_folds
from g2l.pipeline.search_global import search_fold
from g2l.pipeline.search_local import search_locally
from g2l.pipeline.train import train_folds
from g2l.records import FoldsRecord, RunKind, RunRecord, read_result
from g2l.report.render import ReportFormat, write_report
from tests.pipeline.test_pipeline_kill import assert_same, finish, outcome, server
from tests.pipeline.tiny_pipeline import (
    SEEDS,
    folds_task,
    global_task,
    local_task,
    pipeline_task,
    run_stage,
    training,
    write_folds,
)

__all__ = ["server"]
FOLDS = (1, 2, 3)
SIDES = ("hand-designed", "searched")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three folds; tests only read it."""
    return write_folds(tmp_path_factory.mktemp("data"))


def wait_for(condition):
    """Wait, a minute at most, until something is so."""
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("has not happened")


def sides(data, fold):
    """Return train and test videos of a fold as its bundles list them."""
    folder = data.data_root / data.dataset / "splits"
    texts = [(folder / f"{side}.split{fold}.bundle").read_text().split() for side in ("train", "test")]
    return tuple([line.removesuffix(".txt") for line in lines] for lines in texts)


@pytest.fixture(scope="module")
def common(data):
    """Videos that no fold tests on."""
    (first, _), tested = sides(data, 1), {name for fold in FOLDS for name in sides(data, fold)[1]}
    return [name for name in first if name not in tested]


@pytest.fixture(scope="module")
def start(server, data):
    """Start the pipeline in three folds in a process of its own, going on with what the folder holds."""

    def started(folder, **options):
        process = server.Process(target=run_stage, args=("folds", folder, data), kwargs=options)
        process.start()
        return process

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield started


@pytest.fixture(scope="module")
def finished(start, data, tmp_path_factory):
    """A pipeline in three folds with one search, made once."""
    context = RunContext(folder=tmp_path_factory.mktemp("whole") / "run", device="cpu", resume=True)
    finish(start(context.folder), 0)
    task = folds_task(data)
    return context, task, run_folds(context, task, FOLDS)


@pytest.mark.parametrize(
    ("text", "folds"), [("2", (2,)), ("1,3", (1, 3)), (" 3 , 1", (3, 1)), ("all", FOLDS), ("ALL", FOLDS)]
)
def test_folds_are_one_several_or_all(data, text, folds):
    assert chosen_folds(data, text) == folds


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("0", r"train\.split0\.bundle: no such bundle"),
        ("1,9", r"train\.split9\.bundle: no such bundle"),
        ("2,2", "each fold once, but is '2,2'"),
        ("1,02,2", "each fold once"),
        *(
            (text, r"`--split` must be a fold, several such as 1,3, or all")
            for text in ("", "1,", "-1", "1-3", "x")
        ),
    ],
)
def test_wrong_folds_are_refused(data, text, match):
    with pytest.raises(InputError, match=match):
        chosen_folds(data, text)


def test_one_search_sees_no_test_video_of_any_fold(data, common):
    dataset = SegmentationDataset.open(common_data(data, FOLDS))
    assert list(dataset.partitions(Selection.LAST).train) == common
    assert len(common) == 5
    best = dataset.partitions(Selection.BEST)
    assert sorted((*best.train, *best.holdout)) == sorted(common)
    assert set(best.test) == {name for fold in FOLDS for name in sides(data, fold)[1]}
    single = SegmentationDataset.open(common_data(data, (2,)))
    assert single.fingerprint == SegmentationDataset.open(data.replace(split=2)).fingerprint
    assert dataset.fingerprint != single.fingerprint


def test_one_search_without_common_videos_is_refused_before_anything_is_written(tmp_path):
    data = write_folds(tmp_path)
    splits = tmp_path / "folds" / "splits"
    train, test = sides(data, 1)
    for side, names in (("train", test), ("test", train)):  # every video is in some test part
        (splits / f"{side}.split3.bundle").write_text("".join(f"{name}.txt\n" for name in names))
    context = RunContext(folder=tmp_path / "out", device="cpu")
    with pytest.raises(
        InputError, match=r"at least 2 videos that all of the folds 1,3 .* found 0"
    ) as refused:
        run_folds(context, pipeline_task(data), (1, 3))
    assert "--search-per-fold" in refused.value.hint
    assert not context.folder.exists()


def test_a_structure_that_has_seen_test_videos_is_refused(data, tmp_path):
    path = tmp_path / "structure.json"
    searched = {"dataset": "folds", "split": 1}
    with pytest.raises(
        InputError, match=r"structure\.json: was searched on split 1, .* 3 test videos of fold 2"
    ):
        refuse_leaks(path, searched, data, (1, 2))
    with pytest.raises(InputError, match="3 test videos of fold 2"):
        refuse_leaks(path, searched, data, (2,))
    refuse_leaks(path, searched, data, (1,))
    refuse_leaks(path, searched | {"split": 9}, data, (1,))
    refuse_leaks(path, searched | {"split": "1,2"}, data, (1, 2))
    refuse_leaks(path, {"seed": 1}, data, (1, 2))


def test_a_search_is_done_once_and_every_fold_is_a_pipeline(finished, data, common):
    context, _, found = finished
    kinds = {
        str(path.parent.relative_to(context.folder)): RunRecord.read(path.parent).kind
        for path in context.folder.rglob("run.json")
    }
    assert kinds["."] is RunKind.FOLDS
    assert {name for name, kind in kinds.items() if kind is RunKind.SEARCH_GLOBAL} == {"search-global"}
    assert {name for name, kind in kinds.items() if kind is RunKind.SEARCH_LOCAL} == {"search-local"}
    assert {name for name, kind in kinds.items() if kind is RunKind.PIPELINE} == {f"fold-{k}" for k in FOLDS}
    for stage in ("search-global", "search-local"):
        frames = read_json(context.folder / stage / "dataset.json")["frames"]
        assert sorted((*frames["train"], *frames["holdout"])) == sorted(common)
    record = FoldsRecord.read(context.folder)
    assert list(record.search) == common
    for fold in FOLDS:
        train, test = sides(data, fold)
        assert (record.train[f"fold-{fold}"], record.test[f"fold-{fold}"]) == (train, test)
        assert found.folds[fold].model == context.folder / f"fold-{fold}" / "model.onnx"
        for path in (context.folder / f"fold-{fold}").rglob("dataset.json"):
            frames = read_json(path)["frames"]
            assert {*frames["train"], *frames["holdout"]} == set(train)


def test_the_figures_are_means_of_the_folds(finished):
    context, _, found = finished
    scores = {
        side: {
            fold: [
                read_json(folder / f"seed-{seed}" / "metrics.json")
                for folder in [_trained(context.folder / f"fold-{fold}", side)]
                for seed in SEEDS
            ]
            for fold in FOLDS
        }
        for side in SIDES
    }

    def mean(side, metric):
        return fmean(fmean(metric_value(seed, metric) for seed in scores[side][fold]) for fold in FOLDS)

    summary = read_json(context.folder / "summary.json")
    recorded = read_result(context.folder)["recorded"]["metrics"]
    for metric in ("accuracy", "edit", "f1@10", "f1@25", "f1@50"):
        for side in SIDES:
            assert summary["mean"][side][metric] == pytest.approx(mean(side, metric))
            assert recorded[f"{side}/{metric}"] == summary["mean"][side][metric]
    for metric, difference in found.differences.items():
        assert difference.estimate == pytest.approx(mean("searched", metric) - mean("hand-designed", metric))
        assert (difference.folds, difference.seeds, difference.videos) == (3, 6, 9)
        assert summary["difference"][metric] == difference.as_dict()
    page = markdown(context.folder)
    means = next(line for line in page.splitlines() if line.startswith("| folds | searched | 3 |"))
    assert f"| {mean('searched', 'accuracy'):.1f} |" in means
    assert found.differences["f1"].words() in page
    assert "One search for all folds has seen 5 of 14 videos" in page
    shipped = [
        f"fold {fold} {one.contest.shipped} (fold-{fold}/model.onnx)" for fold, one in found.folds.items()
    ]
    assert f"Each fold exports its own model: {', '.join(shipped)}." in page.replace("\\", "")


def _trained(folder, side):
    """Return the training of a contestant: a search that kept the hand-designed structure has none."""
    found = folder / f"train-{side}"
    return found if found.exists() else folder / "train-hand-designed"


def markdown(folder, masked=r"$^"):
    """Return the report of a run, whatever its folder is called."""
    path = folder.parent / f"{folder.name}.md"
    write_report({"run": folder}, path, ReportFormat.MD)
    return re.sub(masked, "", path.read_text())


def test_a_finished_run_is_read_again(finished):
    context, task, expected = finished
    before = {path: path.stat().st_mtime_ns for path in context.folder.rglob("*.json")}
    found = run_folds(context, task, FOLDS)
    assert found.differences == expected.differences
    assert {path: path.stat().st_mtime_ns for path in context.folder.rglob("*.json")} == before
    with pytest.raises(InputError, match=r"`data\.split` was '1,2,3' and is '1,2'"):
        run_folds(context, task, (1, 2))


def test_each_fold_can_have_a_search_of_its_own(data, context, monkeypatch):
    for name in ("_export", "_predict"):  # take longer than all else, and are as in one fold
        monkeypatch.setattr(pipeline, name, lambda stage, *_: stage.folder / "model.onnx")
    run_folds(context, pipeline_task(data), (1, 2), search_per_fold=True)
    assert FoldsRecord.read(context.folder).search is None
    assert not (context.folder / "search-global").exists()
    for fold in (1, 2):
        frames = read_json(context.folder / f"fold-{fold}" / "search-global" / "dataset.json")["frames"]
        assert {*frames["train"], *frames["holdout"]} == set(sides(data, fold)[0])


def test_one_structure_is_trained_in_each_fold(data, context):
    found = train_folds(context, training(data), (3, 1), 0, 1)
    assert list(found) == [3, 1]
    metrics = [read_json(context.folder / f"fold-{k}" / "seed-0" / "metrics.json") for k in (3, 1)]
    assert read_result(context.folder)["mean"]["test/edit"] == pytest.approx(
        fmean(one["edit"] for one in metrics)
    )
    assert [one.seeds[0].test for one in found.values()] == metrics
    page = markdown(context.folder)
    assert f"| {fmean(one['edit'] for one in metrics):.1f} |" in page


def test_a_single_fold_is_the_run_itself(data, context):
    found = train_folds(context, training(data), (2,), 0, 1)
    assert RunRecord.read(context.folder).settings["data"]["split"] == 2
    assert found[2].seeds[0].model == context.folder / "seed-0" / "model.safetensors"
    assert not (context.folder / "folds.json").exists()


def test_folds_at_once_change_nothing_though_a_run_is_killed(start, finished, tmp_path):
    whole, folder = finished[0].folder, tmp_path / "run"
    process = start(folder, workers=2)
    wait_for(lambda: len(list(folder.glob("fold-*/select-hand-designed"))) == 2)
    process.kill()
    process.join()
    finish(start(folder, workers=3), 0)
    assert_same(folder, outcome(whole))


@pytest.mark.parametrize("search", [search_fold, search_locally])
def test_searches_of_folds_at_once_are_found_again(data, context, search):
    task, seen = (global_task if search is search_fold else local_task)(data), []
    search_folds(
        context, "search", task, (1, 3), search, per_fold=True, workers=2, show=lambda *one: seen.append(one)
    )
    structures = {folder: found.structure.as_lists() for found, _, folder in seen}
    assert structures == read_result(context.folder)["structures"]
    assert structures.keys() == {"fold-1", "fold-3"}


def test_the_death_of_a_fold_is_reported(data, context):
    with pytest.raises(OperationalError, match=r"fold [12]: its process died") as died:
        in_each_fold(context, local_task(data), (1, 2), die, workers=2)
    assert "--resume" in died.value.hint


def test_an_error_in_a_fold_is_the_error_of_the_run(data, context):
    with pytest.raises(InputError, match=r"bundle.*fold 2|fold-2") as refused:
        in_each_fold(context, local_task(data), (1, 2), refuse, workers=2)
    assert refused.value.hint == "write it again"


def die(context, task, folder):
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(context, task, folder):
    if task.data.split == 2:
        raise InputError(f"{folder}: wrong bundle", hint="write it again")


def test_killed_at_random_five_times(start, finished, tmp_path):
    """Between two flushes to disk nothing is kept, so that the flushes are all the instants that differ."""
    whole, folder, random_ = finished[0].folder, tmp_path / "run", random.Random(2)
    for _ in range(5):
        finish(start(folder, kill_at=random_.randrange(1, 90)), -signal.SIGKILL)
    finish(start(folder), 0)
    assert_same(folder, outcome(whole))
    times = r"[\d.,]+ (ms|s|min|h)\b"
    assert markdown(folder, times) == markdown(whole, times)
