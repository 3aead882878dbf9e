from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from g2l.datasets.dataset import SegmentationDataset
from g2l.errors import InputError, OperationalError
from g2l.evaluation import Budget
from g2l.files import read_json
from g2l.models.artifact import load_model
from g2l.models.ms_tcn import MSTCN
from g2l.models.registry import BACKBONES
from g2l.pipeline.global_search import search_globally
from g2l.pipeline.stage import Workplace
from g2l.search_config import CandidateCheckpoints
from g2l.structure_files import read_structure
from g2l.tracking.protocol import RunKind, RunStatus
from g2l.training.candidate import CandidateFitness
from tests.pipeline.recording_tracker import RecordingTracker
from tests.pipeline.tiny_pipeline import BACKBONE, GLOBAL, global_task


def search(place, task):
    plans = []
    return search_globally(place, task, on_plan=plans.append), plans


def journal(place):
    return [json.loads(line) for line in (place.folder / "journal.jsonl").read_text().splitlines()]


def evaluated(place):
    return [line["evaluation"] for line in journal(place) if line["event"] == "evaluation"]


@pytest.fixture
def trained(monkeypatch):
    """The structures that are trained as candidates, in order."""
    structures = []
    call = CandidateFitness.__call__

    def recorded(fitness, task):
        if fitness.checkpoint_folder is not None:  # the probe keeps no weights
            structures.append(task.structure)
        return call(fitness, task)

    monkeypatch.setattr(CandidateFitness, "__call__", recorded)
    return structures


def test_the_leader_is_written_and_returned(place, tiny, trained):
    outcome, plans = search(place, global_task(tiny))
    found = read_structure(place.folder / "structure.json")
    assert outcome.structure == found.structure
    assert (found.backbone, found.provenance["search"]) == ("ms-tcn", "global")
    assert found.provenance["data"] == SegmentationDataset.open(tiny).fingerprint
    scores = {str(e["structure"]): e["metrics"]["accuracy"] for e in evaluated(place)}
    assert outcome.fitness == max(scores.values()) == scores[str(outcome.structure.as_lists())]
    assert outcome.hand_designed_fitness == scores[str(BACKBONE.hand_designed().as_lists())]
    assert outcome.evaluations == len(scores) == len(trained) == len(set(trained))
    assert outcome.steps == len(scores) * GLOBAL.budget.amount
    assert outcome.seconds > 0
    (plan,) = plans
    assert plan.expected.evaluations <= plan.maximal.evaluations
    assert outcome.evaluations <= plan.maximal.evaluations
    assert plan.expected.seconds > 0
    assert plan.expected.bytes > 0


def test_a_budget_of_epochs_is_counted_in_steps(place, tiny):
    outcome, _ = search(place, global_task(tiny, budget=Budget(1), generations=0))
    assert (outcome.evaluations, outcome.steps) == (3, 3 * 2)  # 4 videos in batches of 2


def test_every_candidate_is_a_child_run(place, tiny, tracker):
    outcome, _ = search(place, global_task(tiny))
    run = tracker.only(RunKind.SEARCH_GLOBAL)
    assert run.run_id == outcome.run_id
    lines = evaluated(place)
    assert len(run.of_kind(RunKind.CANDIDATE)) == len(run.children) == len(lines)
    for child, line in zip(run.children, lines, strict=True):
        key = "/".join(",".join(map(str, stage)) for stage in line["structure"])
        assert child.status is RunStatus.FINISHED
        expected = {"structure": key, "seed": 0, "cached": False, "phase": "search"}
        assert child.tags["g2l.budget"] == "4 steps"
        assert expected.items() <= child.params.items()
        assert child.dicts["structure.json"] == line["structure"]
        scores = {f"holdout/{name}": value for name, value in line["metrics"].items()}
        scores |= {"fitness": line["metrics"]["accuracy"], "seconds": line["seconds"]}
        assert scores.items() <= child.latest().items()
        assert child.artifacts["model.safetensors"] == Path(line["checkpoint"]).read_bytes()
    generations = [child.params["generation"] for child in run.children]
    assert generations == sorted(generations)
    assert set(generations) == {0, 1, 2}


def test_generations_are_metrics_tables_and_a_figure(place, tiny, tracker):
    search(place, global_task(tiny))
    run = tracker.only(RunKind.SEARCH_GLOBAL)
    lines = [line for line in journal(place) if line["event"] == "generation"]
    assert len(lines) == GLOBAL.generations + 1
    for name in ("best", "mean", "median", "diversity", "cache_hits", "failures", "evaluations"):
        assert run.series(f"generation/{name}") == {n: line[name] for n, line in enumerate(lines)}
    for number, line in enumerate(lines):
        table = run.tables[f"population/generation-{number:03d}.json"]
        assert table["fitness"] == [member["fitness"] for member in line["population"]]
        assert len(table["receptive_field"]) == len(table["look_ahead"]) == GLOBAL.population
    assert run.figures == ["fitness.png"]
    assert {"structure.json", "journal.jsonl"} <= set(run.artifacts)
    assert {d["context"] for d in run.datasets} == {"train", "holdout", "test"}


def test_all_weights_are_kept_and_load(place, tiny):
    search(place, global_task(tiny))
    for line in evaluated(place):
        _, metadata = load_model(
            place.folder / "candidates" / line["checkpoint"].split("/")[-2] / "model.safetensors"
        )
        assert metadata.structure.as_lists() == line["structure"]
        assert metadata.metrics["holdout/accuracy"] == line["metrics"]["accuracy"]
    assert len(list((place.folder / "candidates").iterdir())) == len(evaluated(place))


def test_elite_keeps_the_weights_of_the_last_population_only(place, tiny, tracker):
    search(place, global_task(tiny, candidate_checkpoints=CandidateCheckpoints.ELITE))
    last = [line for line in journal(place) if line["event"] == "generation"][-1]
    kept = [load_model(path)[1].structure for path in place.folder.glob("candidates/*/model.safetensors")]
    assert sorted(s.as_lists() for s in kept) == sorted(m["structure"] for m in last["population"])
    assert len(list((place.folder / "candidates").iterdir())) == GLOBAL.population


def test_none_keeps_no_weights(place, tiny, tracker):
    search(place, global_task(tiny, candidate_checkpoints=CandidateCheckpoints.NONE))
    assert not (place.folder / "candidates").exists()
    assert not any(run.artifacts for run in tracker.all(RunKind.CANDIDATE))


def test_a_second_run_trains_nothing_that_the_first_one_has(place, tiny, tmp_path, trained):
    place = replace(place, evaluations=tmp_path / "evaluations")
    first, _ = search(place, global_task(tiny))
    count = len(trained)
    tracker = RecordingTracker()
    other = replace(place, folder=tmp_path / "second", tracker=tracker)
    elite = global_task(tiny, candidate_checkpoints=CandidateCheckpoints.ELITE)
    second, _ = search(other, elite)
    assert len(trained) == count
    assert replace(second, run_id=first.run_id) == first
    candidates = list(tracker.all(RunKind.CANDIDATE))
    assert len(candidates) == count
    assert all(run.params["cached"] for run in candidates)
    assert len(list(place.folder.glob("candidates/*/model.safetensors"))) == count  # those of the first stay


def test_what_a_score_depends_on_keeps_runs_apart(place, tiny, tmp_path, trained):
    place = replace(place, evaluations=tmp_path / "evaluations")
    search(place, global_task(tiny, generations=0))
    other = tiny.replace(sample_rate=2)
    search(replace(place, folder=tmp_path / "second"), global_task(other, generations=0))
    search(replace(place, folder=tmp_path / "third"), global_task(tiny, seed=1, generations=0))
    assert len(trained) == 9


def test_a_resumed_search_logs_nothing_twice_and_finds_the_same(place, tiny, tracker, monkeypatch, tmp_path):
    expected, _ = search(Workplace(folder=tmp_path / "whole", device="cpu"), global_task(tiny))
    calls = []
    call = CandidateFitness.__call__

    def interrupted(fitness, task):
        calls.append(task)
        if len(calls) == 9:  # 3 of the probe, 3 of the first population
            raise KeyboardInterrupt
        return call(fitness, task)

    monkeypatch.setattr(CandidateFitness, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search(place, global_task(tiny))
    run = tracker.only(RunKind.SEARCH_GLOBAL)
    assert (run.status, run.reason, len(run.children)) == (RunStatus.KILLED, "interrupted", 5)
    monkeypatch.undo()
    # Where candidates are trained, and which weights are kept, may change.
    resumed = global_task(tiny, candidate_checkpoints=CandidateCheckpoints.ELITE, workers=2)
    found, _ = search(replace(place, resume=True), resumed)
    assert (found.structure, found.fitness) == (expected.structure, expected.fitness)
    assert (found.evaluations, found.steps) == (expected.evaluations, expected.steps)
    assert (run.status, run.opened) == (RunStatus.FINISHED, 2)
    structures = [child.params["structure"] for child in run.children]
    assert len(structures) == len(set(structures)) == found.evaluations
    assert len([1 for name, _, _ in run.metrics if name == "generation/best"]) == GLOBAL.generations + 1
    assert len(list((place.folder / "candidates").iterdir())) == GLOBAL.population


def test_a_finished_search_is_not_repeated(place, tiny, tracker, trained):
    expected, _ = search(place, global_task(tiny))
    before = (len(trained), len(tracker.runs), len(tracker.only(RunKind.SEARCH_GLOBAL).metrics))
    found, plans = search(replace(place, resume=True), global_task(tiny))
    assert found == expected
    assert plans == []
    assert (len(trained), len(tracker.runs), len(tracker.only(RunKind.SEARCH_GLOBAL).metrics)) == before


class Picky(MSTCN):
    """A network that cannot be built with some rates, as if there were too little memory for them."""

    def __init__(self, structure, **size):
        if max(structure.rates) >= 8:
            raise RuntimeError(f"no memory for {structure}")
        super().__init__(structure, **size)


def test_a_failed_candidate_ends_nothing(place, tiny, tracker, monkeypatch):
    monkeypatch.setitem(BACKBONES, "picky", Picky)
    outcome, _ = search(place, global_task(tiny, backbone=BACKBONE.replace(name="picky")))
    run = tracker.only(RunKind.SEARCH_GLOBAL)
    failed = [child for child in run.children if child.status is RunStatus.FAILED]
    assert failed
    assert len(failed) < len(run.children)
    for child in failed:
        assert child.reason == f"RuntimeError: no memory for {child.params['structure']}"
        assert "holdout/accuracy" not in child.latest()
    assert sum(run.series("generation/failures").values()) == len(failed)
    assert max(outcome.structure.rates) < 8
    assert run.status is RunStatus.FINISHED


def test_a_hand_designed_structure_that_fails_ends_nothing(place, tiny, tracker, monkeypatch):
    call = CandidateFitness.__call__

    def broken(fitness, task):
        if task.structure == BACKBONE.hand_designed():
            raise OperationalError("the loss must be finite, but is nan instead.")
        return call(fitness, task)

    monkeypatch.setattr(CandidateFitness, "__call__", broken)
    outcome, (plan,) = search(place, global_task(tiny))
    assert plan.expected.seconds is None
    assert outcome.hand_designed_fitness == 0
    assert outcome.fitness > 0


def test_a_search_in_which_nothing_trains_says_why(place, tiny, tracker, monkeypatch):
    def broken(fitness, task):
        raise OperationalError("the GPU fell off the bus.")

    monkeypatch.setattr(CandidateFitness, "__call__", broken)
    with pytest.raises(OperationalError, match=r"none of the first 3 candidates could be trained; .*fell"):
        search(place, global_task(tiny))
    run = tracker.only(RunKind.SEARCH_GLOBAL)
    assert run.status is RunStatus.FAILED
    assert "fell off the bus" in run.reason
    assert [child.status for child in run.children] == [RunStatus.FAILED] * 3


def test_resume_with_other_settings_is_refused(place, tiny):
    search(place, global_task(tiny, generations=0))
    with pytest.raises(InputError, match=r"`search\.generations` was 0 and is 2\."):
        search(replace(place, resume=True), global_task(tiny))


def test_a_wrong_setting_is_told_before_a_run_is_opened(place, tiny, tracker):
    with pytest.raises(InputError, match="`population` must be >= 2, but is 1"):
        search(place, global_task(tiny, population=1))
    assert not tracker.runs


def test_the_result_is_in_result_json(place, tiny):
    outcome, _ = search(place, global_task(tiny, generations=0))
    assert read_json(place.folder / "result.json")["fitness"] == outcome.fitness
