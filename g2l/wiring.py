"""What rates mean in a network: which convolutions follow each other, and how far they see together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from g2l.errors import InputError
from g2l.structure import KERNEL_SIZE, DilationStructure


@dataclass(frozen=True)
class Reach:
    """The frames that the label of one frame depends on, beside that frame itself.

    Attributes:
        past: Earlier frames.
        future: Later frames: the look-ahead, and the delay of a network that labels a stream.
    """

    past: int
    future: int

    @property
    def receptive_field(self) -> int:
        """Frames in all."""
        return self.past + 1 + self.future


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """How the dilated convolutions of a backbone are connected.

    Convolutions that follow each other add up what they reach, of those side by side only the furthest
    counts. A stage with P side by side in each of its n layers has P·n rates: of layer l those at
    l, n + l, 2n + l, …

    Attributes:
        shape: Rates per stage.
        parallel: Convolutions side by side in each layer, per stage; divides the stage's rates.
        causal: Whether convolutions read only the present and earlier frames.
        whole_video: Whether something beside the convolutions, such as a normalisation over time, sees all
            frames; `reach` is then that of the convolutions alone.
        kernel_size: Taps k of a convolution, odd.

    Raises:
        InputError: The rates of a stage are not so many for each of its layers.
    """

    shape: tuple[int, ...]
    parallel: tuple[int, ...]
    causal: bool = False
    whole_video: bool = False
    kernel_size: int = KERNEL_SIZE

    def __post_init__(self) -> None:
        for number, (rates, width) in enumerate(zip(self.shape, self.parallel, strict=True)):
            if rates % width:
                raise InputError(
                    f"`stages[{number}]` must hold {width} rates for each layer, whose {width} convolutions "
                    f"are side by side, but holds {rates} rates instead."
                )

    @classmethod
    def serial(cls, shape: Sequence[int]) -> Wiring:
        """Return the wiring in which every convolution follows the one before, as in MS-TCN."""
        return cls(shape=tuple(shape), parallel=(1,) * len(shape))

    @property
    def layers(self) -> tuple[tuple[int, ...], ...]:
        """Of each layer of all stages, the places of its rates among `DilationStructure.rates`."""
        places, first = [], 0
        for rates, width in zip(self.shape, self.parallel, strict=True):
            depth = rates // width
            places += [tuple(range(first + layer, first + rates, depth)) for layer in range(depth)]
            first += rates
        return tuple(places)

    def columns(self, structure: DilationStructure) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """Return the rates of each stage: those of its layers' first convolutions, then of the second ones.

        Raises:
            InputError: The structure has another shape.
        """
        self._fit(structure)
        return tuple(
            tuple(stage[number * (len(stage) // width) :][: len(stage) // width] for number in range(width))
            for stage, width in zip(structure.stages, self.parallel, strict=True)
        )

    def reach(self, structure: DilationStructure) -> Reach:
        """Return how far the whole network sees.

        Raises:
            InputError: The structure has another shape.
        """
        self._fit(structure)
        return self._reach(self.span(structure.rates))

    def stage_reaches(self, structure: DilationStructure) -> tuple[Reach, ...]:
        """Return how far each stage by itself sees.

        Raises:
            InputError: The structure has another shape.
        """
        self._fit(structure)
        stages = zip(structure.stages, self.parallel, strict=True)
        return tuple(self._reach(_stage_span(rates, width)) for rates, width in stages)

    def report(self, structure: DilationStructure) -> dict[str, int]:
        """Return how far the whole network sees, in frames, as JSON values.

        Where it sees the whole video anyhow, `whole_video` is true, and the numbers are those of the
        convolutions alone.

        Raises:
            InputError: The structure has another shape.
        """
        reach = self.reach(structure)
        found = {"receptive_field": reach.receptive_field, "look_ahead": reach.future}
        return found | ({"whole_video": True} if self.whole_video else {})

    def span(self, rates: Sequence[int]) -> int:
        """Return Σ over all layers of the largest rate side by side: all that a reach depends on."""
        return sum(max(rates[place] for place in layer) for layer in self.layers)

    def largest_span(self, max_receptive_field: int | None, max_look_ahead: int | None) -> int | None:
        """Return the largest `span` that keeps to both limits, or None where there is no limit.

        Args:
            max_receptive_field: Frames of the whole network, or None.
            max_look_ahead: Later frames that a label may depend on, or None.
        """
        spans = []
        if max_receptive_field is not None:
            spans.append((max_receptive_field - 1) // (self.kernel_size - 1))
        if max_look_ahead is not None and not self.causal:
            spans.append(max_look_ahead // (self.kernel_size // 2))
        return min(spans, default=None)

    def _reach(self, span: int) -> Reach:
        if self.causal:
            return Reach((self.kernel_size - 1) * span, 0)
        return Reach(self.kernel_size // 2 * span, self.kernel_size // 2 * span)

    def _fit(self, structure: DilationStructure) -> None:
        if structure.shape != self.shape:
            raise InputError(
                f"`structure` must have stages of {self.shape} rates, but has {structure.shape} instead."
            )


def _stage_span(rates: Sequence[int], width: int) -> int:
    depth = len(rates) // width
    return sum(max(rates[layer::depth]) for layer in range(depth))
