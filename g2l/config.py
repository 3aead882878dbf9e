"""Every setting, once: its type, default, range, unit, help text and preset values.

The command line, `MLproject` and the option tables of the documentation are derived from the classes here.
A configuration holds what the user chose, never results. `validate()` reports all errors at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from g2l.errors import InputError
from g2l.receptive_field import Ending as Ending
from g2l.settings import Rank, Settings, setting
from g2l.structure import DilationStructure, LayerTopology

FIRST, RARE = Rank.FIRST, Rank.RARE
FAST, PAPER, DEMO = "fast", "paper", "demo"

LARGEST_SEED = 2**31 - 1
"""What torch, numpy and scikit-learn all accept, with room for the seeds after it."""

FITNESS_METRICS = ("f1", "f1@10", "f1@25", "f1@50", "edit", "accuracy")
"""Names a fitness may have; `f1` is the mean of F1@{10,25,50}."""


@dataclass(frozen=True)
class Budget:
    """How long a training runs: a number of epochs or of optimiser steps.

    Raises:
        InputError: The amount is below 1 or the unit is unknown.
    """

    amount: int
    unit: Literal["epochs", "steps"] = "epochs"

    def __post_init__(self) -> None:
        if self.unit not in ("epochs", "steps"):
            raise InputError(f"`unit` must be epochs or steps, but is {self.unit!r} instead.")
        if self.amount < 1:
            raise InputError(f"`amount` must be >= 1, but is {self.amount} instead.")

    def __str__(self) -> str:
        return f"{self.amount} {self.unit}"


class Normalization(StrEnum):
    """How each feature row is standardised to zero mean and unit variance before the network."""

    NONE = "none"
    VIDEO = "video"
    TRAIN = "train"


class Selection(StrEnum):
    """Whether hold-outs cut from train choose the number of epochs, or all are taken on all of train."""

    BEST = "best"
    LAST = "last"


class Ship(StrEnum):
    """Which structure a pipeline exports: the one that the hold-outs show to be best, or a given one."""

    BEST = "best"
    SEARCHED = "searched"
    HAND_DESIGNED = "hand-designed"


class ClassWeights(StrEnum):
    """How the loss weighs classes; see `g2l.training.loss.class_weights`."""

    NONE = "none"
    INVERSE = "inverse"
    EFFECTIVE = "effective"


class CandidateCheckpoints(StrEnum):
    """Which candidates of a global search keep their weights."""

    ALL = "all"
    ELITE = "elite"
    NONE = "none"


class ExecutorKind(StrEnum):
    """Where candidates are trained."""

    SERIAL = "serial"
    PROCESS = "process"
    RAY = "ray"


class Strategy(StrEnum):
    """How a global search decides what to train next; see `g2l.search.strategies`."""

    RANDOM = "random"
    GENETIC = "genetic"
    ONE_SHOT = "one-shot"


class ProxyChoice(StrEnum):
    """How long a candidate is trained: `budget`, or a third, which ranked well on every data set tried."""

    FIXED = "fixed"
    THIRD = "third"


_data = partial(setting, panel="Data")
_network = partial(setting, panel="Network")
_training = partial(setting, panel="Training")
_rare_training = partial(_training, rank=RARE)
_search = partial(setting, panel="Global search")
_rare_search = partial(_search, rank=RARE)
_placement = partial(_rare_search, changes_result=False)
_local = partial(setting, panel="Local search")
_contest = partial(setting, panel="Contest")
_rare_local = partial(_local, rank=RARE)

BACKGROUND_HELP = "Class left out of Edit and F1; repeatable; '' for none."
FPS_HELP = "Frame rate of the features, for output in seconds."


def seed_setting() -> Any:
    """Return the field of the seed, which several configurations share."""
    return setting(
        0,
        "Random seed: hold-out, initialisation, order of videos, search.",
        at_least=0,
        at_most=LARGEST_SEED,
        panel="Run",
    )


@dataclass(frozen=True, kw_only=True)
class DataConfig(Settings):
    """Which data, and how it is read.

    Where `sample_rate`, `normalize`, `background`, `group_pattern` or `fps` is None, the data set's
    `dataset.json` supplies it, or else the default (`g2l.datasets.facts.resolve_config`).
    """

    dataset: str = _data("", "Data set: a folder below --data-root.", required=True, rank=FIRST)
    split: int = _data(1, "Fold k: splits/train.split<k>.bundle.", at_least=0, rank=FIRST)
    data_root: Path = _data(Path("data"), "Folder of data sets.", rank=FIRST, changes_result=False)
    sample_rate: int | None = _data(
        None,
        "Use every r-th frame; predictions are repeated r times.",
        at_least=1,
        default_text="dataset.json, else 1",
    )
    normalize: Normalization | None = _data(
        None,
        "Standardise each feature row over its video or over train.",
        default_text="dataset.json, else none",
    )
    background: tuple[str, ...] | None = _data(
        None, BACKGROUND_HELP, default_text="dataset.json, else background", keeps_empty=True
    )
    fps: float | None = _data(None, FPS_HELP, above=0, default_text="dataset.json", rank=RARE)
    holdout_fraction: float = _data(
        0.25, "Share of train (in groups) that is held out for selection.", above=0, below=1, rank=RARE
    )
    group_pattern: str | None = _data(
        None,
        "Regular expression: group 1 is the subject in a video name; '' for no groups.",
        default_text="names of GTEA, 50Salads and Breakfast",
        rank=RARE,
        keeps_empty=True,
    )
    length_tolerance: int = _data(
        16, "Tolerated difference in length of features and labels.", unit="frames", at_least=0, rank=RARE
    )
    cache_mb: int = _data(
        1024,
        "RAM for decoded videos; the rest is memory-mapped.",
        unit="MiB",
        at_least=0,
        rank=RARE,
        changes_result=False,
    )
    seed: int = seed_setting()

    def errors(self) -> Iterator[str]:
        """Yield one sentence per error."""
        if not self.dataset or Path(self.dataset).name != self.dataset or self.dataset in (".", ".."):
            yield f"`dataset` must be a folder name below the data root, but is {self.dataset!r} instead."
        yield from super().errors()


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
        causal: Whether its convolutions are causal.

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
    """Which network, and its size (MS-TCN, section 3: 4 stages, 10 layers, 64 feature maps, dropout 0.5)."""

    name: str = _network(
        "ms-tcn",
        "Network: ms-tcn, ms-tcn++, asformer or package.module:factory.",
        option="backbone",
        rank=FIRST,
    )
    stages: int = _network(4, "Stages; the first one predicts, the others refine.", at_least=1)
    layers: int = _network(10, "Layers per stage.", at_least=1)
    prediction_layers: int | None = _network(
        None, "Layers of stage 1 of MS-TCN++.", at_least=1, default_text="one more than --layers", rank=RARE
    )
    feature_maps: int = _network(64, "Channels inside a stage.", at_least=1, rank=RARE)
    dropout: float = _network(
        0.5, "Dropout probability of a layer's residual.", at_least=0, below=1, rank=RARE
    )
    causal: bool = _network(False, "Use causal convolutions (no look-ahead).")

    def errors(self) -> Iterator[str]:
        """Yield one sentence per error."""
        yield from super().errors()
        if self.prediction_layers is not None and not self._family.dual_prediction:
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
        """How its dilated convolutions are connected: determines receptive field and look-ahead."""
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
class RecipeConfig(Settings):
    """How one network is trained (G2L, section 4.1; MS-TCN, section 3.3)."""

    epochs: int = _training(
        50,
        "Passes over the training videos; the most of them with a hold-out.",
        at_least=1,
        presets={PAPER: 65, DEMO: 60},
    )
    batch_size: int = _training(4, "Videos per step.", at_least=1, presets={PAPER: 8})
    learning_rate: float = _training(5e-4, "Learning rate of Adam.", above=0, presets={DEMO: 1e-3})
    class_weights: ClassWeights = _training(
        ClassWeights.NONE, "Weights of the classes by their frames in train, for rare actions."
    )
    selection: Selection = _rare_training(
        Selection.BEST,
        "Epochs: best chooses their number on hold-outs cut from train; last takes all of --epochs.",
        presets={PAPER: Selection.LAST},
    )
    refit: bool = _training(
        True, "Train on all of train once the hold-outs have chosen; else keep the best epoch's weights."
    )
    decay_epoch: int | None = _rare_training(
        None, "Epoch after which the learning rate decays.", at_least=1, presets={PAPER: 50}
    )
    decay_factor: float = _rare_training(0.1, "Factor of the learning rate at --decay-epoch.", above=0)
    smoothing_weight: float = _rare_training(0.15, "Weight λ of the truncated smoothing loss.", at_least=0)
    smoothing_clamp: float = _rare_training(
        4.0, "Truncation τ of |Δ log-probability|; squared differences are clamped at τ².", above=0
    )
    gradient_clip: float | None = _rare_training(None, "Largest gradient norm.", above=0)
    monitor: str = _rare_training(
        "f1", "Hold-out metric that decides which epoch is best.", choices=FITNESS_METRICS
    )
    compile: bool = _rare_training(False, "Train with torch.compile (slow start); searches do not use it.")
    mixed_precision: bool = _rare_training(True, "Train in bfloat16 autocast on CUDA; float32 elsewhere.")


@dataclass(frozen=True, kw_only=True)
class SearchLimits(Settings):
    """What no structure of a search may exceed."""

    max_receptive_field: int | None = _search(
        None, "Largest receptive field of a structure.", unit="frames", at_least=1, default_text="no limit"
    )
    max_look_ahead: int | None = _search(
        None, "Largest look-ahead of a structure.", unit="frames", at_least=0, default_text="no limit"
    )


@dataclass(frozen=True, kw_only=True)
class GlobalSearchConfig(SearchLimits):
    """The global search (G2L, section 3.2; METHOD: deviations are listed in `g2l.search`).

    The preset `fast` costs at most 24 full trainings and reports what they have shown. `demo` takes a few
    minutes on two cores: after 60 steps its candidates are still ranked the wrong way round, after 100 they
    are not. Candidates differ by more points of F1 than of accuracy, for which the paper's margin of 10 is
    meant.
    """

    trainings: float | None = _search(
        None,
        "Largest cost of the search, all included.",
        unit="full trainings",
        above=0,
        presets={FAST: 24.0},
        default_text="no limit",
        rank=FIRST,
    )
    strategy: Strategy = _search(Strategy.GENETIC, "Search strategy.", presets={FAST: Strategy.ONE_SHOT})
    population: int = _rare_search(12, "Structures per generation.", at_least=2, presets={PAPER: 50, DEMO: 6})
    generations: int = _rare_search(
        6, "Generations after the first population.", at_least=0, presets={PAPER: 100, DEMO: 2}
    )
    proxy: ProxyChoice = _rare_search(
        ProxyChoice.FIXED,
        "Training of a candidate: a third of a full training, or fixed by --proxy-steps or --proxy-epochs.",
        presets={FAST: ProxyChoice.THIRD},
    )
    budget: Budget = _rare_search(
        Budget(120, "steps"),
        "Training of a candidate",
        presets={PAPER: Budget(5, "epochs"), DEMO: Budget(100, "steps")},
        option="proxy",
    )
    leaders: int = _rare_search(
        0, "Structures trained again with new seeds before one wins.", at_least=0, presets={FAST: 3}
    )
    final_seeds: int = _search(
        0,
        "Full trainings of winner and hand-designed, compared on test at the end.",
        at_least=0,
        presets={FAST: 3},
    )
    fitness: str = _rare_search(
        "f1", "Hold-out metric that ranks candidates; f1 is the mean of F1@10,25,50.", choices=FITNESS_METRICS
    )
    max_exponent: int = _rare_search(
        10, "Rates are 2^0 to 2^EXPONENT, at most the longest video.", unit="exponent", at_least=0
    )
    mutation_probability: float = _rare_search(
        0.2, "Probability that a child is mutated.", at_least=0, at_most=1
    )
    gene_mutation_probability: float = _rare_search(
        0.2, "Probability that a rate of a mutant changes.", at_least=0, at_most=1
    )
    survival_margin: float = _rare_search(
        10.0,
        "Survivors this far below the best are replaced.",
        unit="points",
        at_least=0,
        presets={FAST: 20.0, DEMO: 20.0},
    )
    candidate_checkpoints: CandidateCheckpoints = _placement(
        CandidateCheckpoints.ALL, "Candidates that keep their weights."
    )
    executor: ExecutorKind = _placement(
        ExecutorKind.SERIAL,
        "Where candidates are trained.",
        default_text="process on the CPU, serial on a GPU",
    )
    workers: int = _search(
        1,
        "Candidates trained at once (process, local Ray).",
        at_least=1,
        default_text="one per core",
        changes_result=False,
    )
    ray_address: str | None = _placement(
        None, "Ray cluster, host:port or auto; uses all its resources.", default_text="one is started here"
    )
    gpus_per_candidate: float = _placement(
        0.0,
        "GPUs per candidate in Ray; 0.25: four on each.",
        at_least=0,
        default_text="1 with --device cuda, else 0",
    )

    def errors(self) -> Iterator[str]:
        """Yield one sentence per error."""
        yield from super().errors()
        for name in ("ray_address", "gpus_per_candidate"):
            if getattr(self, name) and self.executor is not ExecutorKind.RAY:
                yield f"`{name}` must be left out unless `executor` is ray, which is {self.executor} instead."


@dataclass(frozen=True, kw_only=True)
class LocalSearchConfig(SearchLimits):
    """The expectation-guided iterative search (G2L, section 3.3; RF-Next, section 3.3)."""

    ending: Ending = _local(
        Ending.SINGLE, "Final network: one rate per layer, multiple branches, or merged to a dense kernel."
    )
    expansion_rate: float = _rare_local(
        0.1, "ρ: branches have the rates (1 − ρ)d to (1 + ρ)d.", above=0, at_most=1
    )
    branches: int = _rare_local(3, "Branches per layer: an odd number, or 2.", at_least=2)
    updates: int = _rare_local(10, "Estimates of the rates; the last one removes the branches.", at_least=1)
    interval: Budget = _rare_local(
        Budget(3, "epochs"),
        "Training between two estimates",
        presets={FAST: Budget(20, "steps"), DEMO: Budget(12, "steps")},
    )
    branch_learning_rate: float = _rare_local(
        2e-3, "Learning rate of the branch weights (Adam).", above=0, presets={PAPER: 5e-4}
    )
    max_rate: int | None = _rare_local(
        None, "Largest dilation rate.", unit="frames", at_least=1, default_text="the longest training video"
    )

    def errors(self) -> Iterator[str]:
        """Yield one sentence per error."""
        if self.branches < 2 or (self.branches > 2 and self.branches % 2 == 0):
            yield f"`branches` must be 2 or an odd number >= 3, but is {self.branches} instead."
        yield from (error for error in super().errors() if not error.startswith("`branches`"))
        limited = self.max_receptive_field is not None or self.max_look_ahead is not None
        if limited and self.ending is not Ending.SINGLE:
            yield (
                "`ending` must be single with a limit of receptive field or look-ahead, which other branches "
                f"would exceed, but is {self.ending} instead."
            )


@dataclass(frozen=True, kw_only=True)
class ContestConfig(Settings):
    """How a pipeline chooses between the hand-designed structure and those that were found."""

    ship: Ship = _contest(
        Ship.BEST, "Structure to export; best: a searched one only where hold-outs show it to be better."
    )
    until_decided: bool = _contest(False, "Add trainings on hold-outs until the comparison is decided.")
    most_trainings: int = _contest(
        12, "Trainings of each structure on hold-outs with --until-decided, at most.", at_least=1, rank=RARE
    )


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named set of defaults for the whole pipeline."""

    recipe: RecipeConfig
    global_search: GlobalSearchConfig
    local_search: LocalSearchConfig


PRESETS = {
    name: Preset(
        recipe=RecipeConfig.of_preset(name),
        global_search=GlobalSearchConfig.of_preset(name),
        local_search=LocalSearchConfig.of_preset(name),
    )
    for name in (FAST, DEMO, PAPER)
}
"""`fast` is the default, `paper` is G2L, section 4.1, with its bugs fixed, `demo` is that of `g2l demo`."""
