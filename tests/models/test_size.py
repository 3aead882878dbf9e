from __future__ import annotations

import pytest
import torch
from torch import nn

from g2l.models.ms_tcn import MSTCN
from g2l.models.size import count_flops, count_parameters
from g2l.structure import DilationStructure


def network(structure):
    return MSTCN(structure, feature_dim=20, num_classes=5, feature_maps=8)


def by_hand(stages, layers, frames, dim=20, classes=5, maps=8):
    """Parameters, and multiply-adds times two, of every convolution in turn."""
    convolutions = []
    for stage in range(stages):
        convolutions.append(((dim if stage == 0 else classes), maps, 1))
        convolutions += [(maps, maps, 3), (maps, maps, 1)] * layers
        convolutions.append((maps, classes, 1))
    parameters = sum(i * o * k + o for i, o, k in convolutions)
    return parameters, 2 * frames * sum(i * o * k for i, o, k in convolutions)


@pytest.mark.parametrize(("stages", "layers", "frames"), [(1, 1, 1), (2, 3, 50), (4, 2, 300)])
def test_both_are_those_counted_by_hand(stages, layers, frames):
    model = network(DilationStructure.hand_designed(stages, layers))
    parameters, flops = by_hand(stages, layers, frames)
    assert count_parameters(model) == parameters
    assert count_flops(model, feature_dim=20, frames=frames) == flops


def test_neither_depends_on_rates():
    models = [network(DilationStructure(((rate, rate),))) for rate in (1, 7, 500)]
    assert len({count_parameters(model) for model in models}) == 1
    assert len({count_flops(model, feature_dim=20, frames=40) for model in models}) == 1


def test_the_network_is_left_as_it_is():
    model = network(DilationStructure(((1,),)))
    count_flops(model, feature_dim=20, frames=4)
    assert model.training
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}


def test_what_depends_on_rates_is_counted():
    class Wide(nn.Module):
        def __init__(self, rate):
            super().__init__()
            self.convolution = nn.Conv1d(20, 5, 2 * rate + 1, padding=rate)

        def forward(self, features, frame_mask=None):
            return torch.stack([self.convolution(features)])

    assert count_parameters(Wide(2)) == 20 * 5 * 5 + 5
    assert count_flops(Wide(2), feature_dim=20, frames=10) == 2 * 10 * 20 * 5 * 5
    assert count_flops(Wide(1), feature_dim=20, frames=10) == 2 * 10 * 20 * 5 * 3
