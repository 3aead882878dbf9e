from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from g2l.errors import InputError, OperationalError
from g2l.evaluation import Budget, EvaluationTask, Phase
from g2l.models.artifact import load_model
from g2l.models.ms_tcn import MSTCN
from g2l.models.registry import BACKBONES
from g2l.structure import DilationStructure
from g2l.training import fitness as fitness_module
from g2l.training.candidate import open_dataset
from g2l.training.candidate_group import CandidateGroup
from g2l.training.evaluation import evaluate_model
from tests.training.tiny_fitness import LARGE, SMALL, evaluate

WIDE = DilationStructure(((16, 2), (1, 1)))
BUDGET = Budget(5, "steps")


@pytest.fixture
def grouping(fitness, tmp_path):
    return replace(fitness, group_size=3, averaging=0.9, checkpoint_folder=tmp_path / "candidates")


@pytest.fixture
def sizes(monkeypatch):
    """The number of tasks of each group that is trained as one network."""
    seen = []

    def noting(tasks, **options):
        seen.append(len(tasks))
        return CandidateGroup(tasks, **options)

    monkeypatch.setattr(fitness_module, "CandidateGroup", noting)
    return seen


def task(structure, budget=BUDGET, seed=1, lineage=()):
    return EvaluationTask(structure, budget, seed, lineage)


@pytest.mark.parametrize("averaging", [None, 0.9])
@pytest.mark.parametrize("clip", [None, 0.1])
def test_a_score_does_not_depend_on_the_group(grouping, tmp_path, sizes, averaging, clip):
    grouping = replace(grouping, averaging=averaging, recipe=grouping.recipe.replace(gradient_clip=clip))
    groups = [(LARGE,), (LARGE, SMALL), (WIDE, LARGE), (SMALL, WIDE, LARGE)]
    seen = []
    for number, group in enumerate(groups):
        alone = replace(grouping, checkpoint_folder=tmp_path / str(number))
        evaluations = alone([task(structure) for structure in group])
        assert [evaluation.structure for evaluation in evaluations] == list(group)
        seen.append(evaluations[group.index(LARGE)])
    assert sizes == [1, 2, 2, 3]
    weights = [load_file(evaluation.checkpoint) for evaluation in seen]
    for evaluation, held in zip(seen[1:], weights[1:], strict=True):
        assert evaluation.metrics == seen[0].metrics
        assert all(torch.equal(held[name], weights[0][name]) for name in held)


def test_the_scores_are_those_of_single_trainings_but_for_rounding(fitness, sizes):
    recipe = fitness.recipe.replace(learning_rate=5e-3, gradient_clip=1.0)
    # Without dropout: the coins fall otherwise where the frames are padded to whole registers.
    single = replace(fitness, recipe=recipe, backbone=fitness.backbone.replace(dropout=0.0))
    grouping = replace(single, group_size=3)
    for budget in (Budget(30, "steps"), Budget(2, "epochs")):
        together = grouping([task(structure, budget) for structure in (LARGE, SMALL, WIDE)])
        for evaluation in together:
            expected = evaluate(single, evaluation.structure, budget, 1)
            assert evaluation.metrics.keys() == expected.metrics.keys()
            assert evaluation.metrics["likelihood"] == pytest.approx(expected.metrics["likelihood"], rel=0.02)
            assert evaluation.metrics["accuracy"] == pytest.approx(expected.metrics["accuracy"], abs=5)
    assert sizes == [3, 3]


def test_the_saved_model_has_the_weights_that_were_scored(grouping):
    for evaluation in grouping([task(LARGE), task(SMALL)]):
        model, metadata = load_model(evaluation.checkpoint)
        assert metadata.structure == evaluation.structure
        assert metadata.metrics["holdout/edit"] == evaluation.metrics["edit"]
        dataset = open_dataset(grouping.data, Path.cwd())
        holdout = dataset.partitions(grouping.recipe.selection).holdout
        again = evaluate_model(model, dataset, holdout, device=torch.device("cpu"))
        assert again["likelihood"] == pytest.approx(evaluation.metrics["likelihood"], rel=1e-4)


def test_only_tasks_that_can_be_are_trained_as_one_network(grouping, tmp_path, sizes, monkeypatch):
    heirs = [task(structure, lineage=(Phase(2, WIDE),)) for structure in (LARGE, SMALL)]
    mixed = [task(LARGE), heirs[0], task(SMALL), heirs[1], task(WIDE, seed=2), task(WIDE, Budget(4, "steps"))]
    evaluations = grouping(mixed)
    assert [evaluation.task for evaluation in evaluations] == mixed
    assert sorted(sizes) == [1, 1, 2]
    assert (
        evaluations[1].metrics
        == evaluate(replace(grouping, group_size=1), LARGE, BUDGET, 1, heirs[0].lineage).metrics
    )
    sizes.clear()
    monkeypatch.setitem(BACKBONES, "other", type("Other", (MSTCN,), {}))
    other = replace(grouping, backbone=grouping.backbone.replace(name="other"))
    continued = replace(grouping, training_folder=tmp_path / "trainings")
    causal, dual = (
        replace(grouping, backbone=replace(grouping.backbone, **changes))
        for changes in ({"causal": True}, {"name": "ms-tcn++", "prediction_layers": 1})
    )
    for fitness in (other, causal, dual, continued, replace(grouping, group_size=1)):
        assert fitness.identity() == {"averaging": 0.9, "group_size": 1}
        fitness([task(LARGE), task(SMALL)])
    assert sizes == []
    assert grouping.identity() == {"averaging": 0.9, "group_size": 3}


def test_more_tasks_than_fit_and_equal_tasks_are_no_fault(grouping, sizes):
    five = [task(structure) for structure in (LARGE, SMALL, WIDE, LARGE, WIDE)]
    four = [*five, task(DilationStructure(((2, 2), (2, 2))))]
    assert [evaluation.task for evaluation in grouping(four)] == four
    assert sizes == [3, 1]


def test_one_that_diverges_fails_the_group_but_not_the_others_later(grouping):
    wild = replace(grouping, recipe=grouping.recipe.replace(learning_rate=1e30))
    with pytest.raises(OperationalError, match="the loss must be finite"):
        wild([task(LARGE), task(SMALL)])


def test_a_structure_of_another_size_is_refused(grouping):
    with pytest.raises(InputError, match="expected 2 stages of 2 layers"):
        grouping([task(LARGE), task(DilationStructure(((1, 2, 4),)))])
