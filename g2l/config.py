"""Every setting, once: its type, default, range, unit, help text and preset values.

The command line, `MLproject` and the option tables of the documentation are derived from the classes here.
A configuration holds what the user chose, never results. `validate()` reports all errors at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Self

from g2l.errors import InputError
from g2l.settings import Budget as Budget
from g2l.settings import Rank, Settings, is_folder_name, seed_setting, setting
from g2l.structure import FAMILIES as FAMILIES
from g2l.structure import BackboneFamily, DilationStructure, LayerTopology
from g2l.structure import Ending as Ending
from g2l.structure import topology_of as topology_of

FIRST, RARE = Rank.FIRST, Rank.RARE
PRESETS = FAST, PAPER, DEMO = "fast", "paper", "demo"
"""`fast` is the default, `paper` is G2L, section 4.1, with its bugs fixed, `demo` is that of `g2l demo`."""

FITNESS_METRICS = ("f1", "f1@10", "f1@25", "f1@50", "edit", "accuracy")


class Normalization(StrEnum):
    """How each feature row is standardised to zero mean and unit variance before the network."""

    NONE = "none"
    VIDEO = "video"
    TRAIN = "train"


class Selection(StrEnum):
    """Whether hold-outs cut from train choose the number of epochs, or all are taken on all of train."""

    BEST = "best"
    LAST = "last"


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
    """Train candidates in this process, in worker processes or in Ray."""

    SERIAL = "serial"
    PROCESS = "process"
    RAY = "ray"


class Space(StrEnum):
    """Search space: stages, layers and growth; the rate of every layer; or first one, then the other."""

    SHAPES = "shapes"
    RATES = "rates"
    BOTH = "shapes+rates"


class Strategy(StrEnum):
    """How a search of rates proposes what to train next; see `g2l.search.proposals`."""

    RANDOM = "random"
    GENETIC = "genetic"


class Preference(StrEnum):
    """Which structure a search of shapes ships; see `g2l.search.proof.pick`."""

    SHOWN = "shown"
    ACCURACY = "accuracy"
    CHEAPEST = "cheapest"


class LocalRule(StrEnum):
    """When the rates of a local search move; see `g2l.receptive_field.schedule`."""

    EVIDENCE = "evidence"
    EXPECTATION = "expectation"


class ProxyChoice(StrEnum):
    """How long a candidate is trained: `budget`, or a third, which ranked well on every data set tried."""

    FIXED = "fixed"
    THIRD = "third"


_first = partial(setting, rank=FIRST)
_rare = partial(setting, rank=RARE)
_placement = partial(_rare, changes_result=False)
_ray = partial(_placement, needs={"executor": (ExecutorKind.RAY,)})

BACKGROUND_HELP = "Background class, excluded from edit score and F1; repeatable; '' for none."
FPS_HELP = "Frame rate of the features, for output in seconds."


class DataConfig(Settings):
    """Data set and how it is read.

    Where `sample_rate`, `normalize`, `background`, `group_pattern` or `fps` is None, the data set's
    `dataset.json` supplies it, or else the default (`g2l.datasets.facts.resolve_config`). Of
    several folds in `common`, `split` the first, the videos that all train on and none tests on are read.
    """

    dataset: str = _first("", "Data set: a folder in --data-root.", required=True)
    split: int = _first(1, "Fold k in splits/train.split<k>.bundle.", at_least=0)
    data_root: Path = _first(Path("data"), "Folder of data sets.", changes_result=False)
    sample_rate: int | None = setting(
        None,
        "Use every r-th frame; predictions cover all frames.",
        at_least=1,
        default_text="dataset.json, else 1",
    )
    normalize: Normalization | None = setting(
        None,
        "Standardise each feature with the statistics of its video or of train.",
        default_text="dataset.json, else none",
    )
    background: tuple[str, ...] | None = _rare(
        None, BACKGROUND_HELP, default_text="dataset.json, else background"
    )
    fps: float | None = _rare(None, FPS_HELP, above=0, default_text="dataset.json")
    holdout_fraction: float = _rare(
        0.25, "Fraction of train held out for selection, in whole subjects.", above=0, below=1
    )
    group_pattern: str | None = _rare(
        None,
        "Regular expression; group 1 is the subject in a video name; '' for none.",
        default_text="names of GTEA, 50Salads and Breakfast",
    )
    length_tolerance: int = _rare(
        16, "Largest allowed difference in length between features and labels.", unit="frames", at_least=0
    )
    cache_mb: int = _placement(
        1024, "Memory for decoded videos; further videos are memory-mapped.", unit="MiB", at_least=0
    )
    seed: int = seed_setting()
    common: tuple[int, ...] = ()

    @property
    def folds(self) -> tuple[int, ...]:
        """All folds that are read: one, or those of `common`."""
        return self.common or (self.split,)

    @property
    def fold_names(self) -> str:
        """The folds for people and folders, such as `1` or `1,3`."""
        return ",".join(map(str, self.folds))

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values; `split` is a text such as `1,3` where there are several."""
        known = super().as_dict()
        del known["common"]
        return known | {"split": self.fold_names if self.common else self.split}

    def errors(self) -> Iterator[str]:
        """Yield one sentence per error."""
        if not is_folder_name(self.dataset):
            yield f"`dataset` must be a folder name below the data root, but is {self.dataset!r:.99} instead."
        yield from super().errors()


class BackboneConfig(Settings):
    """Network and its size (MS-TCN, section 3: 4 stages, 10 layers, 64 feature maps, dropout 0.5).

    `stages`, `layers` and `prediction_layers` are those of the hand-designed structure only: any other
    structure has its own.
    """

    name: str = _first(
        "ms-tcn", "Backbone: ms-tcn, ms-tcn++, asformer or package.module:factory.", option="backbone"
    )
    stages: int = setting(4, "Stages (hand-designed structure).", at_least=1)
    layers: int = setting(10, "Layers per stage (hand-designed structure).", at_least=1)
    prediction_layers: int | None = _rare(
        None, "Layers of the first stage of MS-TCN++.", at_least=1, default_text="one more than --layers"
    )
    feature_maps: int = _rare(64, "Channels per layer.", at_least=1)
    dropout: float = _rare(0.5, "Dropout probability of the residual layers.", at_least=0, below=1)
    causal: bool = setting(False, "Use causal convolutions (no look-ahead).")

    def errors(self) -> Iterator[str]:
        """Yield one sentence per error."""
        yield from super().errors()
        if self.prediction_layers is not None and not self._family.dual_prediction:
            yield f"`prediction_layers` must be left out for backbone {self.name!r}."
        if self.causal and not self._family.causal:
            known = ", ".join(name for name, family in FAMILIES.items() if family.causal)
            yield f"`causal` must be false for backbone {self.name!r}: only {known} have a causal variant."

    @property
    def topology(self) -> LayerTopology:
        """How its dilated convolutions are connected: determines receptive field and look-ahead."""
        return topology_of(self.name, causal=self.causal)

    def hand_designed(self, layers: Sequence[int] | None = None) -> DilationStructure:
        """Return the structure of rates 2^l, whose stages may differ in length.

        The dual dilated layers of MS-TCN++ have 2^(L − 1 − l) beside 2^l (MS-TCN++, section 4.1): in the
        first stage come the L rates of the first convolutions, then those of the second.

        Args:
            layers: Layers of each stage; by default those of the settings.
        """
        first = (self.prediction_layers or self.layers + 1) if self._family.dual_prediction else self.layers
        layers = layers or (first, *(self.layers,) * (self.stages - 1))
        stages = [tuple(2**layer for layer in range(depth)) for depth in layers]
        if self._family.dual_prediction:
            stages[0] = (*reversed(stages[0]), *stages[0])
        return DilationStructure(tuple(stages))

    def fit(self, structure: DilationStructure, source: str = "structure") -> Self:
        """Return self if the structure can be of this backbone.

        Raises:
            InputError: The layers of the first stage have two rates each, but its number of rates is odd.
        """
        if not self.topology.suits(structure):
            raise InputError(
                f"{source}: expected {self.topology.parallel} rates for each layer of the first stage of "
                f"{self.name}, but found {len(structure.stages[0])} rates.",
                hint=f"give a structure of {self.name}, or another --backbone.",
            )
        return self

    @property
    def _family(self) -> BackboneFamily:
        return FAMILIES.get(self.name, BackboneFamily())


class RecipeConfig(Settings):
    """Training recipe (G2L, section 4.1; MS-TCN, section 3.3)."""

    epochs: int = setting(50, "Maximum number of training epochs.", at_least=1, presets={PAPER: 65, DEMO: 60})
    batch_size: int = setting(4, "Videos per optimiser step.", at_least=1, presets={PAPER: 8})
    learning_rate: float = setting(5e-4, "Learning rate (Adam).", above=0, presets={DEMO: 1e-3})
    class_weights: ClassWeights = setting(
        ClassWeights.NONE, "Class weights of the loss, from class frequencies in train."
    )
    selection: Selection = _rare(
        Selection.BEST,
        "best: hold-outs choose the number of epochs; last: train on all of train for --epochs.",
        presets={PAPER: Selection.LAST},
    )
    refit: bool = setting(True, "Retrain on all of train for the number of epochs that hold-outs choose.")
    decay_epoch: int | None = _rare(
        None, "Epoch after which the learning rate decays.", at_least=1, presets={PAPER: 50}
    )
    decay_factor: float = _rare(0.1, "Factor of the learning rate after --decay-epoch.", above=0)
    smoothing_weight: float = _rare(0.15, "Weight λ of the truncated smoothing loss.", at_least=0)
    smoothing_clamp: float = _rare(4.0, "Clamp τ of |Δ log-probability| in the smoothing loss.", above=0)
    gradient_clip: float | None = _rare(None, "Maximum gradient norm.", above=0)
    monitor: str = _rare("f1", "Hold-out metric that selects the best epoch.", choices=FITNESS_METRICS)
    compile: bool = _rare(False, "Use torch.compile, except in searches; slow to start.")
    mixed_precision: bool = _rare(True, "Use bfloat16 autocast on CUDA.")


class SearchLimits(Settings):
    """Limits of every structure of a search."""

    max_receptive_field: int | None = setting(
        None, "Maximum receptive field.", unit="frames", at_least=1, default_text="no limit"
    )
    max_look_ahead: int | None = setting(
        None, "Maximum look-ahead.", unit="frames", at_least=0, default_text="no limit"
    )


class GlobalSearchConfig(SearchLimits):
    """Global search (G2L, section 3.2).

    The preset `fast` searches shapes at the cost of at most 5 full trainings, rates at that of 24.
    """

    trainings: float | None = _first(
        None,
        "Maximum search cost, or none. Searches of rates: 24.",
        unit="full trainings",
        above=0,
        presets={FAST: 5.0},
        default_text="no limit",
        option="budget",
    )
    space: Space = setting(
        Space.RATES,
        "Search stages, layers and growth (shapes), the rate of every layer, or both.",
        presets={FAST: Space.SHAPES},
    )
    shapes: tuple[str, ...] = _rare(
        (),
        "Shape to compare: 8,5,5 (layers per stage); 8,5,5^3 (growth 3); repeatable.",
        default_text="seven",
    )
    margin: float = setting(1.5, "Score loss that still counts as equal.", unit="points", above=0)
    prefer: Preference = _rare(
        Preference.SHOWN,
        "Ship the cheapest shape shown equal, the best shown better, or the cheapest by estimate.",
    )
    max_epochs: int | None = _rare(
        None,
        "Maximum number of epochs of a shape that still improves.",
        at_least=1,
        default_text="twice --epochs",
    )
    holdouts: int = _rare(
        1, "Hold-outs per candidate in a search of rates.", at_least=1, at_most=99, presets={FAST: 2}
    )
    strategy: Strategy = _rare(Strategy.GENETIC, "Strategy of the search of rates.")
    population: int = _rare(12, "Structures per generation.", at_least=2, presets={PAPER: 50, DEMO: 6})
    generations: int = _rare(
        6, "Generations after the first population.", at_least=0, presets={PAPER: 100, DEMO: 2}
    )
    proxy: ProxyChoice = _rare(
        ProxyChoice.FIXED,
        "Candidate training: a third of a full training, or --proxy-steps or --proxy-epochs.",
        presets={FAST: ProxyChoice.THIRD},
    )
    budget: Budget = _rare(
        Budget(120, "steps"),
        "Training length of a candidate",
        presets={PAPER: Budget(5, "epochs"), DEMO: Budget(100, "steps")},
        option="proxy",
    )
    leaders: int = _rare(
        0, "Best candidates that are trained again under new seeds.", at_least=0, presets={FAST: 3}
    )
    final_seeds: int = setting(
        0, "Full trainings of winner and hand-designed structure, compared on test.", at_least=0
    )
    fitness: str = _rare(
        "f1", "Hold-out metric that ranks candidates; f1 is the mean of F1@10,25,50.", choices=FITNESS_METRICS
    )
    max_exponent: int = _rare(10, "Maximum rate, as an exponent of 2.", unit="exponent", at_least=0)
    mutation_probability: float = _rare(0.2, "Probability that a child is mutated.", at_least=0, at_most=1)
    gene_mutation_probability: float = _rare(
        0.2, "Probability that a rate of a mutated child changes.", at_least=0, at_most=1
    )
    survival_margin: float = _rare(
        20.0,
        "Maximum distance between the scores of survivors and the best.",
        unit="points",
        at_least=0,
        presets={PAPER: 10.0},
    )
    candidate_checkpoints: CandidateCheckpoints = _placement(
        CandidateCheckpoints.ALL, "Candidates whose weights are kept."
    )
    executor: ExecutorKind = _placement(
        ExecutorKind.SERIAL,
        "Train candidates in this process, in worker processes or in Ray.",
        default_text="process on the CPU, serial on a GPU",
    )
    workers: int = _placement(
        1,
        "Candidates trained in parallel (process, local Ray).",
        at_least=1,
        default_text="one per core",
        rank=Rank.ADVANCED,
    )
    ray_address: str | None = _ray(
        None,
        "Address of a Ray cluster, all of which is used: host:port or auto.",
        default_text="a local one is started",
    )
    gpus_per_candidate: float = _ray(
        0.0,
        "GPUs per candidate in Ray; 0.25: four candidates per GPU.",
        at_least=0,
        default_text="1 with --device cuda",
    )


class LocalSearchConfig(SearchLimits):
    """Local search: expectation-guided and iterative (G2L, section 3.3; RF-Next, section 3.3)."""

    ending: Ending = setting(Ending.SINGLE, "Final layers: one rate, branches, or merged branches.")
    rule: LocalRule = _rare(
        LocalRule.EVIDENCE,
        "Move rates beyond noise only, after a warm-up, or at every update (the paper).",
        presets={PAPER: LocalRule.EXPECTATION},
    )
    expansion_rate: float = _rare(
        0.1, "Expansion rate ρ: branches of a rate d span (1 − ρ)d to (1 + ρ)d.", above=0, at_most=1
    )
    branches: int = _rare(3, "Branches per layer: 2, or an odd number.", at_least=2)
    updates: int = _rare(10, "Number of rate updates; the last one removes the branches.", at_least=1)
    interval: Budget = _rare(
        Budget(3, "epochs"),
        "Training between two updates",
        presets={FAST: Budget(20, "steps"), DEMO: Budget(12, "steps")},
    )
    branch_learning_rate: float = _rare(
        2e-3, "Learning rate of the branch weights (Adam).", above=0, presets={PAPER: 5e-4}
    )
    max_rate: int | None = _rare(
        None, "Maximum dilation rate.", unit="frames", at_least=1, default_text="the longest training video"
    )

    @property
    def warm_up(self) -> int:
        """Epochs or steps, as `interval`, before the search: a third of both together."""
        return -(-self.interval.amount * self.updates // 2) if self.rule is LocalRule.EVIDENCE else 0

    def errors(self) -> Iterator[str]:
        """Yield one sentence per error."""
        yield from super().errors()
        if self.branches > 2 and self.branches % 2 == 0:
            yield f"`branches` must be 2 or an odd number, but is {self.branches} instead."
        if self.ending is not Ending.SINGLE and (self.max_receptive_field or self.max_look_ahead is not None):
            yield (
                "`ending` must be single with a limit of receptive field or look-ahead, which other branches "
                f"would exceed, but is {self.ending} instead."
            )
