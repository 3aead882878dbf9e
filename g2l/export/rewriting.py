"""One export for all structures of a shape: rates are attributes of convolutions and change no weight.

torch's exporter takes about ten seconds for a network of 40 layers, a change of attributes a millisecond.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from g2l.errors import OperationalError
from g2l.export.onnx_export import DeployedNetwork, exported_proto
from g2l.export.parity import LARGEST_DIFFERENCE, compare
from g2l.structure import DilationStructure


class RewritableExport:
    """An exported network whose rates can be set.

    It is exported once with a rate of its own in each convolution, which tells them apart, then set to
    other rates and compared with torch, so that a network for which this does not work is refused.

    Args:
        build: Makes a network of given rates, new every time: (features (B, D, T), frame_mask (B, 1, T) or
            None) -> logits (S, B, C, T).
        shape: Rates per stage.
        feature_dim: D.

    Raises:
        OperationalError: The network cannot be exported, or its rates are more than attributes.
    """

    def __init__(
        self, build: Callable[[DilationStructure], nn.Module], shape: Sequence[int], *, feature_dim: int
    ) -> None:
        # From 2, since undilated convolutions have 1.
        marks = DilationStructure.from_rates(range(2, sum(shape) + 2), shape)
        network = build(marks).cpu().eval()
        self._proto = exported_proto(DeployedNetwork(network), feature_dim)
        self._convolutions = [
            (marks.rates.index(mark), Convolution(attributes, mark))
            for attributes, mark in _dilated(self._proto)
            if mark in marks.rates
        ]
        if {layer for layer, _ in self._convolutions} != set(range(len(marks.rates))):
            raise OperationalError("the rates of this backbone are not those of its exported convolutions.")
        others = DilationStructure.from_rates([mark + 1 for mark in reversed(marks.rates)], shape)
        expected = build(others).cpu().eval()
        expected.load_state_dict(network.state_dict())
        checks = compare(
            self.serialised(others),
            DeployedNetwork(expected),
            others,
            feature_dim=feature_dim,
            frame_mask=False,
        )
        if not all(check.max_difference <= LARGEST_DIFFERENCE for check in checks):
            raise OperationalError(
                "the exported convolutions of this backbone are not all that its rates set."
            )

    def serialised(self, structure: DilationStructure) -> bytes:
        """Return the ONNX model with the rates of `structure`, of the shape that was given."""
        for layer, convolution in self._convolutions:
            convolution.set_rate(structure.rates[layer])
        model: bytes = self._proto.SerializeToString()
        return model


class Convolution:
    """A `Conv` node of an ONNX graph, padded on both sides alike or, for a causal one, on the left alone.

    Args:
        attributes: By name; `dilations` and `pads` are changed in place.
        rate: Its present rate.

    Raises:
        OperationalError: Its padding is not a multiple of the rate.
    """

    def __init__(self, attributes: dict[str, Any], rate: int) -> None:
        self._dilations = attributes["dilations"].ints
        self._pads = attributes["pads"].ints
        self._receptive_field = [divmod(pad, rate) for pad in self._pads]
        if any(rest for _, rest in self._receptive_field):
            raise OperationalError(f"the padding {list(self._pads)} is no multiple of the rate {rate}.")

    def set_rate(self, rate: int) -> None:
        """Set the dilation, and the padding that keeps the length."""
        self._dilations[:] = [rate]
        self._pads[:] = [taps * rate for taps, _ in self._receptive_field]


def _dilated(proto: Any) -> list[tuple[dict[str, Any], int]]:
    """Return attributes and rate of each convolution over time."""
    nodes = (
        {entry.name: entry for entry in node.attribute} for node in proto.graph.node if node.op_type == "Conv"
    )
    return [
        (attributes, attributes["dilations"].ints[0])
        for attributes in nodes
        if {"dilations", "pads"} <= attributes.keys() and len(attributes["dilations"].ints) == 1
    ]
