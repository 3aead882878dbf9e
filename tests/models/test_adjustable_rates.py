from __future__ import annotations

import pytest
from torch import nn

from g2l.errors import InputError
from g2l.models.ms_tcn import MSTCN
from g2l.models.rates import AdjustableRates
from g2l.receptive_field.geometry import CausalConv1d
from g2l.structure import DilationStructure

ONE = DilationStructure(((1, 2), (3, 4)))


class Unpadded(nn.Module):
    def __init__(self, structure):
        super().__init__()
        self.layer = nn.Conv1d(2, 2, 3, dilation=structure.rates[0])


class TwiceCausal(nn.Module):
    def __init__(self, structure):
        super().__init__()
        self.layer = CausalConv1d(2, 2, 3, dilation=structure.rates[0])
        self.layer.padding = (2,)


class Fixed(nn.Module):
    def __init__(self, structure):
        super().__init__()
        self.layer = nn.Conv1d(2, 2, 3, padding=1)


class Flat(nn.Module):
    def __init__(self, structure):
        super().__init__()
        self.layer = nn.Conv2d(2, 2, (1, 3), padding=(0, 1))


class Subclass(nn.Conv1d):
    pass


class Own(nn.Module):
    def __init__(self, structure):
        super().__init__()
        self.layer = Subclass(2, 2, 3, padding=2, dilation=2)


class Backwards(nn.Module):
    def __init__(self, structure):
        super().__init__()
        self.layers = MSTCN(ONE, feature_dim=2, num_classes=2).stages


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            Unpadded,
            r"Unpadded cannot be changed: .* that keep the length, but layer is Conv1d\(2, 2, kern.*\)\.",
        ),
        (TwiceCausal, r"TwiceCausal cannot be changed: .* that keep the length, but layer is CausalConv1d"),
        (Fixed, r"Fixed cannot be changed: expected convolutions of rates 2, but found 1\."),
        (Flat, r"Flat cannot be changed: .* but layer is Conv2d"),
        (Own, r"Own cannot be changed: .* but layer is Subclass"),
        (Backwards, r"Backwards cannot be changed: expected convolutions of rates 2, but found 3, 4\."),
        (lambda structure: nn.Conv1d(2, 2, 1), r"expected convolutions of rates 2, but found none\."),
    ],
)
def test_a_network_that_does_not_show_its_rates_is_refused(kind, message):
    structure = DilationStructure(((2,),))
    with pytest.raises(InputError, match=message):
        AdjustableRates(kind(structure), structure)
