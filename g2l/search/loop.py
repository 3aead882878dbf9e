"""The global search over whole structures (G2L, section 3.2): propose, evaluate, record, decide.

`proposals` proposes and decides who stays, `Search.evaluate` evaluates and records, `race` decides who wins.

Where we deviate from the released code (METHOD, section 3, "What we fix"): the fitness is measured on a
hold-out (1, by the fitness); roulette (2) and mutation (3), in `proposals.genetic`; sampling (3), in `space`;
one fitness everywhere (4), in `candidates`; parents are evaluated before the first selection, no pair is
skipped, no structure is trained twice (5), in `proposals.genetic` and here; sequences keep their length (6,
by the fitness); seed, resume, and failures that end nothing (7), in `journal` and `executors`. Beyond that,
the hand-designed structure is in the first population, and it wins all ties.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from g2l.errors import InputError, OperationalError
from g2l.evaluation import Budget, Evaluation, EvaluationTask, TrainingSegment
from g2l.files import fingerprint
from g2l.progress import NullProgress, Progress
from g2l.search.budget import FINAL_COMPARISON, StepBudget, allowed_steps, plan_search, proxy_steps
from g2l.search.candidates import Candidate, GenerationSummary, Origin, Proposal, fitness_of
from g2l.search.events import EvaluationEvent, SearchObserver, SearchPhase, SearchStatus
from g2l.search.executors.contract import Executor
from g2l.search.journal import Journal
from g2l.search.proposals.genetic import Breeder, search_genetically
from g2l.search.proposals.one_shot import search_one_shot
from g2l.search.proposals.random import search_randomly
from g2l.search.race import Race, run_race
from g2l.search.space import SearchSpace
from g2l.search.store import EvaluationStore
from g2l.search_config import GlobalSearchConfig, Strategy
from g2l.structure import DilationStructure

WITHOUT_INFLUENCE = ("executor", "workers", "ray_address", "gpus_per_candidate", "candidate_checkpoints")
"""Settings that do not change which structure is found, so that a resumed search may change them."""

FLOOR = 5.0
"""Points of fitness below which a network has learnt nothing: 50 steps of 18 real score channels give 13."""

SAME_SCORE = 1e-6
"""Points of spread below which scores are equal but for rounding."""


@dataclass(frozen=True, kw_only=True)
class GlobalSearchResult:
    """The outcome of a search.

    Attributes:
        winner: The best structure, or the winner of the race of the leaders; the hand-designed one where
            nothing was learnt.
        best: The score by which the strategy ranked the winner.
        hand_designed: The 2^l structure (projected onto the space) by the same budget and seed.
        population: The last population, best first.
        generations: One summary per generation, first population included.
        evaluations: Candidates trained.
        cache_hits: Proposals that needed no training.
        steps: Optimiser steps that it spent, those of other runs' results included.
        full_steps: Optimiser steps of one full training, or None when unknown.
        proxy: Optimiser steps of one candidate.
        race: The race of the leaders, or None when there was none.
        verdict: Why nothing was learnt, in one sentence; None where something was.
    """

    winner: DilationStructure
    best: Evaluation
    hand_designed: Evaluation
    population: tuple[Evaluation, ...]
    generations: tuple[GenerationSummary, ...]
    evaluations: int
    cache_hits: int
    steps: int
    full_steps: int | None
    proxy: int
    race: Race | None
    verdict: str | None


def run_global_search(
    space: SearchSpace,
    config: GlobalSearchConfig,
    executor: Executor,
    *,
    seed: int,
    hand_designed: DilationStructure,
    full_steps: int | None = None,
    journal: Journal | None = None,
    store: EvaluationStore | None = None,
    observers: Sequence[SearchObserver] = (),
    progress: Progress | None = None,
) -> GlobalSearchResult:
    """Search the space.

    The result is a function of `space`, `config`, `seed`, `hand_designed`, `full_steps` and the scores
    alone: neither the executor, nor the order of completion, nor an interruption and resume change it.

    Args:
        space: Allowed structures.
        config: Strategy, budget of a candidate in steps, fitness and chances.
        executor: Trains the candidates; entered and left by the caller.
        seed: Seed of the search and of every training in it, >= 0.
        hand_designed: Structure that is evaluated first; projected onto the space.
        full_steps: Optimiser steps of one final training; needed where the settings count in trainings.
        journal: Record to write and to resume from, or None.
        store: Evaluations shared across runs, or None.
        observers: Notified of every evaluation and generation.
        progress: Draws bars, or None.

    Raises:
        InputError: The settings are out of range, or the journal is damaged or of another search.
        OperationalError: None of the first candidates could be trained, or a file cannot be written.
    """
    search = Search(
        space,
        config,
        executor,
        seed=seed,
        hand_designed=hand_designed,
        full_steps=full_steps,
        journal=journal,
        store=store,
        observers=observers,
        progress=progress,
    )
    search.allowed = allowed_steps(config, search.proxy, full_steps)
    population = STRATEGIES[config.strategy](search)
    search.allowed = None  # the race has been set aside
    verdict = nothing_learnt(search.scores())
    race = run_race(search, population) if config.leaders and verdict is None else None
    winner = race.choice.winner.structure if race else population[0].structure
    if verdict is not None:
        winner = search.hand_designed
    search.end(winner)
    best = next((member for member in population if member.structure == winner), search.first)
    return GlobalSearchResult(
        winner=winner,
        best=best.evaluation,
        hand_designed=search.first.evaluation,
        population=tuple(member.evaluation for member in population),
        generations=tuple(search.generations),
        evaluations=search.evaluations - search.cache_hits,
        cache_hits=sum(summary.cache_hits for summary in search.generations),
        steps=search.budget.spent,
        full_steps=full_steps,
        proxy=search.proxy,
        race=race,
        verdict=verdict,
    )


STRATEGIES: Mapping[Strategy, Callable[[Search], tuple[Candidate, ...]]] = {
    Strategy.RANDOM: search_randomly,
    Strategy.GENETIC: search_genetically,
    Strategy.ONE_SHOT: search_one_shot,
}


def nothing_learnt(scores: Sequence[float]) -> str | None:
    """Return why scores say nothing about structures, or None where they do.

    Args:
        scores: Fitness in points of the structures that were trained alike; fewer than two are no evidence.
    """
    if len(scores) < 2:
        return None
    hint = "Train candidates longer, or raise the learning rate."
    if max(scores) < FLOOR:
        return (
            f"Nothing was learnt: the best of {len(scores)} structures scores {max(scores):.1f} points, "
            f"below the floor of {FLOOR:g}. {hint}"
        )
    if max(scores) - min(scores) < SAME_SCORE:
        return f"Nothing was learnt: all {len(scores)} structures score {max(scores):.1f} points. {hint}"
    return None


class Search:
    """A running search. Its construction validates the settings and opens the journal.

    Args: As `run_global_search`.

    Attributes:
        space: Allowed structures.
        config: Settings of the search.
        seed: Seed of every training whose score selects.
        hand_designed: The hand-designed structure, projected onto the space.
        generator: The only source of randomness of the search.
        full_steps: Optimiser steps of one final training, or None.
        proxy: Optimiser steps of one candidate.
        allowed: Optimiser steps that may be spent before the race of the leaders, or None for no limit.
        budget: Optimiser steps spent.
        phase: Present part of the search.
        pruned: Verified candidates that were not promoted.
        generations: Summaries of the closed generations.
        evaluations: Scores so far, those of other runs included.
        cache_hits: Those of other runs.
        progress: Draws bars.

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
        self.space, self.config, self.seed, self.full_steps = space, config, seed, full_steps
        self.hand_designed = space.project(hand_designed)
        self.generator = np.random.default_rng(seed)
        self.proxy = proxy_steps(config, full_steps)
        self.allowed: int | None = None
        self.budget = StepBudget()
        self.phase = SearchPhase.SEARCH
        self.pruned = self.evaluations = self.cache_hits = 0
        self.generations: list[GenerationSummary] = []
        self._executor, self._journal, self._store = executor, journal, store
        self._observers = observers
        self.progress = progress or NullProgress()
        self._known: dict[EvaluationTask, Candidate] = {}
        self._orders: dict[DilationStructure, int] = {}
        self._failures = self._repeats = 0
        self._counted = (0, 0, 0)
        self._planned = _planned_steps(config, space, full_steps)
        if journal is not None:
            journal.begin(self._settings())

    def evaluate(
        self,
        proposals: Sequence[Proposal],
        *,
        steps: int | None = None,
        seed: int | None = None,
        history: tuple[TrainingSegment, ...] = (),
        provisional: bool = False,
    ) -> tuple[Candidate, ...]:
        """Return the candidates of `proposals` in their order, as many as the allowed steps buy.

        Each task is evaluated once: taken from memory, else from the journal, else from the store, else
        trained. Deviation (METHOD, section 3, fix 5): the released code trains duplicates again.

        Args:
            proposals: Structures to evaluate.
            steps: Length of their training; None for the proxy.
            seed: Seed of their training; None for that of the search.
            history: Warm-start history of their training.
            provisional: Whether the trainings may go on to a larger budget.
        """
        tasks: list[EvaluationTask] = []
        new: dict[EvaluationTask, Origin] = {}
        for proposal in proposals:
            task = self.task(proposal.structure, steps=steps, seed=seed, history=history)
            # Charged before anything is trained: what is left to spend must not depend on who is faster.
            if self.allowed is not None and self.budget.spent + self.budget.cost(task) > self.allowed:
                break
            self.budget.charge(task)
            self._orders.setdefault(task.structure, len(self._orders))
            tasks.append(task)
            if task in self._known or task in new:
                self._repeats += 1
            else:
                new[task] = proposal.origin
        with self.progress.task(self._name(), len(new)) as bar:

            def learn(evaluation: Evaluation, *, cached: bool, trained: bool) -> None:
                origin = new[evaluation.task]
                candidate = self._learn(evaluation, origin, provisional, cached=cached, trained=trained)
                bar.advance(note=f"{self.config.fitness} {candidate.fitness:.2f}")

            for task, origin in new.items():
                recorded = self._journal.find(task) if self._journal is not None else None
                stored = self._store.get(task) if self._store is not None and recorded is None else None
                if recorded is not None:
                    learn(recorded[0], cached=recorded[1], trained=False)
                elif stored is not None:
                    self._record(stored, origin, provisional, cached=True)
                    learn(stored, cached=True, trained=False)
                else:
                    self._executor.submit(task)
            for evaluation in self._executor.results():
                # The journal first: were the store first, a kill between the two would turn this training
                # into a cache hit on resume, and change the counts.
                self._record(evaluation, new[evaluation.task], provisional, cached=False)
                if self._store is not None:
                    self._store.put(evaluation)
                learn(evaluation, cached=False, trained=True)
        return tuple(self._known[task] for task in tasks)

    def task(
        self,
        structure: DilationStructure,
        *,
        steps: int | None = None,
        seed: int | None = None,
        history: tuple[TrainingSegment, ...] = (),
    ) -> EvaluationTask:
        """Return the task of a structure, by default with the proxy's steps and the seed of the search."""
        budget = Budget(self.proxy if steps is None else steps, "steps")
        return EvaluationTask(structure, budget, self.seed if seed is None else seed, history)

    def breeder(self) -> Breeder:
        """Return the source of the proposals of one generation."""
        return Breeder(self.space, self._orders, self.generator)

    def first_proposals(self, count: int) -> list[Proposal]:
        """Return the hand-designed structure and random ones, `count` in all."""
        breeder = self.breeder()
        hand_designed = breeder.given(self.hand_designed, Origin.HAND_DESIGNED)
        return [hand_designed, *breeder.random(count - 1)]

    def evaluate_first(self, count: int) -> tuple[Candidate, ...]:
        """Return the first `count` candidates, evaluated.

        Raises:
            OperationalError: None could be trained.
        """
        candidates = self.evaluate(self.first_proposals(count))
        self.require_one(candidates)
        return candidates

    def require_one(self, candidates: Sequence[Candidate]) -> None:
        """Raise unless one of the first candidates could be trained.

        Raises:
            OperationalError: None could: there is nothing to go on from.
        """
        if all(candidate.failed for candidate in candidates):
            raise OperationalError(
                f"none of the first {len(candidates)} candidates could be trained; the first one: "
                f"{candidates[0].evaluation.reason}"
            )

    def close_generation(self, population: Sequence[Candidate]) -> None:
        """Record a generation after survival, and notify the observers.

        Args:
            population: Its members, best first.
        """
        now = (self.evaluations - self.cache_hits, self.cache_hits + self._repeats, self._failures)
        trained, cached, failures = (a - b for a, b in zip(now, self._counted, strict=True))
        self._counted = now
        summary = GenerationSummary.of(
            len(self.generations), population, evaluations=trained, cache_hits=cached, failures=failures
        )
        self.generations.append(summary)
        if self._journal is not None:
            # The state of the generator lets a replay prove that it is one.
            state = fingerprint(self.generator.bit_generator.state)
            self._journal.record_generation(summary.as_dict() | {"generator": state})
        for observer in self._observers:
            observer.on_generation(summary)

    def end(self, winner: DilationStructure) -> None:
        """Record the end of the search, and notify the observers."""
        if self._journal is not None:
            self._journal.record_end(winner)
        for observer in self._observers:
            observer.on_end()

    @property
    def first(self) -> Candidate:
        """The hand-designed structure, trained like every candidate."""
        return self._known[self.task(self.hand_designed)]

    def scores(self) -> list[float]:
        """Return the fitness of all structures that were trained from scratch for the proxy."""
        alike = (one for one in self._known.values() if one.evaluation.task == self.task(one.structure))
        return [one.fitness for one in alike if not one.failed]

    def _name(self) -> str:
        return f"generation {len(self.generations)}" if self.phase is SearchPhase.SEARCH else self.phase.value

    def _record(self, evaluation: Evaluation, origin: Origin, provisional: bool, *, cached: bool) -> None:
        if self._journal is not None:
            self._journal.record_evaluation(
                evaluation,
                generation=len(self.generations),
                cached=cached,
                origin=origin.value,
                phase=self.phase.value,
                provisional=provisional,
            )

    def _learn(
        self, evaluation: Evaluation, origin: Origin, provisional: bool, *, cached: bool, trained: bool
    ) -> Candidate:
        """Remember a new evaluation, count it, and notify the observers."""
        fitness = fitness_of(evaluation, self.config.fitness)
        candidate = Candidate(evaluation, fitness, self._orders[evaluation.structure], origin)
        self._known[evaluation.task] = candidate
        self.budget.complete(evaluation.task, trained=trained)
        self.evaluations += 1
        self.cache_hits += cached
        self._failures += candidate.failed
        event = EvaluationEvent(
            evaluation=evaluation,
            origin=origin,
            generation=len(self.generations),
            phase=self.phase,
            cached=cached,
            provisional=provisional,
            status=self._status(),
        )
        for observer in self._observers:
            observer.on_evaluation(event)
        return candidate

    def _status(self) -> SearchStatus:
        scores = self._deciding() or [0.0]
        return SearchStatus(
            phase=self.phase,
            generation=len(self.generations),
            best=max(scores),
            median=median(scores),
            evaluations=self.evaluations,
            cache_hits=self.cache_hits,
            pruned=self.pruned,
            failures=self._failures,
            steps=self.budget.spent,
            completed_steps=self.budget.completed,
            trained_steps=self.budget.trained,
            planned_steps=self._planned,
            limited=self.config.trainings is not None,
            full_steps=self.full_steps,
            workers=self._executor.slots,
        )

    def _deciding(self) -> list[float]:
        """Return the scores of the longest trainings by which the strategy ranks.

        Shared weights score differently whatever the structure: only trainings that began like the latest
        one are compared with it.
        """
        ranking = [one for one in self._known.values() if one.evaluation.seed == self.seed and not one.failed]
        if not ranking:
            return []
        warm = bool(ranking[-1].evaluation.history)
        alike = [one for one in ranking if bool(one.evaluation.history) is warm]
        longest = max(one.evaluation.budget.amount for one in alike)
        return [one.fitness for one in alike if one.evaluation.budget.amount == longest]

    def _settings(self) -> dict[str, Any]:
        """Return what the result depends on, as JSON values."""
        config = {
            name: value for name, value in self.config.as_dict().items() if name not in WITHOUT_INFLUENCE
        }
        return {
            "seed": self.seed,
            "config": config,
            "space": self.space.as_dict(),
            "hand_designed": self.hand_designed.as_lists(),
            "full_steps": self.full_steps,
        }


def _planned_steps(config: GlobalSearchConfig, space: SearchSpace, full_steps: int | None) -> int | None:
    """Return the expected steps of search and race, or None when unknown."""
    if full_steps is None:
        return None
    parts = plan_search(config, space, full_steps=full_steps).expected.steps
    return sum(steps for part, steps in parts.items() if part != FINAL_COMPARISON)
