from __future__ import annotations

import json
from dataclasses import replace

import pytest

from g2l.config import Budget, CandidateCheckpoints
from g2l.datasets.dataset import SegmentationDataset
from g2l.errors import InputError, OperationalError
from g2l.models.artifact import load_model
from g2l.models.ms_tcn import MSTCN
from g2l.pipeline.search_global import prepare_search, search_globally
from g2l.records import DatasetRecord, RunKind, RunRecord, RunStatus, StatusRecord, read_result
from g2l.structure_files import read_structure
from g2l.training.candidate import CandidateFitness
from tests.pipeline.tiny_pipeline import BACKBONE, GLOBAL, RECIPE, global_task


def search(context, task):
    plans = []
    prepared = prepare_search(context.data, task)
    return search_globally(replace(context, on_plan=plans.append), prepared), plans


def journal(context):
    return [json.loads(line) for line in (context.folder / "journal.jsonl").read_text().splitlines()]


def evaluated(context):
    return [line["evaluation"] for line in journal(context) if line["event"] == "evaluation"]


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


def test_the_leader_is_written_and_returned(context, tiny, trained):
    outcome, plans = search(context, global_task(tiny))
    found = read_structure(context.folder / "structure.json")
    assert outcome.structure == found.structure
    assert (found.backbone, found.provenance["search"]) == ("ms-tcn", "global")
    assert found.provenance["data"] == SegmentationDataset.open(tiny).fingerprint
    scores = {str(e["structure"]): e["metrics"]["accuracy"] for e in evaluated(context)}
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


def test_a_budget_of_epochs_is_counted_in_steps(context, tiny):
    outcome, _ = search(context, global_task(tiny, budget=Budget(1), generations=0))
    assert (outcome.evaluations, outcome.steps) == (3, 3 * 2)  # 4 videos in batches of 2


def test_the_stage_leaves_its_result_and_a_figure(context, tiny):
    outcome, _ = search(context, global_task(tiny))
    record = RunRecord.read(context.folder)
    assert (record.id, record.kind) == (outcome.run_id, RunKind.SEARCH_GLOBAL)
    result = read_result(context.folder)
    assert set(result["artifacts"]) == {"structure.json"}
    recorded = result["recorded"]
    assert recorded["metrics"]["fitness"] == outcome.fitness
    assert recorded["tags"]["g2l.reason_of_winner"] == outcome.reason
    assert (context.folder / "figures" / "fitness.svg").read_bytes().startswith(b"<?xml")
    assert len([line for line in journal(context) if line["event"] == "generation"]) == GLOBAL.generations + 1
    frames = DatasetRecord.read(context.folder).frames
    assert all(frames[name] for name in ("train", "holdout", "test"))


def test_all_weights_are_kept_and_load(context, tiny):
    search(context, global_task(tiny))
    for line in evaluated(context):
        _, metadata = load_model(
            context.folder / "candidates" / line["checkpoint"].split("/")[-2] / "model.safetensors"
        )
        assert metadata.structure.as_lists() == line["structure"]
        assert metadata.metrics["holdout/accuracy"] == line["metrics"]["accuracy"]
    assert len(list((context.folder / "candidates").iterdir())) == len(evaluated(context))


def test_elite_keeps_the_weights_of_the_last_population_only(context, tiny):
    search(context, global_task(tiny, candidate_checkpoints=CandidateCheckpoints.ELITE))
    last = [line for line in journal(context) if line["event"] == "generation"][-1]
    kept = [load_model(path)[1].structure for path in context.folder.glob("candidates/*/model.safetensors")]
    assert sorted(s.as_lists() for s in kept) == sorted(m["structure"] for m in last["population"])
    assert len(list((context.folder / "candidates").iterdir())) == GLOBAL.population


def test_a_second_run_trains_nothing_that_the_first_one_has(context, tiny, tmp_path, trained):
    context = replace(context, evaluations=tmp_path / "evaluations")
    first, _ = search(context, global_task(tiny))
    count = len(trained)
    weights = {path.parent.name: path for path in context.folder.glob("candidates/*/model.safetensors")}
    for keep in CandidateCheckpoints:
        other = replace(context, folder=tmp_path / keep)
        found, _ = search(other, global_task(tiny, candidate_checkpoints=keep))
        assert replace(found, run_id=first.run_id) == first
        lines = [line for line in journal(other) if line["event"] == "evaluation"]
        assert len(lines) == count
        assert all(line["cached"] for line in lines)
        linked = {path.parent.name: path for path in other.folder.glob("candidates/*/model.safetensors")}
        kept = {"all": count, "elite": GLOBAL.population, "none": 0}
        assert len(linked) == kept[keep]
        assert all(path.samefile(weights[name]) for name, path in linked.items())
    assert len(trained) == count
    assert all(path.exists() for path in weights.values())


def test_what_a_score_depends_on_keeps_runs_apart(context, tiny, tmp_path, trained):
    context = replace(context, evaluations=tmp_path / "evaluations")
    search(context, global_task(tiny, generations=0))
    other = tiny.replace(sample_rate=2)
    search(replace(context, folder=tmp_path / "second"), global_task(other, generations=0))
    search(replace(context, folder=tmp_path / "third"), global_task(tiny, seed=1, generations=0))
    assert len(trained) == 9


def test_a_finished_search_is_not_repeated(context, tiny, trained):
    expected, _ = search(context, global_task(tiny))
    count = len(trained)
    found, plans = search(replace(context, resume=True), global_task(tiny))
    assert found == expected
    assert plans == []
    assert len(trained) == count


class Picky(MSTCN):
    """A network that cannot be built with some rates, as if there were too little memory for them."""

    def __init__(self, structure, **size):
        if max(structure.rates) >= 8:
            raise RuntimeError(f"no memory for {structure}")
        super().__init__(structure, **size)


def test_a_hand_designed_structure_that_fails_ends_nothing(context, tiny, monkeypatch):
    call = CandidateFitness.__call__

    def broken(fitness, task):
        if task.structure == BACKBONE.hand_designed():
            raise OperationalError("the loss must be finite, but is nan instead.")
        return call(fitness, task)

    monkeypatch.setattr(CandidateFitness, "__call__", broken)
    task = replace(global_task(tiny, budget=Budget(12, "steps")), recipe=RECIPE.replace(learning_rate=0.003))
    outcome, (plan,) = search(context, task)
    assert plan.expected.seconds is None
    assert outcome.hand_designed_fitness == 0
    assert outcome.fitness > 0


def test_a_search_in_which_nothing_trains_says_why(context, tiny, monkeypatch):
    def broken(fitness, task):
        raise OperationalError("the GPU fell off the bus.")

    monkeypatch.setattr(CandidateFitness, "__call__", broken)
    with pytest.raises(OperationalError, match=r"none of the first 3 candidates could be trained; .*fell"):
        search(context, global_task(tiny))
    status = StatusRecord.read(context.folder)
    assert status.status is RunStatus.FAILED
    assert "fell off the bus" in status.reason
    assert [line["status"] for line in evaluated(context)] == ["failed"] * 3


def test_resume_with_other_settings_is_refused(context, tiny):
    search(context, global_task(tiny, generations=0))
    with pytest.raises(InputError, match=r"`search\.generations` was 0 and is 2\."):
        search(replace(context, resume=True), global_task(tiny))


def test_a_wrong_setting_is_told_before_a_run_is_opened(context, tiny):
    with pytest.raises(InputError, match="`population` must be >= 2, but is 1"):
        search(context, global_task(tiny, population=1))
    assert not context.folder.exists()
