"""A running search: evaluates what a strategy proposes, and records, charges and reports it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from g2l.config import Budget, GlobalSearchConfig
from g2l.errors import InputError, OperationalError
from g2l.evaluation import Evaluation, EvaluationTask
from g2l.files import fingerprint
from g2l.progress import NullProgress, Progress
from g2l.search.budget import FINAL_COMPARISON, StepBudget, plan_search, proxy_steps, race_steps, task_steps
from g2l.search.candidates import (
    Candidate,
    EvaluationEvent,
    GenerationSummary,
    Origin,
    SearchObserver,
    SearchPhase,
    SearchStatus,
    fitness_of,
)
from g2l.search.executors.base import Executor
from g2l.search.journal import EvaluationStore, Journal
from g2l.search.shapes import ShapeSpace
from g2l.search.space import SearchSpace
from g2l.structure import DilationStructure


class Search:
    """A running search. Its construction validates the settings and opens the journal.

    Args:
        space: Allowed structures: rates of one network, or shapes.
        config: Strategy, budget of a candidate in steps, fitness and chances.
        executor: Trains the candidates; entered and left by the caller.
        seed: Seed of the search and of every training in it, >= 0.
        hand_designed: Structure that is evaluated first; projected onto a space of rates.
        full_steps: Optimiser steps of one final training; needed where the settings count in trainings.
        journal: Record to write and to resume from, or None.
        store: Evaluations shared across runs, or None.
        observers: Notified of every evaluation and generation.
        progress: Draws bars, or None.

    Attributes:
        generator: The only source of randomness of the search.
        training_steps: Optimiser steps of a full training of the structure whose rates are searched.
        proxy: Optimiser steps of one candidate.
        allowed: Optimiser steps that may be spent in the present part of the search, or None for no limit.
        planned: Expected steps of search and race in all, or None when unknown.
        evaluations: Scores so far, the `cache_hits` of other runs included.

    Raises:
        InputError: The settings are out of range, or the journal is damaged or of another search.
    """

    def __init__(
        self,
        space: SearchSpace | ShapeSpace,
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
    ) -> None:
        config.validate()
        if seed < 0:
            raise InputError(f"`seed` must be >= 0, but is {seed} instead.")
        if config.budget.unit != "steps":
            raise InputError(f"`budget` of a search must be in steps, but is {config.budget} instead.")
        self.config, self.seed, self.full_steps = config, seed, full_steps
        self.training_steps = full_steps
        self.space = space
        self.generator = np.random.default_rng(seed)
        self.planned: int | None = None
        if isinstance(space, ShapeSpace):
            self.hand_designed = hand_designed
            self.first_task = space.task(hand_designed, seed)
            self.budget = StepBudget(space.steps)
            self.proxy = space.steps(self.first_task)
            self.planned = space.planned(space.epochs)
        else:
            self.hand_designed = space.project(hand_designed)
            self.proxy = proxy_steps(config, full_steps)
            self.first_task = self.task(self.hand_designed)
            self.budget = StepBudget(task_steps)
            if full_steps is not None:
                parts = plan_search(config, space, full_steps=full_steps).expected.steps
                self.planned = sum(steps for part, steps in parts.items() if part != FINAL_COMPARISON)
        self.allowed: int | None = None
        self.phase = SearchPhase.SHAPES if isinstance(space, ShapeSpace) else SearchPhase.SEARCH
        self.evaluations = self.cache_hits = 0
        self.generations: list[GenerationSummary] = []
        self.known: dict[EvaluationTask, Candidate] = {}
        self.orders: dict[DilationStructure, int] = {}
        self.progress = progress or NullProgress()
        self._executor, self._journal, self._store = executor, journal, store
        self._observers = observers
        self._failures = self._repeats = 0
        self._counted = (0, 0, 0)
        if journal is not None:
            journal.begin(
                {
                    "seed": seed,
                    "config": config.result_settings(),
                    "space": space.as_dict(),
                    "hand_designed": self.hand_designed.as_lists(),
                    "full_steps": full_steps,
                }
            )

    def go_on_with_rates(self, start: DilationStructure, epochs: int) -> bool:
        """Search the rates of a shape from now on; return whether what is left of the budget suffices.

        Args:
            start: One of the shapes; it takes the place of the hand-designed structure.
            epochs: Of a full training of it.
        """
        shapes = self.space
        assert isinstance(shapes, ShapeSpace)
        cost = shapes.cost(start)
        self.space, self.hand_designed = shapes.rates_of(start), start
        self.phase = SearchPhase.SEARCH
        self.training_steps = shapes.full_training(epochs)
        self.proxy = proxy_steps(self.config, self.training_steps)
        self.first_task = self.task(start)
        self.budget.steps_of = lambda task: round(cost * task_steps(task))
        self.allowed = None
        if self.planned is None:
            return True
        race = race_steps(self.config, self.proxy, self.training_steps)
        self.allowed = self.planned - round(cost * race)
        return self.allowed - self.budget.spent >= 2 * cost * self.proxy * self.config.holdouts

    def evaluate(self, wanted: Iterable[tuple[EvaluationTask, Origin]]) -> tuple[Candidate, ...]:
        """Return the candidates of tasks in their order, as many as the allowed steps buy.

        Each task is evaluated once: taken from memory, else from the journal, else from the store, else
        trained. Deviation (METHOD, section 3, fix 5): the released code trains duplicates again.

        Args:
            wanted: What is evaluated, and how each structure was proposed.
        """
        tasks: list[EvaluationTask] = []
        new: dict[EvaluationTask, Origin] = {}
        for task, origin in wanted:
            # Charged before anything is trained: what is left to spend must not depend on who is faster.
            if self.allowed is not None and self.budget.spent + self.budget.cost(task) > self.allowed:
                break
            if task in self.known or task in new:
                self._repeats += 1
            else:
                self.budget.charge(task)
                new[task] = origin
            self.orders.setdefault(task.structure, len(self.orders))
            tasks.append(task)
        searching = self.phase is SearchPhase.SEARCH
        name = f"generation {len(self.generations)}" if searching else self.phase.value
        with self.progress.task(name, len(new)) as bar:

            def learn(evaluation: Evaluation, *, cached: bool, trained: bool = False) -> None:
                candidate = self._learn(evaluation, new[evaluation.task], cached=cached, trained=trained)
                bar.advance(note=f"{self.config.fitness} {candidate.fitness:.2f}")

            for task, origin in new.items():
                recorded = self._journal.find(task) if self._journal is not None else None
                stored = self._store.get(task) if self._store is not None and recorded is None else None
                if recorded is not None:
                    learn(recorded[0], cached=recorded[1])
                elif stored is not None:
                    self._record(stored, origin, cached=True)
                    learn(stored, cached=True)
                else:
                    self._executor.submit(task)
            for evaluation in self._executor.results():
                # The journal first: were the store first, a kill between the two would turn this training
                # into a cache hit on resume, and change the counts.
                self._record(evaluation, new[evaluation.task], cached=False)
                if self._store is not None:
                    self._store.put(evaluation)
                learn(evaluation, cached=False, trained=True)
        return tuple(self.known[task] for task in tasks)

    def task(
        self,
        structure: DilationStructure,
        budget: Budget | None = None,
        seed: int | None = None,
        holdouts: tuple[int, ...] | None = None,
    ) -> EvaluationTask:
        """Return the task of a structure, by default with the settings, the proxy's steps and the seed."""
        return EvaluationTask(
            structure,
            budget or Budget(self.proxy, "steps"),
            self.seed if seed is None else seed,
            holdouts or tuple(range(self.config.holdouts)),
        )

    def require_one(self, candidates: Sequence[Candidate]) -> None:
        """Raise `OperationalError` unless one of the first candidates could be trained."""
        if all(candidate.failed for candidate in candidates):
            raise OperationalError(
                f"none of the first {len(candidates)} candidates could be trained; the first one: "
                f"{candidates[0].evaluation.reason}"
            )

    def close_generation(self, population: Sequence[Candidate]) -> None:
        """Record a generation after survival, its members best first, and notify the observers."""
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
        return self.known[self.first_task]

    def scores(self) -> list[float]:
        """Return the fitness of all structures that were trained like the hand-designed one at first."""
        return [
            one.fitness
            for task, one in self.known.items()
            if replace(task, structure=self.hand_designed) == self.first_task and not one.failed
        ]

    def _record(self, evaluation: Evaluation, origin: Origin, *, cached: bool) -> None:
        if self._journal is not None:
            self._journal.record_evaluation(
                evaluation,
                generation=len(self.generations),
                cached=cached,
                origin=origin.value,
                phase=self.phase.value,
                steps=self.budget.charged(evaluation.task),
            )

    def _learn(self, evaluation: Evaluation, origin: Origin, *, cached: bool, trained: bool) -> Candidate:
        """Remember a new evaluation, count it, and notify the observers."""
        fitness = fitness_of(evaluation, self.config.fitness)
        candidate = Candidate(evaluation, fitness, self.orders[evaluation.structure], origin)
        self.known[evaluation.task] = candidate
        self.budget.complete(evaluation.task, trained=trained)
        self.evaluations += 1
        self.cache_hits += cached
        self._failures += candidate.failed
        scores = self._deciding() or [0.0]
        status = SearchStatus(
            phase=self.phase,
            generation=len(self.generations),
            best=max(scores),
            median=median(scores),
            evaluations=self.evaluations,
            cache_hits=self.cache_hits,
            failures=self._failures,
            steps=self.budget.spent,
            completed_steps=self.budget.completed,
            trained_steps=self.budget.trained,
            planned_steps=self.planned,
            limited=self.config.trainings is not None,
            full_steps=self.full_steps,
            workers=self._executor.slots,
        )
        for observer in self._observers:
            observer.on_evaluation(EvaluationEvent(evaluation, cached, status))
        return candidate

    def _deciding(self) -> list[float]:
        """Return the scores of the longest trainings by which the strategy ranks."""
        alike = [
            (task.budget.amount, one.fitness)
            for task, one in self.known.items()
            if task.seed == self.seed and task.budget.unit == self.first_task.budget.unit and not one.failed
        ]
        longest = max(alike, default=(0, 0.0))[0]
        return [fitness for amount, fitness in alike if amount == longest]
