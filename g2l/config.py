"""Settings of data, network and training: frozen, validated, each number named and sourced.

A configuration holds what the user chose, never results. `validate()` reports all faults at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from g2l.errors import InputError
from g2l.settings import Settings, at_least, not_negative, one_of, positive
from g2l.structure import DilationStructure, LayerTopology

FITNESS_METRICS = ("f1", "f1@10", "f1@25", "f1@50", "edit", "accuracy")
"""Names a fitness may have; `f1` is the mean of F1@{10,25,50}."""


class Normalization(StrEnum):
    """How each feature row is standardised to zero mean and unit variance before the network."""

    NONE = "none"
    VIDEO = "video"
    TRAIN = "train"


class Selection(StrEnum):
    """Which weights a training keeps."""

    BEST = "best"
    """The epoch with the best hold-out score; a hold-out is cut from the train bundle."""
    LAST = "last"
    """The last epoch, trained on the whole train bundle; nothing is selected."""


@dataclass(frozen=True)
class BackboneFamily:
    """What the settings of a backbone need to know of it.

    Attributes:
        dual_prediction: Whether the first stage has two convolutions side by side in each layer, and one
            layer more than the others (MS-TCN++, section 4.1).
        causal: Whether there is a causal variant.
        whole_video: See `g2l.structure.LayerTopology`.
    """

    dual_prediction: bool = False
    causal: bool = False
    whole_video: bool = False


FAMILIES = {
    "ms-tcn": BackboneFamily(causal=True),
    "ms-tcn++": BackboneFamily(causal=True, dual_prediction=True),
    # Instance normalisation over time makes every frame depend on all others.
    "asformer": BackboneFamily(whole_video=True),
}
"""Our own backbones; a user's own one (`package.module:factory`) is like MS-TCN, without a causal variant."""


def topology_of(backbone: str, shape: Sequence[int], *, causal: bool = False) -> LayerTopology:
    """Return how the dilated convolutions of a backbone are connected.

    Args:
        backbone: One of `FAMILIES`, or `package.module:factory`.
        shape: Rates per stage.
        causal: Whether no label depends on later frames.

    Raises:
        InputError: The layers of the first stage have two rates each, but its number of rates is odd.
    """
    family = FAMILIES.get(backbone, BackboneFamily())
    first = 2 if family.dual_prediction else 1
    return LayerTopology(
        shape=tuple(shape),
        parallel=(first, *(1,) * (len(shape) - 1)),
        causal=causal,
        whole_video=family.whole_video,
    )


@dataclass(frozen=True, kw_only=True)
class BackboneConfig(Settings):
    """Which network, and its size (MS-TCN, section 3: 4 stages, 10 layers, 64 feature maps, dropout 0.5).

    Attributes:
        name: One of `FAMILIES`, or `package.module:factory`.
        stages: The first one predicts, the others refine (ASFormer: encoder and decoders).
        layers: Layers per stage.
        prediction_layers: Layers of the first stage of MS-TCN++, or None for one more than `layers`, as in
            the paper (11 and 10).
        feature_maps: Channels inside a stage.
        dropout: Probability of dropping an element of a layer's residual.
        causal: Whether no label depends on later frames.
    """

    name: str = "ms-tcn"
    stages: int = 4
    layers: int = 10
    prediction_layers: int | None = None
    feature_maps: int = 64
    dropout: float = 0.5
    causal: bool = False

    def faults(self) -> Iterator[str]:
        """Yield one sentence per setting that is out of range."""
        yield from at_least("stages", self.stages, 1)
        yield from at_least("layers", self.layers, 1)
        yield from at_least("feature_maps", self.feature_maps, 1)
        if not 0 <= self.dropout < 1:
            yield f"`dropout` must be in [0, 1), but is {self.dropout} instead."
        if self.prediction_layers is not None:
            yield from at_least("prediction_layers", self.prediction_layers, 1)
            if not self._family.dual_prediction:
                yield f"`prediction_layers` must be left out for backbone {self.name!r}."
        if self.causal and not self._family.causal:
            known = ", ".join(name for name, family in FAMILIES.items() if family.causal)
            yield f"`causal` must be false for backbone {self.name!r}: only {known} have a causal variant."

    @property
    def shape(self) -> tuple[int, ...]:
        """Rates per stage; a dual dilated layer has two."""
        return (self._first_rates, *(self.layers,) * (self.stages - 1))

    @property
    def topology(self) -> LayerTopology:
        """How its dilated convolutions are connected: what tells receptive field and look-ahead."""
        return topology_of(self.name, self.shape, causal=self.causal)

    def hand_designed(self) -> DilationStructure:
        """Return the 2^l structure of this size.

        The dual dilated layers of MS-TCN++ have 2^(L − 1 − l) beside 2^l (MS-TCN++, section 4.1): in the
        first stage come the L rates of the first convolutions, then those of the second.
        """
        first, *later = DilationStructure.hand_designed(self.stages, self.layers).stages
        if self._family.dual_prediction:
            ascending = DilationStructure.hand_designed(1, self._first_rates // 2).rates
            first = (*reversed(ascending), *ascending)
        return DilationStructure((first, *later))

    def fit(self, structure: DilationStructure, source: str = "structure") -> Self:
        """Return self if the structure fits this backbone.

        Raises:
            InputError: The number of stages, or of rates in one, differs.
        """
        if structure.shape != self.shape:
            dual = f" ({self._first_rates} rates in the first)" if self._family.dual_prediction else ""
            raise InputError(
                f"{source}: expected {self.stages} stages of {self.layers} layers{dual}, but found stages of "
                f"{', '.join(map(str, structure.shape))} layers.",
                hint="set --backbone, --stages and --layers to the structure's own, or give another one.",
            )
        return self

    @property
    def _family(self) -> BackboneFamily:
        return FAMILIES.get(self.name, BackboneFamily())

    @property
    def _first_rates(self) -> int:
        if not self._family.dual_prediction:
            return self.layers
        return 2 * (self.prediction_layers or self.layers + 1)


@dataclass(frozen=True, kw_only=True)
class DataConfig(Settings):
    """Which data, and how it is read.

    Where `sample_rate`, `normalize`, `background`, `group_pattern` or `fps` is None, the data set's
    `dataset.json` supplies it, or else the default (`g2l.datasets.facts.resolve_config`).

    Attributes:
        data_root: Folder that holds data sets.
        dataset: Name of the data set's folder below it.
        split: Fold number k of `splits/train.split<k>.bundle`.
        sample_rate: Take every r-th frame; predictions are repeated r times (default 1).
        normalize: Standardisation of each feature row (default none).
        background: Class names whose segments count neither for Edit nor for F1 (default `background`).
        holdout_fraction: Share of the train bundle (in groups) that is held out for selection.
        group_pattern: Regular expression whose first group in a video name is the subject;
            None tries the known ones of GTEA, 50Salads and Breakfast, "" means ungrouped.
        length_tolerance: Frames by which features and labels of a video may differ in length.
        cache_mb: RAM for decoded videos, in MiB; the rest is read through memory maps.
        fps: Frames per second of the feature files, for output in seconds, or None.
        seed: Seed of the hold-out.
    """

    data_root: Path = Path("data")
    dataset: str = ""
    split: int = 1
    sample_rate: int | None = None
    normalize: Normalization | None = None
    background: tuple[str, ...] | None = None
    holdout_fraction: float = 0.25
    group_pattern: str | None = None
    length_tolerance: int = 16
    cache_mb: int = 1024
    fps: float | None = None
    seed: int = 0

    def faults(self) -> Iterator[str]:
        """Yield one sentence per setting that is out of range."""
        if not self.dataset or Path(self.dataset).name != self.dataset or self.dataset in (".", ".."):
            yield f"`dataset` must be a folder name below the data root, but is {self.dataset!r} instead."
        yield from at_least("split", self.split, 0)
        if self.sample_rate is not None:
            yield from at_least("sample_rate", self.sample_rate, 1)
        yield from at_least("length_tolerance", self.length_tolerance, 0)
        yield from at_least("cache_mb", self.cache_mb, 0)
        if not 0 < self.holdout_fraction < 1:
            yield f"`holdout_fraction` must be in (0, 1), but is {self.holdout_fraction} instead."
        if self.fps is not None:
            yield from positive("fps", self.fps)


@dataclass(frozen=True, kw_only=True)
class RecipeConfig(Settings):
    """How one network is trained (G2L, section 4.1; MS-TCN, section 3.3).

    Attributes:
        epochs: Passes over the training videos.
        batch_size: Videos per step.
        learning_rate: Of Adam.
        decay_epoch: Epoch after which the learning rate is multiplied by `decay_factor`, or None.
        decay_factor: See above.
        smoothing_weight: Weight λ of the truncated smoothing loss.
        smoothing_clamp: Truncation τ of |Δ log-probability|; squared differences are cut at τ².
        gradient_clip: Largest gradient norm, or None.
        selection: Which weights are kept.
        monitor: Hold-out metric that decides which epoch is best.
        compile: Whether to train through `torch.compile`; searches never do, since their rates change.
        mixed_precision: bfloat16 autocast where the device supports it (CUDA); float32 elsewhere.
    """

    epochs: int = 50
    batch_size: int = 4
    learning_rate: float = 5e-4
    decay_epoch: int | None = None
    decay_factor: float = 0.1
    smoothing_weight: float = 0.15
    smoothing_clamp: float = 4.0
    gradient_clip: float | None = None
    selection: Selection = Selection.BEST
    monitor: str = "f1"
    compile: bool = False
    mixed_precision: bool = True

    def faults(self) -> Iterator[str]:
        """Yield one sentence per setting that is out of range."""
        yield from at_least("epochs", self.epochs, 1)
        yield from at_least("batch_size", self.batch_size, 1)
        yield from positive("learning_rate", self.learning_rate)
        yield from positive("decay_factor", self.decay_factor)
        yield from positive("smoothing_clamp", self.smoothing_clamp)
        if self.decay_epoch is not None:
            yield from at_least("decay_epoch", self.decay_epoch, 1)
        yield from not_negative("smoothing_weight", self.smoothing_weight)
        if self.gradient_clip is not None:
            yield from positive("gradient_clip", self.gradient_clip)
        yield from one_of("monitor", self.monitor, FITNESS_METRICS)
