"""When a convolution is computed by products, and that it is the same then."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from g2l.kernels.taps import convolve_by_taps
from g2l.models.convolutions import as_taps, convolve, dilated_convolution
from g2l.receptive_field import CausalConv1d, convert


class Scaled(nn.Conv1d):
    def forward(self, input):
        return 2 * super().forward(input)


class PadsItself(nn.Conv1d):
    def _conv_forward(self, input, weight, bias):
        return super()._conv_forward(input + 1, weight, bias)


def conv(kind=nn.Conv1d, rate=3, taps=3, **options):
    torch.manual_seed(0)
    options.setdefault("padding", taps // 2 * rate)
    return kind(4, 4, taps, dilation=rate, **options).double()


def branched(layer):
    convert(layer, max_rate=30, expansion_rate=0.5)
    layer.alpha.data.copy_(torch.tensor([0.2, -0.1, 0.5]))
    return layer


FOUND = {
    "plain": conv,
    "five taps, no bias": lambda: conv(taps=5, bias=False),
    "causal": lambda: CausalConv1d(4, 4, 3, dilation=4).double(),
    "branches": lambda: branched(conv(rate=5)),
    "causal branches": lambda: branched(CausalConv1d(4, 4, 3, dilation=5).double()),
    "parametrized": lambda: parametrizations.weight_norm(conv()),
}


@pytest.mark.parametrize("make", FOUND.values(), ids=FOUND)
@pytest.mark.parametrize("frames", [1, 4, 40])
def test_products_give_what_the_call_gives(make, frames):
    layer, x = make(), torch.randn(2, 4, frames, dtype=torch.float64)
    found = as_taps(layer, x)
    assert found is not None
    torch.testing.assert_close(convolve_by_taps(x, *found), layer(x), rtol=1e-12, atol=1e-12)


def with_hook(register):
    layer = conv()
    getattr(layer, register)(lambda *arguments: None)
    return layer


def with_own_forward():
    layer = conv()
    layer.forward = lambda input: input
    return layer


NOT_FOUND = {
    "something else": lambda: nn.Linear(4, 4),
    "two axes": lambda: nn.Conv2d(4, 4, 3, padding=1),
    "groups": lambda: conv(groups=2),
    "branches with a stride": lambda: branched(conv(stride=2)),
    "padding mode": lambda: conv(padding_mode="circular"),
    "other padding": lambda: conv(padding=2),
    "even kernel": lambda: conv(taps=4),
    "merged kernel": lambda: conv(taps=101, rate=1),
    "own forward": with_own_forward,
    "class with a forward": lambda: conv(Scaled),
    "class that pads itself": lambda: conv(PadsItself),
    "forward hook": lambda: with_hook("register_forward_hook"),
    "forward pre-hook": lambda: with_hook("register_forward_pre_hook"),
    "backward hook": lambda: with_hook("register_full_backward_hook"),
    "backward pre-hook": lambda: with_hook("register_full_backward_pre_hook"),
}


@pytest.mark.parametrize("make", NOT_FOUND.values(), ids=NOT_FOUND)
def test_nothing_is_found_where_a_call_is_more_than_that(make):
    assert as_taps(make(), torch.randn(1, 4, 9, dtype=torch.float64)) is None


def test_nothing_is_found_on_other_devices_in_autocast_and_while_compiling_or_tracing():
    layer, x = conv(), torch.randn(1, 4, 9, dtype=torch.float64)
    assert as_taps(layer, x) is not None
    assert as_taps(layer, x[0]) is None
    assert as_taps(layer, x.to("meta")) is None
    with torch.autocast("cpu", torch.bfloat16):
        assert as_taps(layer, x) is None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        assert as_taps(layer, x) is None
    seen = []
    torch.jit.trace(lambda x: seen.append(as_taps(layer, x)) or x + 1, (x,), check_trace=False)
    assert seen == [None]
    handle = nn.modules.module.register_module_forward_hook(lambda *arguments: None)
    try:
        assert as_taps(layer, x) is None
    finally:
        handle.remove()


@pytest.mark.parametrize("causal", [False, True])
def test_a_dilated_convolution_lies_frame_by_frame_and_heeds_hooks(causal):
    layer = dilated_convolution(4, 3, causal=causal).double()
    maps = torch.randn(2, 11, 4, dtype=torch.float64).mT
    found = convolve(layer, maps)
    torch.testing.assert_close(found, layer(maps))
    assert found.mT.is_contiguous()
    layer.register_forward_hook(lambda module, inputs, output: output + 1)
    torch.testing.assert_close(convolve(layer, maps), found + 1)
