"""Settings of the two searches: frozen, validated, each number named and sourced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from g2l.config import FITNESS_METRICS
from g2l.evaluation import Budget
from g2l.receptive_field import Ending
from g2l.settings import Settings, at_least, not_negative, one_of, positive


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
    """Who chooses how long a candidate is trained."""

    FIXED = "fixed"
    """The settings: `budget`."""
    THIRD = "third"
    """Nobody: a third of a full training, which ranked well on every data set it was tried on."""


@dataclass(frozen=True, kw_only=True)
class GlobalSearchConfig(Settings):
    """The global search (G2L, section 3.2; METHOD: deviations are listed in `g2l.search`).

    Attributes:
        strategy: How it decides what to train next.
        trainings: What the whole search may cost, race and final comparison included, in full trainings of
            one network; None means that `generations` end it.
        population: Structures kept from one generation to the next.
        generations: Rounds of crossover, mutation and survival after the first population.
        proxy: Who chooses how long a candidate is trained.
        budget: Training of one candidate where `proxy` is fixed.
        leaders: Structures that are trained again under new seeds before the winner is named; 0 for none.
        final_seeds: Full trainings, each of the winner and of the hand-designed structure, whose test scores
            are compared at the end; 0 for none.
        max_receptive_field: Most frames that a label may depend on, or None.
        max_look_ahead: Most later frames that a label may depend on, or None.
        fitness: Hold-out metric that ranks candidates.
        max_exponent: Rates are 2^0 … 2^max_exponent, capped at the longest training video.
        mutation_probability: Chance that a child spawns a mutant.
        gene_mutation_probability: Chance that each rate of a mutant changes.
        survival_margin: Survivors this many points of fitness below the leader are replaced by random ones.
        candidate_checkpoints: Which candidates keep their weights.
        executor: Where candidates are trained.
        workers: Processes of the process executor, or of a Ray that is started on this machine.
        ray_address: Of a running Ray cluster, whose size then decides how many are trained at once.
        gpus_per_candidate: Share of a GPU that Ray gives to a candidate.
    """

    strategy: Strategy = Strategy.GENETIC
    trainings: float | None = None
    population: int = 12
    generations: int = 6
    proxy: ProxyChoice = ProxyChoice.FIXED
    budget: Budget = Budget(120, "steps")
    leaders: int = 0
    final_seeds: int = 0
    max_receptive_field: int | None = None
    max_look_ahead: int | None = None
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
        yield from _limits(self.max_receptive_field, self.max_look_ahead)
        if self.trainings is not None:
            yield from positive("trainings", self.trainings)
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
        ending: What becomes of the branches of the network that is kept.
        max_rate: Largest rate, or None for the longest training video.
        max_receptive_field: Most frames that a label may depend on, or None.
        max_look_ahead: Most later frames that a label may depend on, or None.
    """

    expansion_rate: float = 0.1
    branches: int = 3
    interval: Budget = Budget(3, "epochs")
    updates: int = 10
    branch_learning_rate: float = 2e-3
    ending: Ending = Ending.SINGLE
    max_rate: int | None = None
    max_receptive_field: int | None = None
    max_look_ahead: int | None = None

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
        yield from _limits(self.max_receptive_field, self.max_look_ahead)
        limited = self.max_receptive_field is not None or self.max_look_ahead is not None
        if limited and self.ending is not Ending.SINGLE:
            yield (
                "`ending` must be single with a limit of receptive field or look-ahead, which other branches "
                f"would exceed, but is {self.ending} instead."
            )


def _limits(receptive_field: int | None, look_ahead: int | None) -> Iterator[str]:
    if receptive_field is not None:
        yield from at_least("max_receptive_field", receptive_field, 1)
    if look_ahead is not None:
        yield from at_least("max_look_ahead", look_ahead, 0)
