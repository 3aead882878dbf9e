from __future__ import annotations

import copy
import io
import json

import pytest
import torch
from torch import nn
from torch.nn import functional

from g2l.errors import InputError
from g2l.evaluation import Budget
from g2l.models.ms_tcn import MSTCN
from g2l.receptive_field import Ending, branch_layers
from g2l.receptive_field.branch_layer import INITIAL_ALPHA
from g2l.receptive_field.temporal import layer_rates, read_structure
from g2l.records import LocalSearchUpdate
from g2l.search.local_search import LocalSearch
from g2l.search.space import SearchSpace
from g2l.search_config import LocalSearchConfig
from g2l.structure import DilationStructure, LayerTopology
from g2l.training.state import TrainingCallback, TrainingState

NAMES = [f"stage1.layers.{layer}.conv_dilated" for layer in range(2)]


def make_search(on_update=None, limit=None, ending=Ending.SINGLE, **changes) -> LocalSearch:
    config = LocalSearchConfig(**{"interval": Budget(2, "steps"), "updates": 3, **changes})
    return LocalSearch(config, longest_video=60, limit=limit, ending=ending, on_update=on_update)


def start(search: LocalSearch, *, fused: bool = False) -> TrainingState:
    torch.manual_seed(0)
    structure = DilationStructure(((16, 4),))
    model = MSTCN(structure, feature_dim=3, num_classes=4, feature_maps=6, dropout=0.2)
    search.prepare(model)
    groups = search.parameter_groups(model, learning_rate=1e-2)
    return TrainingState(model, torch.optim.Adam(groups, fused=fused))


def train(search: LocalSearch, state: TrainingState, until: int, steps_per_epoch: int = 4) -> None:
    """A loop whose batches and dropout are functions of the step alone."""
    while state.step < until:
        torch.manual_seed(1000 + state.step)
        features, targets = torch.randn(2, 3, 40), torch.randint(4, (2, 40))
        loss = functional.cross_entropy(state.model(features)[-1], targets)
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()
        state.step += 1
        search.on_step_end(state)
        if state.step % steps_per_epoch == 0:
            state.epoch += 1
            search.on_epoch_end(state, {"loss": loss.item()})


def set_alpha(state: TrainingState, *raw: float) -> None:
    for layer in branch_layers(state.model).values():
        layer.alpha.data.copy_(torch.tensor(raw))


def test_it_is_a_training_callback():
    callback: TrainingCallback = make_search()
    assert callback.state_dict() == {"history": []}


def test_literal_rates_through_estimate_and_expand_to_the_collapse():
    seen = []
    search = make_search(seen.append)
    state = start(search)
    for step, raw in [(2, (0.01, 0.01, 0.06)), (4, (0.0, 0.0, 1.0)), (6, (1.0, 0.0, 0.0))]:
        set_alpha(state, *raw)
        state.step = step - 1
        search.on_step_end(state)
        assert len(seen) == step // 2 - 1
        state.step = step
        search.on_step_end(state)
    assert [update.rates for update in seen] == [
        dict(zip(NAMES, rates, strict=True)) for rates in [(17, 5), (19, 6), (17, 5)]
    ]
    assert [(update.number, update.step, update.epoch) for update in seen] == [
        (1, 2, 0),
        (2, 4, 0),
        (3, 6, 0),
    ]
    first = seen[0].layers[NAMES[0]]
    assert (first.rate_before, first.branches, first.rate_after) == (16, (14, 16, 18), 17)
    assert first.weights == pytest.approx((0.125, 0.125, 0.75))
    assert first.expectation == pytest.approx(17.25)
    assert seen == search.history
    assert search.finished
    assert layer_rates(state.model) == seen[-1].rates
    assert read_structure(state.model, (2,)) == DilationStructure(((17, 5),))
    assert branch_layers(state.model) == {}


@pytest.mark.parametrize(
    ("topology", "expected"),
    [
        # 17 + 5 is within it, 19 + 6 is not, and from (16, 6) on the last update is.
        (LayerTopology.serial((2,)), [(17, 5), (16, 6), (14, 5)]),
        (LayerTopology(shape=(2,), parallel=(2,)), [(17, 5), (19, 6), (17, 5)]),
    ],
)
def test_updates_keep_to_a_limit(topology, expected):
    space = SearchSpace(topology, tuple(range(1, 61)), max_look_ahead=22)
    search = make_search(limit=lambda rates: space.from_rates(rates).rates)
    state = start(search)
    for step, raw in [(2, (0.01, 0.01, 0.06)), (4, (0.0, 0.0, 1.0)), (6, (1.0, 0.0, 0.0))]:
        set_alpha(state, *raw)
        state.step = step
        search.on_step_end(state)
    assert [tuple(update.rates.values()) for update in search.history] == expected


def test_intervals_in_epochs_wait_for_the_end_of_an_epoch():
    search = make_search(interval=Budget(2, "epochs"), updates=2)
    state = start(search)
    train(search, state, until=7)
    assert search.history == []
    train(search, state, until=20)
    assert [(update.step, update.epoch) for update in search.history] == [(8, 2), (16, 4)]
    assert search.budget == Budget(4, "epochs")


def test_an_update_starts_alpha_anew_together_with_its_moments():
    search = make_search()
    state = start(search)
    train(search, state, until=1)
    alphas = state.optimizer.param_groups[1]["params"]
    assert all(alpha in state.optimizer.state for alpha in alphas)
    weights = state.optimizer.param_groups[0]["params"]
    train(search, state, until=2)
    assert not any(alpha in state.optimizer.state for alpha in alphas)
    assert all(weight in state.optimizer.state for weight in weights)
    for alpha in alphas:
        assert alpha.tolist() == pytest.approx([INITIAL_ALPHA] * 3)
    train(search, state, until=3)
    assert all(int(state.optimizer.state[alpha]["step"]) == 1 for alpha in alphas)


def test_the_last_update_may_leave_branches_that_train_on():
    search = make_search(ending=Ending.MULTIPLE)
    state = start(search)
    train(search, state, until=6)
    layers = branch_layers(state.model).values()
    rates = search.history[-1].rates
    assert [layer.dilation for layer in layers] == [(rate,) for rate in rates.values()]
    assert not any(layer.alpha in state.optimizer.state for layer in layers)
    branches = [layer.branches.rates for layer in layers]
    train(search, state, until=9)
    assert [layer.branches.rates for layer in layers] == branches
    assert all(layer.alpha.tolist() != pytest.approx([INITIAL_ALPHA] * 3, abs=1e-5) for layer in layers)
    assert layer_rates(state.model) == rates


def test_the_last_update_may_merge_the_branches_without_changing_the_network():
    search = make_search(ending=Ending.MERGE)
    state = start(search)
    train(search, state, until=5)
    features = torch.randn(1, 3, 50)
    expected = state.model.eval()(features)
    state.step = 6
    search.on_step_end(state)
    torch.testing.assert_close(state.model(features), expected)
    largest = [layer.branches[-1] for layer in search.history[-1].layers.values()]
    sizes = [stage.conv_dilated.kernel_size[0] for stage in state.model.stage1.layers]
    assert sizes == [1 + 2 * rate for rate in largest]
    assert state.optimizer.param_groups[1]["params"] == []


@pytest.mark.parametrize("fused", [False, True])
def test_training_goes_on_after_the_collapse_without_alpha(fused):
    search = make_search()
    state = start(search, fused=fused)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(state.optimizer, [2])
    train(search, state, until=6)
    assert search.finished
    assert state.optimizer.param_groups[1]["params"] == []
    names = [name for name, _ in state.model.named_parameters()]
    assert not any(name.endswith("alpha") for name in names)
    assert len(state.optimizer.param_groups[0]["params"]) == len(names)
    before = copy.deepcopy(state.model.state_dict())
    scheduler.step()
    train(search, state, until=9)
    assert len(search.history) == 3
    after = state.model.state_dict()
    assert all(not torch.equal(after[name], before[name]) for name in names)


def saved_training(search: LocalSearch, state: TrainingState) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(
        {
            "callback": search.state_dict(),
            "model": state.model.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "at": (state.epoch, state.step),
        },
        file,
    )
    file.seek(0)
    return file


def resumed(search: LocalSearch, file: io.BytesIO) -> TrainingState:
    saved, state = torch.load(file, weights_only=True), start(search)
    state.epoch, state.step = saved["at"]
    search.load_state_dict(saved["callback"], state)
    state.model.load_state_dict(saved["model"])
    state.optimizer.load_state_dict(saved["optimizer"])
    return state


@pytest.mark.parametrize(
    ("stop", "unit", "ending"),
    [
        *(
            (stop, unit, Ending.SINGLE)
            for stop in (0, 1, 2, 3, 4, 6, 7, 12, 13)
            for unit in ("steps", "epochs")
        ),
        *((stop, "steps", ending) for stop in (3, 6, 7) for ending in (Ending.MULTIPLE, Ending.MERGE)),
    ],
)
def test_a_resumed_search_is_the_uninterrupted_one_bit_for_bit(stop, unit, ending):
    interval = Budget(2 if unit == "steps" else 1, unit)
    options = {"interval": interval, "branch_learning_rate": 0.02, "ending": ending}
    whole, interrupted, again = (make_search(**options) for _ in range(3))
    whole_state, state = start(whole), start(interrupted)
    train(whole, whole_state, until=14)
    train(interrupted, state, until=stop)
    state = resumed(again, saved_training(interrupted, state))
    train(again, state, until=14)
    assert whole.finished
    assert again.history == whole.history
    assert layer_rates(state.model) == layer_rates(whole_state.model)
    expected = whole_state.model.state_dict()
    found = state.model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_weights_round_trip_in_the_middle_of_a_search_once_rates_are_restored():
    search = make_search(interval=Budget(5, "steps"))
    state = start(search)
    train(search, state, until=8)
    state.model.eval()
    other = make_search(interval=Budget(5, "steps"))
    twin = resumed(other, saved_training(search, state))
    twin.model.eval()
    features = torch.randn(1, 3, 50)
    assert torch.equal(twin.model(features), state.model(features))


def test_loading_a_search_of_another_network_is_refused():
    search = make_search()
    state = start(search)
    train(search, state, until=2)
    model = nn.Sequential(nn.Conv1d(3, 3, 3, padding=1))
    other = make_search()
    other.prepare(model)
    fresh = TrainingState(model, torch.optim.Adam(model.parameters()))
    with pytest.raises(
        InputError, match="`rates` must name the 1 layers with branches, but differs in 0, stage1"
    ):
        other.load_state_dict(search.state_dict(), fresh)


def test_an_update_passes_through_json():
    search = make_search()
    train(search, start(search), until=2)
    (update,) = search.history
    assert LocalSearchUpdate.from_dict(json.loads(json.dumps(update.as_dict()))) == update


def test_a_network_without_a_suitable_convolution_is_refused():
    with pytest.raises(InputError, match=r"can be given branches \(all kernels are 1\)"):
        make_search().prepare(nn.Sequential(nn.Conv1d(2, 2, 1)))
    with pytest.raises(InputError, match=r"can be given branches \(0 its kernel size 4 is even\)"):
        make_search().prepare(nn.Sequential(nn.Conv1d(2, 2, 4)))


def test_the_largest_rate_is_that_of_the_settings_or_the_longest_video():
    assert make_search().expansion.max_rate == 60
    assert make_search(max_rate=20).expansion.max_rate == 20


def test_settings_are_validated():
    with pytest.raises(InputError, match=r"`expansion_rate` must be in \(0, 1\], but is 2 instead"):
        make_search(expansion_rate=2)
    with pytest.raises(InputError, match="`branches` must be 2 or an odd number"):
        make_search(branches=4)
