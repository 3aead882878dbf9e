from __future__ import annotations

import pytest
import torch

from g2l.errors import InputError
from g2l.evaluation import Budget
from g2l.training.averaging import AveragedWeights
from tests.training.tiny_training import Recorder, tiny_fit


def flat(weights):
    return torch.cat([weight.detach().flatten() for weight in weights])


def test_the_average_follows_the_weights_with_a_decay_that_grows():
    averaged, seen = AveragedWeights(0.25), []
    note = Recorder(lambda event, state: seen.append(flat(state.model.parameters()).double()))
    tiny_fit(callbacks=[averaged, note], budget=Budget(1, "epochs"))
    expected = seen[0]
    for step, weights in enumerate(seen[1:3], start=2):
        decay = min(0.25, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weights
    torch.testing.assert_close(flat(averaged.averages).double(), expected, rtol=1e-5, atol=1e-7)


def test_the_training_is_not_changed():
    averaged, _ = tiny_fit(callbacks=[AveragedWeights(0.9)])
    plain, _ = tiny_fit()
    assert torch.equal(flat(averaged.parameters()), flat(plain.parameters()))


def test_a_model_has_the_averages_for_a_while_only():
    averaged = AveragedWeights(0.9)
    model, _ = tiny_fit(callbacks=[averaged], budget=Budget(5, "steps"))
    before, averages = flat(model.parameters()), flat(averaged.averages)
    with averaged.applied(model):
        assert torch.equal(flat(model.parameters()), averages)
    assert torch.equal(flat(model.parameters()), before)
    assert not torch.equal(before, averages)


def test_before_the_first_step_the_weights_stay():
    averaged = AveragedWeights(0.9)
    model, _ = tiny_fit(budget=Budget(1, "steps"))
    before = flat(model.parameters())
    with averaged.applied(model):
        assert torch.equal(flat(model.parameters()), before)


@pytest.mark.parametrize("first", [1, 3, 4])
def test_the_averages_are_continued(tmp_path, first):
    path = tmp_path / "last.ckpt"
    tiny_fit(callbacks=[AveragedWeights(0.9)], checkpoint=path, budget=Budget(first, "steps"))
    continued, whole = AveragedWeights(0.9), AveragedWeights(0.9)
    tiny_fit(callbacks=[continued], checkpoint=path, budget=Budget(7, "steps"), resume=True)
    tiny_fit(callbacks=[whole], budget=Budget(7, "steps"))
    assert torch.equal(flat(continued.averages), flat(whole.averages))


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_that_is_none_is_refused(decay):
    with pytest.raises(InputError, match=rf"`averaging` must be in \[0, 1\), but is {decay} instead\."):
        AveragedWeights(decay)
