"""Settings of every stage: frozen, validated, each number named and sourced.

A configuration holds what the user chose, never results. `validate()` reports all faults at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from g2l.errors import InputError
from g2l.evaluation import Budget
from g2l.settings import Settings, at_least, not_negative, one_of, positive
from g2l.structure import DilationStructure

FITNESS_METRICS = ("f1", "f1@10", "f1@25", "f1@50", "edit", "accuracy", "likelihood")
"""Names a fitness may have; `f1` is the mean of F1@{10,25,50} (see also `g2l.metrics.likelihood`)."""


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


class SecondObjective(StrEnum):
    """What a global search may minimise beside maximising the fitness."""

    RECEPTIVE_FIELD = "receptive-field"
    LOOK_AHEAD = "look-ahead"
    PARAMETERS = "parameters"
    FLOPS = "flops"
    LATENCY = "latency"


class Strategy(StrEnum):
    """How a global search decides what to train next; see `g2l.search.strategies`."""

    RANDOM = "random"
    GENETIC = "genetic"
    HALVING = "halving"
    INHERITANCE = "inheritance"
    ONE_SHOT = "one-shot"
    SURROGATE = "surrogate"


class ProxyChoice(StrEnum):
    """Who chooses how long a candidate is trained."""

    FIXED = "fixed"
    """The settings: `budget`."""
    AUTO = "auto"
    """A pilot: the shortest training that ranks a few structures as long ones do."""


@dataclass(frozen=True, kw_only=True)
class BackboneConfig(Settings):
    """Size of the network (MS-TCN, section 3: 4 stages, 10 layers, 64 feature maps, dropout 0.5)."""

    name: str = "ms-tcn"
    stages: int = 4
    layers: int = 10
    feature_maps: int = 64
    dropout: float = 0.5

    def faults(self) -> Iterator[str]:
        """Yield one sentence per setting that is out of range."""
        yield from at_least("stages", self.stages, 1)
        yield from at_least("layers", self.layers, 1)
        yield from at_least("feature_maps", self.feature_maps, 1)
        if not 0 <= self.dropout < 1:
            yield f"`dropout` must be in [0, 1), but is {self.dropout} instead."

    @property
    def shape(self) -> tuple[int, ...]:
        """Layers per stage."""
        return (self.layers,) * self.stages

    def hand_designed(self) -> DilationStructure:
        """Return the 2^l structure of this size."""
        return DilationStructure.hand_designed(self.stages, self.layers)

    def fit(self, structure: DilationStructure, source: str = "structure") -> Self:
        """Return self if the structure fits this backbone.

        Raises:
            InputError: Stages or layers differ.
        """
        if structure.shape != self.shape:
            raise InputError(
                f"{source}: expected {self.stages} stages of {self.layers} layers, but found stages of "
                f"{', '.join(map(str, structure.shape))} layers.",
                hint="set --stages and --layers to the structure's own, or give another structure.",
            )
        return self


@dataclass(frozen=True, kw_only=True)
class DataConfig(Settings):
    """Which data, and how it is read.

    Attributes:
        data_root: Folder that holds data sets.
        dataset: Name of the data set's folder below it.
        split: Fold number k of `splits/train.split<k>.bundle`.
        sample_rate: Take every r-th frame; predictions are repeated r times.
        normalize: Standardisation of each feature row.
        background: Class names whose segments count neither for Edit nor for F1.
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
    sample_rate: int = 1
    normalize: Normalization = Normalization.NONE
    background: tuple[str, ...] = ("background",)
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


@dataclass(frozen=True, kw_only=True)
class GlobalSearchConfig(Settings):
    """The global search (G2L, section 3.2; METHOD: deviations are listed in `g2l.search`).

    Attributes:
        strategy: How it decides what to train next.
        trainings: What the whole search may cost, pilot, re-runs and final comparison included, in full
            trainings of one network; None means that `generations` end it.
        population: Structures kept from one generation to the next.
        generations: Rounds of crossover, mutation and survival after the first population.
        proxy: Who chooses how long a candidate is trained.
        budget: Training of one candidate where `proxy` is fixed.
        averaging: Decay of the averaged weights that are scored, or None to score the last ones.
        leaders: Structures that are trained again under new seeds before the winner is named; 0 for none.
        final_seeds: Full trainings, each of the winner and of the hand-designed structure, whose test scores
            are compared at the end; 0 for none.
        candidates_per_batch: Candidates that are trained as one network.
        fitness: Hold-out metric that ranks candidates.
        max_exponent: Rates are 2^0 … 2^max_exponent, capped at the longest training video.
        mutation_probability: Chance that a child spawns a mutant.
        gene_mutation_probability: Chance that each rate of a mutant changes.
        survival_margin: Survivors this many points of fitness below the leader are replaced by random ones.
        candidate_checkpoints: Which candidates keep their weights.
        executor: Where candidates are trained.
        workers: Processes of the process executor, or of a Ray that is started on this machine.
        ray_address: Of a running Ray cluster, whose size then decides how many are trained at once.
        gpus_per_candidate: Share of a GPU that Ray gives to a group of candidates.
    """

    strategy: Strategy = Strategy.GENETIC
    trainings: float | None = None
    population: int = 12
    generations: int = 6
    proxy: ProxyChoice = ProxyChoice.FIXED
    budget: Budget = Budget(120, "steps")
    averaging: float | None = None
    leaders: int = 0
    final_seeds: int = 0
    candidates_per_batch: int = 1
    fitness: str = "f1"
    max_exponent: int = 10
    mutation_probability: float = 0.2
    gene_mutation_probability: float = 0.2
    survival_margin: float = 10.0
    candidate_checkpoints: CandidateCheckpoints = CandidateCheckpoints.ALL
    executor: ExecutorKind = ExecutorKind.SERIAL
    workers: int = 1
    ray_address: str | None = None
    gpus_per_candidate: float = 0.0

    def faults(self) -> Iterator[str]:
        """Yield one sentence per setting that is out of range."""
        yield from at_least("population", self.population, 2)
        yield from at_least("generations", self.generations, 0)
        yield from at_least("max_exponent", self.max_exponent, 0)
        yield from at_least("workers", self.workers, 1)
        yield from not_negative("gpus_per_candidate", self.gpus_per_candidate)
        for name in ("ray_address", "gpus_per_candidate"):
            if getattr(self, name) and self.executor is not ExecutorKind.RAY:
                yield f"`{name}` must be left out unless `executor` is ray, which is {self.executor} instead."
        yield from at_least("leaders", self.leaders, 0)
        yield from at_least("final_seeds", self.final_seeds, 0)
        yield from at_least("candidates_per_batch", self.candidates_per_batch, 1)
        if self.trainings is not None:
            yield from positive("trainings", self.trainings)
        if self.averaging is not None and not 0 < self.averaging < 1:
            yield f"`averaging` must be in (0, 1), but is {self.averaging} instead."
        yield from one_of("fitness", self.fitness, FITNESS_METRICS)
        for name in ("mutation_probability", "gene_mutation_probability"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                yield f"`{name}` must be in [0, 1], but is {value} instead."
        yield from not_negative("survival_margin", self.survival_margin)


@dataclass(frozen=True, kw_only=True)
class LocalSearchConfig(Settings):
    """The expectation-guided iterative search (G2L, section 3.3; RF-Next, section 3.3).

    Attributes:
        expansion_rate: ρ: branch rates are (1 − ρ)d … (1 + ρ)d.
        branches: Branches per layer, odd so that the present rate is one of them, or 2 (RF-Next).
        interval: Training between two estimates.
        updates: Estimates in all; the last one collapses every layer to one rate.
        branch_learning_rate: Adam's learning rate of the branch weights α.
        max_rate: Largest rate, or None for the longest training video.
    """

    expansion_rate: float = 0.1
    branches: int = 3
    interval: Budget = Budget(3, "epochs")
    updates: int = 10
    branch_learning_rate: float = 2e-3
    max_rate: int | None = None

    def faults(self) -> Iterator[str]:
        """Yield one sentence per setting that is out of range."""
        if self.branches < 2 or (self.branches > 2 and self.branches % 2 == 0):
            yield f"`branches` must be 2 or an odd number >= 3, but is {self.branches} instead."
        yield from at_least("updates", self.updates, 1)
        yield from positive("branch_learning_rate", self.branch_learning_rate)
        if not 0 < self.expansion_rate <= 1:
            yield f"`expansion_rate` must be in (0, 1], but is {self.expansion_rate} instead."
        if self.max_rate is not None:
            yield from at_least("max_rate", self.max_rate, 1)
