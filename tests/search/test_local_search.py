"""The training callback around a schedule, whose own tests are in tests/receptive_field/test_schedule.py."""

from __future__ import annotations

import io
import json

import pytest
import torch
from torch import nn
from torch.nn import functional

from g2l.config import LocalSearchConfig
from g2l.errors import InputError
from g2l.models.ms_tcn import MSTCN
from g2l.receptive_field import Ending, SearchSchedule, branch_layers, structure
from g2l.records import LocalSearchUpdate
from g2l.search.local_search import LocalSearch, give_branches
from g2l.search.space import SearchSpace
from g2l.structure import DilationStructure, LayerTopology
from g2l.training.state import TrainingCallback, TrainingState

NAMES = [f"stage1.layers.{layer}.conv_dilated" for layer in range(2)]
ALPHAS = [(0.01, 0.01, 0.06), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0)]


def start(
    unit="steps", interval=2, updates=3, on_update=None, **options
) -> tuple[LocalSearch, TrainingState]:
    torch.manual_seed(0)
    rates = DilationStructure(((16, 4),))
    model = MSTCN(rates, feature_dim=3, num_classes=4, feature_maps=6, dropout=0.2)
    config = LocalSearchConfig(branch_learning_rate=0.02)
    groups = give_branches(model, config, longest_video=60, learning_rate=1e-2)
    optimizer = torch.optim.Adam(groups, fused=True)
    schedule = SearchSchedule(model, optimizer, interval=interval, updates=updates, **options)
    return LocalSearch(schedule, unit, on_update), TrainingState(model, optimizer)


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


def follow(search: LocalSearch, state: TrainingState) -> None:
    """Make the three updates of a search with the given branch weights."""
    for raw in ALPHAS:
        advance(search, state)
        for layer in branch_layers(state.model).values():
            layer.alpha.data.copy_(torch.tensor(raw))
        advance(search, state)


def test_it_is_a_training_callback_that_records_literal_rates():
    seen = []
    search, state = start(on_update=seen.append)
    callback: TrainingCallback = search
    assert callback.state_dict() == {"calls": 0, "history": []}
    follow(search, state)
    assert [list(update.rates.values()) for update in seen] == [[17, 5], [19, 6], [17, 5]]
    places = [(update.number, update.step, update.epoch) for update in seen]
    assert places == [(1, 2, 0), (2, 4, 0), (3, 6, 1)]
    first = seen[0].layers[NAMES[0]]
    assert (first.rate_before, first.branches, first.rate_after) == (16, (14, 16, 18), 17)
    assert first.weights == pytest.approx((0.125, 0.125, 0.75))
    assert first.expectation == pytest.approx(17.25)
    assert seen == search.history
    assert structure(state.model) == dict(zip(NAMES, [(17,), (5,)], strict=True))
    assert branch_layers(state.model) == {}
    assert LocalSearchUpdate.from_dict(json.loads(json.dumps(seen[0].as_dict()))) == seen[0]


@pytest.mark.parametrize(
    ("topology", "expected"),
    [
        # 17 + 5 is within it, 19 + 6 is not, and from (16, 6) on the last update is.
        (LayerTopology(), [[17, 5], [16, 6], [14, 5]]),
        (LayerTopology(parallel=2), [[17, 5], [19, 6], [17, 5]]),
    ],
)
def test_updates_keep_to_a_limit(topology, expected):
    space = SearchSpace(topology, (2,), tuple(range(1, 61)), max_look_ahead=22)

    def limit(rates):
        return [(rate,) for rate in space.from_rates([rate for (rate,) in rates]).rates]

    search, state = start(limit=limit)
    follow(search, state)
    assert [list(update.rates.values()) for update in search.history] == expected


def test_intervals_in_epochs_wait_for_the_end_of_an_epoch():
    search, state = start("epochs", updates=2)
    train(search, state, until=7)
    assert search.history == []
    train(search, state, until=20)
    assert [(update.step, update.epoch) for update in search.history] == [(8, 2), (16, 4)]


@pytest.mark.parametrize(
    ("stop", "unit", "ending"),
    [
        *((stop, unit, Ending.SINGLE) for stop in (1, 4, 7) for unit in ("steps", "epochs")),
        *((stop, "steps", ending) for stop in (3, 6) for ending in (Ending.MULTIPLE, Ending.MERGE)),
    ],
)
@pytest.mark.parametrize("rule", [{}, {"evidence": True, "warm_up": 3}], ids=["expectation", "evidence"])
def test_a_resumed_search_is_the_uninterrupted_one_bit_for_bit(stop, unit, ending, rule):
    options = {"unit": unit, "interval": 2 if unit == "steps" else 1, "ending": ending, **rule}
    whole, expected = start(**options)
    last = 15 if unit == "steps" or not rule else 30
    train(whole, expected, until=last)
    first, part = start(**options)
    train(first, part, until=stop)
    file = io.BytesIO()
    torch.save([first.state_dict(), part.model.state_dict(), part.optimizer.state_dict()], file)
    file.seek(0)
    callback, model, optimizer = torch.load(file, weights_only=True)
    again, state = start(**options)
    state.epoch, state.step = part.epoch, part.step
    again.load_state_dict(callback, state)
    state.model.load_state_dict(model)
    state.optimizer.load_state_dict(optimizer)
    train(again, state, until=last)
    assert again.history == whole.history
    assert len(whole.history) == 3
    found = state.model.state_dict()
    assert found.keys() == expected.model.state_dict().keys()
    assert all(torch.equal(found[name], value) for name, value in expected.model.state_dict().items())


@pytest.mark.parametrize(
    ("kernel_size", "reason"), [(1, "all kernels are 1"), (4, "0 its kernel size 4 is even")]
)
def test_a_network_without_a_suitable_convolution_is_refused(kernel_size, reason):
    model = nn.Sequential(nn.Conv1d(2, 2, kernel_size))
    with pytest.raises(InputError, match=rf"can be given branches \({reason}\)"):
        give_branches(model, LocalSearchConfig(), longest_video=9, learning_rate=1e-3)


@pytest.mark.parametrize(("settings", "largest"), [({}, 60), ({"max_rate": 20}, 20)])
def test_the_largest_rate_is_that_of_the_settings_or_the_longest_video(settings, largest):
    model = nn.Conv1d(2, 2, 3, padding=99, dilation=99)
    give_branches(model, LocalSearchConfig(**settings), longest_video=60, learning_rate=1e-3)
    assert model.dilation == (largest,)
