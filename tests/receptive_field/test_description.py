from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load, save
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from g2l.errors import InputError
from g2l.receptive_field import CausalConv1d, Ending, convert, describe, finish, restore, structure
from tests.receptive_field.self_padding import CAUSAL, Chomp


def make_model():
    return nn.Sequential(
        nn.Conv1d(3, 4, 3, padding=4, dilation=4),
        weight_norm(nn.Conv1d(4, 4, 5, padding="same", dilation=2, padding_mode="circular")),
        CausalConv1d(4, 4, 3, dilation=3),
        Chomp(4, 4, 3, dilation=2),
        CAUSAL["pads by memory"](4, 4, 3, dilation=2),
        nn.ConvTranspose1d(4, 4, 3, padding=0, dilation=3, stride=2),
        nn.Conv1d(4, 4, 2),
        nn.BatchNorm1d(4),
    ).eval()


def vary(model):
    torch.manual_seed(1)
    for parameter in model.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))


@pytest.mark.parametrize("ending", [None, *Ending])
@pytest.mark.parametrize("converted_before", [False, True])
def test_a_fresh_network_becomes_the_same_in_any_state(ending, converted_before):
    model = make_model()
    skipped = convert(model, max_rate=12).skipped
    assert set(skipped) == {"6"}
    for name in "024":
        (model[int(name)]).expand((6,))
    vary(model)
    if ending is not None:
        finish(model, ending)
        vary(model)
    x = torch.randn(2, 3, 30)
    expected = model(x)
    description = json.loads(json.dumps(describe(model)))
    weights = save({name: value.contiguous() for name, value in model.state_dict().items()})
    fresh = make_model()
    if converted_before:
        convert(fresh, max_rate=3)
    restore(fresh, description)
    fresh.load_state_dict(load(weights))
    assert torch.equal(fresh(x), expected)
    assert structure(fresh) == structure(model)
    assert describe(fresh) == describe(model)
    assert repr(fresh) == repr(model)


def test_another_network_is_refused():
    description = describe(make_model())
    with pytest.raises(
        InputError, match=r"must name the 1 convolutions .* but differs in 1, 2, 3.conv, 4, 5, 6"
    ):
        restore(make_model()[:1], description)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel_size": [3, 3]}, "expected 1 integers from 1 to"),
        ({"dilation": [2**31]}, "expected 1 integers from 1 to 2147483647"),
        ({"dilation": [True]}, "expected 1 integers from 1"),
        ({"padding": [-1]}, "expected 1 integers from 0"),
        ({"padding": "some"}, "expected 1 integers from 0 .* but found some"),
        ({"geometry": {"taps": [3]}}, "KeyError"),
        ({"geometry": 3}, "TypeError"),
    ],
)
def test_a_damaged_description_is_refused(changes, message):
    model = make_model()[:1]
    description = describe(model)
    description["0"].update(changes)
    with pytest.raises(InputError, match=f"the description of `0` is corrupted: .*{message}"):
        restore(model, description)
