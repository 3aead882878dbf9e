from __future__ import annotations

import pytest
import torch
from torch import nn

from g2l.errors import InputError
from g2l.models.ms_tcn import MSTCN
from g2l.models.rates import AdjustableRates
from g2l.structure import DilationStructure


class OtherProduct(nn.Conv1d):
    def _conv_forward(self, input, weight, bias):
        return super()._conv_forward(input, weight * 2, bias)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Conv1d(2, 2, 3, dilation=2), r"is Conv1d\(.*\), which does not keep the number of frames"),
        (nn.Conv1d(2, 2, 3, padding=2, dilation=2, stride=2), "does not keep the number of frames"),
        (nn.Conv2d(2, 2, 3, padding=2, dilation=2), "is Conv2d.* does not keep the number of frames"),
        (nn.Conv1d(2, 2, 4, dilation=2), "its kernel size 4 is even"),
        (OtherProduct(2, 2, 3, padding=2, dilation=2), "OtherProduct, which computes something else"),
        (nn.Conv1d(2, 2, 3, padding=1), "expected convolutions of rates 2, but found 1"),
        (nn.Conv1d(2, 2, 1), "expected convolutions of rates 2, but found none"),
    ],
)
def test_a_network_that_does_not_show_its_rates_is_refused(network, message):
    with pytest.raises(InputError, match=f"cannot be changed: .*{message}"):
        AdjustableRates(network, DilationStructure(((2,),)))


@pytest.mark.parametrize("causal", [False, True])
def test_a_changed_network_is_one_built_with_those_rates(causal):
    one, other = DilationStructure(((1, 2), (3, 4))), DilationStructure(((7, 1), (40, 5)))
    sizes = {"feature_dim": 3, "num_classes": 2, "feature_maps": 4, "causal": causal}
    changed, built = MSTCN(one, **sizes).eval(), MSTCN(other, **sizes).eval()
    built.load_state_dict(changed.state_dict())
    rates, features = AdjustableRates(changed, one), torch.randn(1, 3, 50)
    before = changed(features)
    rates.set(other)
    assert torch.equal(changed(features), built(features))
    rates.set(one)
    assert torch.equal(changed(features), before)
