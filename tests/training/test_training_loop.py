from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch

from g2l.config import Budget, ClassWeights, Selection
from g2l.errors import OperationalError
from g2l.records import EpochRecord
from tests.training.tiny_training import RECIPE, Recorder, tiny_fit, tiny_model


def weights_of(model):
    return torch.cat([weight.flatten() for weight in model.state_dict().values()])


class Scores:
    """An evaluation that returns literal scores and notes the weights it saw."""

    def __init__(self, *values):
        self.values = iter(values)
        self.weights = []

    def __call__(self, model):
        self.weights.append(weights_of(model).clone())
        return {"accuracy": next(self.values)}


def test_training_lowers_the_loss_and_fits():
    _, result = tiny_fit(recipe=RECIPE.replace(epochs=25, decay_epoch=20, selection=Selection.LAST))
    assert result.history[-1].loss < 0.7 * result.history[0].loss
    assert result.metrics["accuracy"] > 70


@pytest.mark.parametrize("kind", [ClassWeights.INVERSE, ClassWeights.EFFECTIVE])
def test_class_weights_change_the_training_and_keep_its_scale(kind):
    _, plain = tiny_fit()
    _, weighted = tiny_fit(recipe=RECIPE.replace(class_weights=kind))
    assert weighted.history[0].loss != plain.history[0].loss
    assert weighted.history[0].loss == pytest.approx(plain.history[0].loss, rel=0.3)


def test_history_and_result():
    _, result = tiny_fit()
    assert [record.epoch for record in result.history] == [1, 2, 3, 4]
    assert [record.step for record in result.history] == [3, 6, 9, 12]
    assert (result.steps, result.epochs) == (12, 4)
    assert result.metrics == result.history[result.best_epoch - 1].metrics
    assert result.seconds == math.fsum(record.seconds for record in result.history) > 0


def test_one_seed_gives_one_training_whatever_the_generators_held():
    torch.manual_seed(1)
    first, _ = tiny_fit(tiny_model())
    torch.rand(5), random.random(), np.random.random()
    second, _ = tiny_fit(tiny_model())
    other, _ = tiny_fit(tiny_model(), seed=1)
    assert torch.equal(weights_of(first), weights_of(second))
    assert not torch.equal(weights_of(first), weights_of(other))


def test_the_learning_rate_decays_after_the_decay_epoch():
    _, result = tiny_fit(recipe=RECIPE.replace(learning_rate=5e-4, decay_epoch=2))
    assert [record.learning_rate for record in result.history] == pytest.approx([5e-4, 5e-4, 5e-5, 5e-5])


def test_the_decay_scales_every_group_of_a_given_optimizer():
    model = tiny_model()
    groups = [{"params": model.stage1.parameters()}, {"params": model.stages.parameters(), "lr": 0.4}]
    optimizer = torch.optim.Adam(groups, lr=0.02)
    seen = []
    recorder = Recorder(lambda event, state: seen.append([group["lr"] for group in optimizer.param_groups]))
    tiny_fit(model, recipe=RECIPE.replace(decay_epoch=1), optimizer=optimizer, callbacks=[recorder])
    assert seen[0] == [0.02, 0.4]
    assert seen[-1] == pytest.approx([0.002, 0.04])


def test_gradient_clip_bounds_the_norm():
    norms = []

    def note(event, state):
        gradients = [weight.grad.norm() for weight in state.model.parameters() if weight.grad is not None]
        norms.append(torch.stack(gradients).norm().item())

    tiny_fit(recipe=RECIPE.replace(gradient_clip=0.01), callbacks=[Recorder(note)])
    assert max(norms) <= 0.01 * 1.001
    norms.clear()
    tiny_fit(callbacks=[Recorder(note)])
    assert min(norms) > 0.01


def test_best_weights_are_kept_and_the_earlier_of_equals_wins():
    scores = Scores(10.0, 60.0, 60.0, 20.0)
    model, result = tiny_fit(evaluate=scores)
    assert result.best_epoch == 2
    assert result.metrics == {"accuracy": 60.0}
    assert torch.equal(weights_of(model), scores.weights[1])
    assert not torch.equal(weights_of(model), scores.weights[2])


def test_last_weights_are_scored_once_at_the_end():
    scores = Scores(10.0)
    model, result = tiny_fit(recipe=RECIPE.replace(selection=Selection.LAST), evaluate=scores)
    assert [dict(record.metrics) for record in result.history] == [{}, {}, {}, {"accuracy": 10.0}]
    assert (result.best_epoch, result.metrics) == (4, {"accuracy": 10.0})
    assert torch.equal(weights_of(model), scores.weights[0])


@pytest.mark.parametrize(("steps", "epochs"), [(1, 1), (3, 1), (4, 2), (14, 5)])
def test_a_budget_of_steps_overrides_epochs_and_scores_once(steps, epochs):
    scores = Scores(10.0)
    _, result = tiny_fit(budget=Budget(steps, "steps"), evaluate=scores)
    assert (result.steps, result.epochs, len(scores.weights)) == (steps, epochs, 1)
    assert result.history[-1].step == steps


def test_a_callback_sees_loss_learning_rate_and_scores_of_the_epoch():
    class Seen(Recorder):
        def on_epoch_end(self, state, metrics):
            self.calls.append(dict(metrics))

    seen = Seen()
    _, result = tiny_fit(callbacks=[seen], budget=Budget(1, "epochs"))
    record = result.history[0]
    expected = {"loss": record.loss, "learning_rate": record.learning_rate, **record.metrics}
    assert seen.calls[-1] == expected
    assert expected.keys() == {"loss", "learning_rate", "accuracy"}


def test_records_are_told_before_they_are_saved(tmp_path):
    path = tmp_path / "last.ckpt"
    told = []

    def on_epoch(record):
        saved = torch.load(path, weights_only=True)["epoch"] if path.exists() else 0
        told.append((record.epoch, saved))
        assert isinstance(record, EpochRecord)

    tiny_fit(on_epoch=on_epoch, checkpoint=path)
    assert told == [(1, 0), (2, 1), (3, 2), (4, 3)]


def test_progress_counts_every_step_and_those_before_a_resume(tmp_path):
    class Bar:
        def task(self, description, total):
            self.total, self.done = total, 0
            return self

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            return None

        def advance(self, count=1, note=None):
            self.done += count

    bar = Bar()
    tiny_fit(progress=bar, checkpoint=tmp_path / "last.ckpt")
    assert (bar.total, bar.done) == (12, 12)
    tiny_fit(progress=bar, checkpoint=tmp_path / "last.ckpt", resume=True)
    assert (bar.total, bar.done) == (12, 12)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops(tmp_path, value):
    def spoil(event, state):
        if event == ("step", 4):
            state.model.stage1.conv_out.bias.data[0] = value

    path = tmp_path / "last.ckpt"
    expected = (
        r"epoch 2, step 5, videos video\d, video\d: the loss must be finite, .* at learning rate 0\.005\."
    )
    with pytest.raises(OperationalError, match=expected) as caught:
        tiny_fit(callbacks=[Recorder(spoil)], checkpoint=path)
    assert "lower the learning rate" in caught.value.hint
    assert torch.load(path, weights_only=True)["epoch"] == 1
