"""One run of a search: its randomness, its memory, its money and its record; all strategies share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from g2l.errors import InputError, OperationalError
from g2l.evaluation import Budget, EvaluationTask, Phase
from g2l.files import fingerprint
from g2l.progress import NullProgress, Progress
from g2l.search.breeding import Breeder
from g2l.search.budget import proxy_steps
from g2l.search.evaluator import Evaluator, Request, SearchObserver
from g2l.search.executors.contract import Executor
from g2l.search.journal import Journal
from g2l.search.monitor import Monitor
from g2l.search.population import Candidate, GenerationSummary, Origin, Proposal, summarise
from g2l.search.space import SearchSpace
from g2l.search.status import SearchPhase
from g2l.search.store import EvaluationStore
from g2l.search_config import GlobalSearchConfig
from g2l.structure import DilationStructure

WITHOUT_INFLUENCE = ("executor", "workers", "ray_address", "gpus_per_candidate", "candidate_checkpoints")
"""Settings that do not change which structure is found, so that a resumed search may change them."""


class SearchSession:
    """A running search. Making one validates the settings and opens the journal.

    Args:
        space: Allowed structures.
        config: Settings of the search, its budget in steps.
        executor: Trains the candidates.
        seed: Seed of the search and of every training in it, >= 0.
        hand_designed: Structure that is evaluated first; projected onto the space.
        full_steps: Optimiser steps of one final training; needed where the settings speak of trainings.
        journal: Record to write and to resume from, or None.
        store: Evaluations shared across runs, or None.
        observers: Told of every evaluation and generation.
        progress: Draws bars, or None.

    Attributes:
        space: Allowed structures.
        config: Settings of the search.
        seed: Seed of every training whose score selects.
        hand_designed: The hand-designed structure, projected onto the space.
        generator: The search's one source of randomness.
        full_steps: Optimiser steps of one final training, or None.
        proxy: Optimiser steps of one candidate.
        allowed: Optimiser steps that may be spent before the race of the leaders, or None for no limit.
        monitor: Tells the observers.

    Raises:
        InputError: The settings are out of range, or the journal is damaged or of another search.
    """

    def __init__(
        self,
        space: SearchSpace,
        config: GlobalSearchConfig,
        executor: Executor,
        *,
        seed: int,
        hand_designed: DilationStructure,
        full_steps: int | None,
        journal: Journal | None,
        store: EvaluationStore | None,
        observers: Sequence[SearchObserver],
        progress: Progress | None,
    ) -> None:
        config.validate()
        if seed < 0:
            raise InputError(f"`seed` must be >= 0, but is {seed} instead.")
        if config.budget.unit != "steps":
            raise InputError(f"`budget` of a search must be in steps, but is {config.budget} instead.")
        self.space = space
        self.config = config
        self.seed = seed
        self.hand_designed = space.project(hand_designed)
        self.generator = np.random.default_rng(seed)
        self.progress = progress or NullProgress()
        self.full_steps = full_steps
        self.proxy = proxy_steps(config, full_steps)
        self.allowed: int | None = None
        self._journal = journal
        self.monitor = Monitor(observers, seed=seed, full_steps=full_steps)
        self._heard_since: list[Candidate] = []
        self._summaries: list[GenerationSummary] = []
        self._advance: Callable[..., None] = _ignore
        if journal is not None:
            journal.begin(self._settings(full_steps))
        self._executor = executor
        self._evaluator = Evaluator(
            executor,
            metric=config.fitness,
            group_size=1,
            journal=journal,
            store=store,
            listener=self._heard,
        )

    @property
    def spent(self) -> int:
        """Optimiser steps decided on so far."""
        return self._evaluator.ledger.spent

    @property
    def generation(self) -> int:
        """Number of the generation that is being evaluated, from 0."""
        return len(self._summaries)

    @property
    def generations(self) -> tuple[GenerationSummary, ...]:
        """Those that were closed."""
        return tuple(self._summaries)

    @property
    def evaluations(self) -> int:
        """Trainings so far, in this run."""
        return self.monitor.evaluations - self.monitor.cache_hits

    @property
    def cache_hits(self) -> int:
        """Proposals that needed no training, up to the last generation."""
        return sum(summary.cache_hits for summary in self._summaries)

    @property
    def first(self) -> Candidate:
        """The hand-designed structure, trained like every candidate."""
        task = self.task(self.hand_designed)
        return next(candidate for candidate in self.candidates if candidate.evaluation.task == task)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """All evaluations so far, in the order in which they became known: that may differ between runs."""
        return self._evaluator.candidates

    def task(
        self,
        structure: DilationStructure,
        *,
        steps: int | None = None,
        seed: int | None = None,
        lineage: tuple[Phase, ...] = (),
    ) -> EvaluationTask:
        """Return the task of a structure: the proxy's steps and the search's seed where none are given."""
        budget = Budget(self.proxy if steps is None else steps, "steps")
        return EvaluationTask(structure, budget, self.seed if seed is None else seed, lineage)

    def affords(self, tasks: Sequence[EvaluationTask]) -> int:
        """Return how many of `tasks`, from the first on, are within the allowed steps."""
        if self.allowed is None:
            return len(tasks)
        left = self.allowed - self.spent
        for number, task in enumerate(tasks):
            left -= self._evaluator.ledger.price(task)
            if left < 0:
                return number
        return len(tasks)

    def affords_new(self) -> bool:
        """Tell whether a structure that was never trained may be trained for the proxy's budget."""
        return self.allowed is None or self.spent + self.proxy <= self.allowed

    def breeder(self) -> Breeder:
        """Return the source of the proposals of one generation."""
        return Breeder(self.space, self._evaluator, self.generator)

    def evaluate(
        self, proposals: Sequence[Proposal], *, steps: int | None = None, seed: int | None = None
    ) -> tuple[Candidate, ...]:
        """Return the candidates of `proposals` in their order, as many as are within the allowed steps."""
        requests = [
            Request(self.task(proposal.structure, steps=steps, seed=seed), proposal.origin)
            for proposal in proposals
        ]
        return self.answer(requests[: self.affords([request.task for request in requests])])

    def answer(self, requests: Sequence[Request]) -> tuple[Candidate, ...]:
        """Return the candidates of `requests` in their order, whatever they cost."""
        with self.progress.task(self._name(), len(requests)) as bar:
            self._advance = bar.advance
            return self._evaluator.evaluate(requests)

    def stream(
        self, requests: Iterator[tuple[Request, ...] | None], receive: Callable[[Candidate], object]
    ) -> None:
        """Evaluate requests that are decided while others run; see `Evaluator.stream`."""
        with self.progress.task("candidates", None) as bar:
            self._advance = bar.advance
            self._evaluator.stream(requests, receive)

    def first_proposals(self, count: int) -> list[Proposal]:
        """Return `count` structures to begin with: the hand-designed one and random ones."""
        breeder = self.breeder()
        hand_designed = breeder.given(self.hand_designed, Origin.HAND_DESIGNED)
        return [hand_designed, *breeder.random(count - 1)]

    def evaluate_first(self, count: int) -> tuple[Candidate, ...]:
        """Return the first `count` candidates, evaluated.

        Raises:
            OperationalError: None could be trained, so that there is nothing to go on from.
        """
        candidates = self.evaluate(self.first_proposals(count))
        require_one(candidates)
        return candidates

    def note_pruned(self, count: int) -> None:
        """Say how many candidates wait, or were given up, before the end of the longest budget."""
        self.monitor.pruned = count

    def close_generation(
        self, population: Sequence[Candidate], learned: Sequence[Candidate] | None = None
    ) -> None:
        """Write a generation down, after survival, and tell the observers.

        Args:
            population: Its members, best first.
            learned: Those that became known in it; None means all since the last one, which is right
                where generations are evaluated as a whole.
        """
        tally = self._evaluator.take_tally(self._heard_since if learned is None else learned)
        self._heard_since = []
        summary = summarise(self.generation, population, tally)
        self._summaries.append(summary)
        self._evaluator.generation = self.generation
        if self._journal is not None:
            # The state of the generator lets a replay prove that it is one.
            state = fingerprint(self.generator.bit_generator.state)
            self._journal.record_generation(summary.as_dict() | {"generator": state})
        self.monitor.generation(summary)

    def record_end(self, winner: DilationStructure) -> None:
        """Write down that the search has ended."""
        if self._journal is not None:
            self._journal.record_end(winner)
        self.monitor.end()

    def _name(self) -> str:
        """Return what is evaluated now, for a bar."""
        phase = self.monitor.phase
        return f"generation {self.generation}" if phase is SearchPhase.SEARCH else phase.value

    def _heard(self, candidate: Candidate, request: Request, cached: bool) -> None:
        self._heard_since.append(candidate)
        self._advance(note=f"{self.config.fitness} {candidate.fitness:.2f}")
        self.monitor.evaluated(
            candidate,
            request,
            cached=cached,
            generation=self._evaluator.proposed_in(request.task),
            ledger=self._evaluator.ledger,
            executor=self._executor,
        )

    def _settings(self, full_steps: int | None) -> dict[str, Any]:
        """Return what the result depends on, as JSON values."""
        config = {
            name: value for name, value in self.config.as_dict().items() if name not in WITHOUT_INFLUENCE
        }
        return {
            "seed": self.seed,
            "config": config,
            "space": self.space.as_dict(),
            "hand_designed": self.hand_designed.as_lists(),
            "full_steps": full_steps,
        }


def _ignore(**_: object) -> None:
    """Stand in for a bar."""


def require_one(candidates: Sequence[Candidate]) -> None:
    """Raise unless one of the first candidates could be trained.

    Raises:
        OperationalError: None could, so that there is nothing to go on from.
    """
    if all(candidate.failed for candidate in candidates):
        reason = candidates[0].evaluation.reason
        raise OperationalError(
            f"none of the first {len(candidates)} candidates could be trained; the first one: {reason}"
        )
