"""The training callback around a schedule, whose own tests are in tests/receptive_field/test_schedule.py."""

from __future__ import annotations

import io
import json

import pytest
import torch
from torch import nn
from torch.nn import functional

from g2l.errors import InputError
from g2l.evaluation import Budget
from g2l.models.ms_tcn import MSTCN
from g2l.receptive_field import Ending, branch_layers, structure
from g2l.records import LocalSearchUpdate
from g2l.search.local_search import LocalSearch
from g2l.search.space import SearchSpace
from g2l.search_config import LocalSearchConfig
from g2l.structure import DilationStructure, LayerTopology
from g2l.training.state import TrainingCallback, TrainingState

NAMES = [f"stage1.layers.{layer}.conv_dilated" for layer in range(2)]
ALPHAS = [(0.01, 0.01, 0.06), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0)]


def make_search(on_update=None, limit=None, ending=Ending.SINGLE, **changes) -> LocalSearch:
    config = LocalSearchConfig(**{"interval": Budget(2, "steps"), "updates": 3, **changes})
    return LocalSearch(config, longest_video=60, limit=limit, ending=ending, on_update=on_update)


def start(search: LocalSearch) -> TrainingState:
    torch.manual_seed(0)
    rates = DilationStructure(((16, 4),))
    model = MSTCN(rates, feature_dim=3, num_classes=4, feature_maps=6, dropout=0.2)
    search.prepare(model)
    groups = search.parameter_groups(model, learning_rate=1e-2)
    return TrainingState(model, torch.optim.Adam(groups, fused=True))


def advance(search: LocalSearch, state: TrainingState, steps_per_epoch: int = 4) -> None:
    state.step += 1
    search.on_step_end(state)
    if state.step % steps_per_epoch == 0:
        state.epoch += 1
        search.on_epoch_end(state, {})


def train(search: LocalSearch, state: TrainingState, until: int) -> None:
    """A loop whose batches and dropout are functions of the step alone."""
    while state.step < until:
        torch.manual_seed(1000 + state.step)
        features, targets = torch.randn(2, 3, 40), torch.randint(4, (2, 40))
        loss = functional.cross_entropy(state.model(features)[-1], targets)
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()
        advance(search, state)


def follow(search: LocalSearch) -> TrainingState:
    """Make the three updates of a search with the given branch weights."""
    state = start(search)
    for raw in ALPHAS:
        advance(search, state)
        for layer in branch_layers(state.model).values():
            layer.alpha.data.copy_(torch.tensor(raw))
        advance(search, state)
    return state


def test_it_is_a_training_callback_that_records_literal_rates():
    seen = []
    search = make_search(seen.append)
    callback: TrainingCallback = search
    assert callback.state_dict() == {}
    state = follow(search)
    assert [list(update.rates.values()) for update in seen] == [[17, 5], [19, 6], [17, 5]]
    assert [(update.number, update.step, update.epoch) for update in seen] == [
        (1, 2, 0),
        (2, 4, 0),
        (3, 6, 1),
    ]
    first = seen[0].layers[NAMES[0]]
    assert (first.rate_before, first.branches, first.rate_after) == (16, (14, 16, 18), 17)
    assert first.weights == pytest.approx((0.125, 0.125, 0.75))
    assert first.expectation == pytest.approx(17.25)
    assert seen == search.history
    assert search.finished
    assert list(structure(state.model).items()) == list(zip(NAMES, [(17,), (5,)], strict=True))
    assert branch_layers(state.model) == {}
    assert LocalSearchUpdate.from_dict(json.loads(json.dumps(seen[0].as_dict()))) == seen[0]


@pytest.mark.parametrize(
    ("topology", "expected"),
    [
        # 17 + 5 is within it, 19 + 6 is not, and from (16, 6) on the last update is.
        (LayerTopology.serial((2,)), [[17, 5], [16, 6], [14, 5]]),
        (LayerTopology(shape=(2,), parallel=(2,)), [[17, 5], [19, 6], [17, 5]]),
    ],
)
def test_updates_keep_to_a_limit(topology, expected):
    space = SearchSpace(topology, tuple(range(1, 61)), max_look_ahead=22)
    search = make_search(limit=lambda rates: space.from_rates(rates).rates)
    follow(search)
    assert [list(update.rates.values()) for update in search.history] == expected


def test_intervals_in_epochs_wait_for_the_end_of_an_epoch():
    search = make_search(interval=Budget(2, "epochs"), updates=2)
    state = start(search)
    train(search, state, until=7)
    assert search.history == []
    train(search, state, until=20)
    assert [(update.step, update.epoch) for update in search.history] == [(8, 2), (16, 4)]
    assert search.budget == Budget(4, "epochs")


@pytest.mark.parametrize(
    ("stop", "unit", "ending"),
    [
        *((stop, unit, Ending.SINGLE) for stop in (0, 1, 2, 4, 6, 7, 13) for unit in ("steps", "epochs")),
        *((stop, "steps", ending) for stop in (3, 6, 7) for ending in (Ending.MULTIPLE, Ending.MERGE)),
    ],
)
def test_a_resumed_search_is_the_uninterrupted_one_bit_for_bit(stop, unit, ending):
    interval = Budget(2 if unit == "steps" else 1, unit)
    options = {"interval": interval, "branch_learning_rate": 0.02, "ending": ending}
    whole = make_search(**options)
    expected = start(whole)
    train(whole, expected, until=15)
    first = make_search(**options)
    part = start(first)
    train(first, part, until=stop)
    file = io.BytesIO()
    torch.save([first.state_dict(), part.model.state_dict(), part.optimizer.state_dict()], file)
    file.seek(0)
    callback, model, optimizer = torch.load(file, weights_only=True)
    again = make_search(**options)
    state = start(again)
    state.epoch, state.step = part.epoch, part.step
    again.load_state_dict(callback, state)
    state.model.load_state_dict(model)
    state.optimizer.load_state_dict(optimizer)
    train(again, state, until=15)
    assert again.history == whole.history
    assert len(whole.history) == 3
    found = state.model.state_dict()
    assert found.keys() == expected.model.state_dict().keys()
    assert all(torch.equal(found[name], value) for name, value in expected.model.state_dict().items())


def test_loading_a_search_of_another_network_is_refused():
    search = make_search()
    train(search, start(search), until=2)
    model = nn.Sequential(nn.Conv1d(3, 3, 3, padding=1))
    other = make_search()
    other.prepare(model)
    fresh = TrainingState(model, torch.optim.Adam(model.parameters()))
    with pytest.raises(InputError, match="the 1 layers with branches, but differs in 0, stage1"):
        other.load_state_dict(search.state_dict(), fresh)


def test_a_network_without_a_suitable_convolution_is_refused():
    with pytest.raises(InputError, match=r"can be given branches \(all kernels are 1\)"):
        make_search().prepare(nn.Sequential(nn.Conv1d(2, 2, 1)))
    with pytest.raises(InputError, match=r"can be given branches \(0 its kernel size 4 is even\)"):
        make_search().prepare(nn.Sequential(nn.Conv1d(2, 2, 4)))


def test_the_largest_rate_is_that_of_the_settings_or_the_longest_video():
    assert make_search().max_rate == 60
    assert make_search(max_rate=20).max_rate == 20
