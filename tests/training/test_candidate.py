from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from g2l.config import Budget, Normalization
from g2l.datasets.dataset import SegmentationDataset
from g2l.evaluation import EvaluationStatus
from g2l.models.artifact import load_model
from g2l.training import candidate as candidate_module
from g2l.training.evaluate import evaluate_model
from g2l.training.loop import Training
from tests.training.tiny_fitness import LARGE, SMALL, evaluate

BUDGET = Budget(4, "steps")


def test_the_same_call_gives_the_same_numbers(fitness):
    first, second = evaluate(fitness, LARGE, BUDGET, 3), evaluate(fitness, LARGE, BUDGET, 3)
    assert first.metrics == second.metrics
    assert first.metrics.keys() == {"videos", "frames", "accuracy", "edit", "f1@10", "f1@25", "f1@50"}
    assert (first.structure, first.budget, first.seed) == (LARGE, BUDGET, 3)
    assert first.status is EvaluationStatus.DONE
    assert first.seconds > 0
    assert first.checkpoint is None


def test_every_structure_of_a_seed_starts_from_the_same_weights(fitness, monkeypatch):
    starts = []

    def noting(model, *args, **options):
        starts.append(torch.cat([weight.detach().flatten() for weight in model.parameters()]))
        return Training(model, *args, **options)

    monkeypatch.setattr(candidate_module, "Training", noting)
    for structure, seed in ((SMALL, 0), (LARGE, 0), (LARGE, 1)):
        evaluate(fitness, structure, BUDGET, seed)
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[1], starts[2])


def test_it_scores_the_holdout_and_not_the_test_videos(fitness, tiny_data, monkeypatch):
    scored = []

    def noting(model, dataset, names, *, device):
        scored.append(names)
        return evaluate_model(model, dataset, names, device=device)

    monkeypatch.setattr(candidate_module, "evaluate_model", noting)
    evaluate(fitness, SMALL, Budget(2, "epochs"), 0, (0, 2))
    evaluate(fitness, SMALL, BUDGET, 0)
    dataset = SegmentationDataset.open(tiny_data)
    first, third = (dataset.partitions(fitness.recipe.selection, number) for number in (0, 2))
    assert scored == [first.holdout, first.holdout, third.holdout, third.holdout, first.holdout]
    assert first.holdout != third.holdout
    assert not {*first.holdout, *third.holdout} & set(first.test)


def test_a_curve_is_the_mean_over_the_holdouts(fitness):
    budget = Budget(3, "epochs")
    both, *each = (evaluate(fitness, LARGE, budget, 0, held) for held in ((1, 2), (1,), (2,)))
    assert set(both.curve) == {"accuracy", "edit", "f1@10", "f1@25", "f1@50"}
    for name, curve in both.curve.items():
        assert curve == pytest.approx(
            [sum(pair) / 2 for pair in zip(*(one.curve[name] for one in each), strict=True)]
        )
        assert curve[-1] == both.metrics[name]
    assert each[0].curve != each[1].curve
    assert evaluate(fitness, LARGE, BUDGET, 0).curve == {}


@pytest.mark.parametrize("normalize", list(Normalization))
def test_the_saved_model_has_the_evaluated_scores(fitness, tmp_path, normalize):
    fitness = replace(fitness, checkpoint_folder=tmp_path, data=fitness.data.replace(normalize=normalize))
    evaluation = evaluate(fitness, LARGE, BUDGET, 5)
    assert evaluation.checkpoint is not None
    assert evaluation.checkpoint.relative_to(tmp_path).name == "model.safetensors"
    model, metadata = load_model(evaluation.checkpoint)
    assert (metadata.structure, metadata.seed, metadata.normalize) == (LARGE, 5, normalize)
    assert (metadata.mean is None) == (normalize is not Normalization.TRAIN)
    assert metadata.metrics == {f"holdout/{name}": value for name, value in evaluation.metrics.items()}
    dataset = candidate_module.candidate_dataset(candidate_module.open_dataset(fitness.data, Path.cwd()))
    holdout = dataset.partitions(fitness.recipe.selection).holdout
    assert evaluate_model(model, dataset, holdout, device=torch.device("cpu")) == evaluation.metrics


def test_it_travels_to_a_process_and_opens_the_data_once_there(fitness, monkeypatch):
    opened = []
    open_dataset = SegmentationDataset.open

    def noting(config, **options):
        opened.append(config)
        return open_dataset(config, **options)

    candidate_module.open_dataset.cache_clear()
    monkeypatch.setattr(SegmentationDataset, "open", noting)
    travelled = pickle.loads(pickle.dumps(fitness))  # noqa: S301
    assert travelled == fitness
    evaluate(travelled, SMALL, BUDGET, 0)
    evaluate(fitness, LARGE, BUDGET, 0)
    assert opened == [fitness.data]


def test_features_shared_between_processes_change_no_score(fitness, tmp_path):
    fitness = replace(fitness, data=fitness.data.replace(normalize=Normalization.TRAIN))
    sharing = replace(fitness, feature_folder=tmp_path / "shared")
    assert evaluate(sharing, LARGE, BUDGET, 3).metrics == evaluate(fitness, LARGE, BUDGET, 3).metrics
    assert list((tmp_path / "shared").rglob("*.npy"))
