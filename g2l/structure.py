"""The dilation structure: the rate of every layer of every stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from g2l.errors import InputError

KERNEL_SIZE = 3
"""Taps of the dilated convolutions of MS-TCN (METHOD: MS-TCN, section 3.1)."""


@dataclass(frozen=True)
class DilationStructure:
    """The dilation rates of a network; immutable and hashable.

    Args:
        stages: One tuple of rates per stage, first layer first; every rate is an integer >= 1.

    Raises:
        InputError: There is no stage, a stage is empty, or a rate is not an integer >= 1.
    """

    stages: tuple[tuple[int, ...], ...]

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
        """Return the structure every search is compared with: rate 2^l in layer l (MS-TCN, section 3.1)."""
        return cls(tuple(tuple(2**layer for layer in range(layers)) for _ in range(stages)))

    @classmethod
    def from_rates(cls, rates: Sequence[int], shape: Sequence[int]) -> DilationStructure:
        """Return the structure whose concatenated stages are `rates`.

        Args:
            rates: All rates, stage by stage; length sum(shape).
            shape: Layers per stage.

        Raises:
            InputError: The number of rates is not the sum of the shape.
        """
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
