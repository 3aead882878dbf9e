from __future__ import annotations

import io

import pytest
import torch
from torch import nn

from g2l.errors import InputError
from g2l.receptive_field import (
    Ending,
    SearchSchedule,
    branch_layers,
    convert,
    describe,
    finish,
    parameter_groups,
    structure,
)


def make_model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=4, dilation=4),
        nn.ReLU(),
        nn.Conv2d(4, 4, (3, 5), padding=(2, 2), dilation=(2, 1)),
        nn.ConvTranspose2d(4, 2, 3, padding=2, dilation=2),
    )


def make_search(model=None, *, updates=3, ending=Ending.SINGLE, interval=2):
    model = make_model() if model is None else model
    convert(model, max_rate=6)
    optimizer = torch.optim.Adam(parameter_groups(model, learning_rate=1e-2, branch_learning_rate=0.02))
    return (
        model,
        optimizer,
        SearchSchedule(model, optimizer, interval=interval, updates=updates, ending=ending),
    )


def train(model, optimizer, schedule, steps, start=0):
    for step in range(start, start + steps):
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(2, 2, 9, 10, generator=generator)
        optimizer.zero_grad()
        (model(x) - x.roll(3, 2)).square().mean().backward()
        optimizer.step()
        schedule.step()


def set_alpha(model, *raw):
    for layer in branch_layers(model).values():
        layer.alpha.data.copy_(torch.tensor(raw))


def test_literal_rates_through_estimate_and_expand_to_the_end():
    model, _, schedule = make_search()
    found = []
    for raw in [(0.0, 0.0, 1.0), (0.0, 0.0, 1.0), (0.01, 0.01, 0.02)]:
        assert schedule.step() is None
        set_alpha(model, *raw)
        update = schedule.step()
        found.append(
            (update.number, update.call, list(update.rates.values()), list(structure(model).values()))
        )
    assert found == [
        (1, 2, [(5, 5), (3, 2), (3, 3)], [(5, 5), (3, 2), (3, 3)]),
        (2, 4, [(6, 6), (4, 3), (4, 4)], [(6, 6), (4, 3), (4, 4)]),
        # Of the third branch of the first layer the clamp has left nothing.
        (3, 6, [(5, 5), (4, 3), (4, 4)], [(5, 5), (4, 3), (4, 4)]),
    ]
    assert schedule.finished
    assert branch_layers(model) == {}
    assert [type(model[place]) for place in (0, 2, 3)] == [nn.Conv2d, nn.Conv2d, nn.ConvTranspose2d]
    assert schedule.step() is None
    assert len(schedule.history) == 3
    first = schedule.history[0].layers["2"]
    assert first.branches == ((1, 1), (2, 1), (3, 2))
    assert first.weights == (0, 0, 1)
    assert first.expectation == (3, 2)


def test_alpha_starts_anew_together_with_its_moments():
    model, optimizer, schedule = make_search()
    alphas = [layer.alpha for layer in branch_layers(model).values()]
    train(model, optimizer, schedule, 1)
    assert all(alpha in optimizer.state for alpha in alphas)
    train(model, optimizer, schedule, 1)
    assert not any(alpha in optimizer.state for alpha in alphas)
    assert model[0].weight in optimizer.state
    assert all(alpha.tolist() == pytest.approx([0.01] * 3) for alpha in alphas)


@pytest.mark.parametrize("ending", list(Ending))
@pytest.mark.parametrize("stop", [1, 4, 7])
def test_a_resumed_search_is_the_uninterrupted_one_bit_for_bit(stop, ending):
    whole = make_search(ending=ending)
    train(*whole, 8)
    parts = make_search(ending=ending)
    train(*parts, stop)
    file = io.BytesIO()
    torch.save([part.state_dict() for part in parts], file)
    file.seek(0)
    model_state, optimizer_state, schedule_state = torch.load(file, weights_only=True)
    torch.manual_seed(5)
    again = make_search(ending=ending)
    for weight in again[0].parameters():
        nn.init.zeros_(weight)
    again[2].load_state_dict(schedule_state)
    again[0].load_state_dict(model_state)
    again[1].load_state_dict(optimizer_state)
    train(*again, 8 - stop, start=stop)
    assert again[2].history == whole[2].history
    assert describe(again[0]) == describe(whole[0])
    expected, found = whole[0].state_dict(), again[0].state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_layers_that_ended_as_multiple_are_left_alone():
    model = make_model()
    convert(model, max_rate=6, names="0")
    finish(model, Ending.MULTIPLE)
    before = model[0].branches.rates
    model, optimizer, schedule = make_search(model, updates=2)
    train(model, optimizer, schedule, 6)
    assert schedule.finished
    assert list(branch_layers(model)) == ["0"]
    assert model[0].branches.rates == before
    assert list(schedule.history[0].layers) == ["2", "3"]


@pytest.mark.parametrize("name", ["interval", "updates"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(InputError, match=f"`{name}` must be >= 1, but is 0 instead"):
        make_search(**{name: 0})


def test_a_network_without_branches_is_refused():
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(InputError, match="no layer of the network has branches to search"):
        SearchSchedule(model, optimizer, interval=1, updates=1)
