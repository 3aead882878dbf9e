"""The dilation structure: the rate of every layer of every stage, and what a network of it sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from g2l.errors import InputError

KERNEL_SIZE = 3
"""Taps of the dilated convolutions of MS-TCN (METHOD: MS-TCN, section 3.1)."""


class Ending(StrEnum):
    """Form of a layer after the local search (RF-Next, section 3.4)."""

    SINGLE = "single"
    """One rate is left: the expectation."""
    MULTIPLE = "multiple"
    """The branches stay where they are; their weights are reset and trained further."""
    MERGE = "merge"
    """The branches become one dense kernel with the same output."""


@dataclass(frozen=True)
class DilationStructure:
    """The dilation rates of a network; immutable and hashable.

    Raises:
        InputError: There is no stage, a stage is empty, or a rate is not an integer >= 1.
    """

    stages: tuple[tuple[int, ...], ...]
    """One tuple of rates per stage, first layer first."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(tuple(stage) for stage in self.stages))
        if not self.stages:
            raise InputError("`stages` must hold at least one stage, but is empty instead.")
        for number, stage in enumerate(self.stages):
            if not stage:
                raise InputError(f"`stages[{number}]` must hold at least one rate, but is empty instead.")
            for layer, rate in enumerate(stage):
                if isinstance(rate, bool) or not isinstance(rate, int) or rate < 1:
                    raise InputError(
                        f"`stages[{number}][{layer}]` must be an integer >= 1, but is {rate!r} instead."
                    )

    @classmethod
    def hand_designed(cls, stages: int, layers: int) -> DilationStructure:
        """Return the baseline of every search: rate 2^l in layer l (MS-TCN, section 3.1)."""
        return cls(tuple(tuple(2**layer for layer in range(layers)) for _ in range(stages)))

    @classmethod
    def from_rates(cls, rates: Sequence[int], shape: Sequence[int]) -> DilationStructure:
        """Return the structure whose concatenated stages are `rates`; `shape` is layers per stage."""
        if len(rates) != sum(shape):
            raise InputError(f"`rates` must hold {sum(shape)} rates, but holds {len(rates)} instead.")
        remaining = iter(rates)
        return cls(tuple(tuple(next(remaining) for _ in range(layers)) for layers in shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """Layers per stage."""
        return tuple(len(stage) for stage in self.stages)

    @property
    def rates(self) -> tuple[int, ...]:
        """All rates, stage by stage: the genome of the global search."""
        return tuple(rate for stage in self.stages for rate in stage)

    @property
    def key(self) -> str:
        """One line that identifies the structure, such as `1,2,4/1,2,4`."""
        return "/".join(",".join(map(str, stage)) for stage in self.stages)

    def as_lists(self) -> list[list[int]]:
        """Return the rates as nested lists, the form that JSON files hold."""
        return [list(stage) for stage in self.stages]

    def __str__(self) -> str:
        return self.key


@dataclass(frozen=True)
class ReceptiveField:
    """The frames that the label of one frame depends on, beside that frame itself."""

    past: int
    future: int
    """Later frames: the look-ahead, and the delay of a network that labels a stream."""

    @property
    def frames(self) -> int:
        """Frames in all."""
        return self.past + 1 + self.future


@dataclass(frozen=True, kw_only=True)
class LayerTopology:
    """How the dilated convolutions of a network are connected, however many stages and layers it has.

    The receptive fields of convolutions in sequence add up; of those side by side only the largest counts.
    A first stage with P side by side in each of its n layers has P·n rates: those of layer l are at l, n + l,
    2n + l, …

    Attributes:
        parallel: Convolutions side by side in each layer of the first stage.
        causal: Whether convolutions read only the present and earlier frames.
        whole_video: Whether something beside the convolutions, such as a normalisation over time, sees all
            frames; the receptive field is then that of the convolutions alone.

    Raises:
        InputError: By all methods but `suits`, for a structure whose first stage has not `parallel` rates for
            each of its layers.
    """

    parallel: int = 1
    causal: bool = False
    whole_video: bool = False

    def suits(self, structure: DilationStructure) -> bool:
        """Return whether a network with these rates can be connected so."""
        return len(structure.stages[0]) % self.parallel == 0

    def layers(self, shape: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        """Return, for each layer of all stages, the places of its rates among `DilationStructure.rates`."""
        places, first = [], 0
        for number, rates in enumerate(shape):
            depth = self._depth(rates) if number == 0 else rates
            places += [tuple(range(first + layer, first + rates, depth)) for layer in range(depth)]
            first += rates
        return tuple(places)

    def columns(self, structure: DilationStructure) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """Return the rates of each stage: first those of its layers' first convolutions."""
        first, *later = structure.stages
        depth = self._depth(len(first))
        columns = tuple(first[start : start + depth] for start in range(0, len(first), depth))
        return (columns, *((stage,) for stage in later))

    def receptive_field(self, structure: DilationStructure) -> ReceptiveField:
        """Return the receptive field of the whole network."""
        return self._receptive_field(self.span(structure))

    def stage_receptive_fields(self, structure: DilationStructure) -> tuple[ReceptiveField, ...]:
        """Return the receptive field of each stage alone."""
        return tuple(self._receptive_field(_span(columns)) for columns in self.columns(structure))

    def report(self, structure: DilationStructure) -> dict[str, int]:
        """Return receptive field and look-ahead of the whole network, in frames, as JSON values."""
        field = self.receptive_field(structure)
        found = {"receptive_field": field.frames, "look_ahead": field.future}
        return found | ({"whole_video": True} if self.whole_video else {})

    def span(self, structure: DilationStructure) -> int:
        """Return Σ over all layers of the largest rate side by side, which determines the receptive field."""
        return sum(map(_span, self.columns(structure)))

    def largest_span(self, max_receptive_field: int | None, max_look_ahead: int | None) -> int | None:
        """Return the largest `span` that keeps to both limits, in frames of the whole network, or None."""
        spans = []
        if max_receptive_field is not None:
            spans.append((max_receptive_field - 1) // (KERNEL_SIZE - 1))
        if max_look_ahead is not None and not self.causal:
            spans.append(max_look_ahead // (KERNEL_SIZE // 2))
        return min(spans, default=None)

    def _receptive_field(self, span: int) -> ReceptiveField:
        future = 0 if self.causal else KERNEL_SIZE // 2 * span
        return ReceptiveField((KERNEL_SIZE - 1) * span - future, future)

    def _depth(self, rates: int) -> int:
        if rates % self.parallel:
            raise InputError(
                f"`stages[0]` must hold {self.parallel} rates for each layer, whose {self.parallel} "
                f"convolutions are side by side, but holds {rates} rates instead."
            )
        return rates // self.parallel


def _span(columns: Sequence[Sequence[int]]) -> int:
    return sum(map(max, zip(*columns, strict=True)))


@dataclass(frozen=True)
class BackboneFamily:
    """Facts of a backbone that its settings depend on."""

    dual_prediction: bool = False
    """Whether the first stage has two convolutions side by side in each layer, and one layer more than the
    others (MS-TCN++, section 4.1)."""
    causal: bool = False
    """Whether there is a causal variant."""
    whole_video: bool = False
    """As in `LayerTopology`."""


FAMILIES = {
    "ms-tcn": BackboneFamily(causal=True),
    "ms-tcn++": BackboneFamily(causal=True, dual_prediction=True),
    # Instance normalisation over time makes every frame depend on all others.
    "asformer": BackboneFamily(whole_video=True),
}
"""Our own backbones; a user's own one (`package.module:factory`) is like MS-TCN, without a causal variant."""


def topology_of(backbone: str, *, causal: bool = False) -> LayerTopology:
    """Return how the dilated convolutions of a backbone are connected."""
    family = FAMILIES.get(backbone, BackboneFamily())
    parallel = 2 if family.dual_prediction else 1
    return LayerTopology(parallel=parallel, causal=causal, whole_video=family.whole_video)
