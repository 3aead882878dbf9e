"""One run of a search: its randomness, its memory and its record; the genetic and the random one share it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from g2l.config import GlobalSearchConfig
from g2l.errors import InputError, OperationalError
from g2l.files import fingerprint
from g2l.progress import NullProgress, Progress
from g2l.search.breeding import Breeder
from g2l.search.evaluator import Evaluator, SearchObserver
from g2l.search.executors.contract import Executor
from g2l.search.journal import Journal
from g2l.search.population import Candidate, GenerationSummary, Origin, Proposal, summarise
from g2l.search.result import GlobalSearchResult
from g2l.search.space import SearchSpace
from g2l.search.store import EvaluationStore
from g2l.structure import DilationStructure

WITHOUT_INFLUENCE = ("executor", "workers", "candidate_checkpoints")
"""Settings that do not change which structure is found, so that a resumed search may change them."""


class SearchSession:
    """A running search. Making one validates the settings and opens the journal.

    Args:
        space: Allowed structures.
        config: Settings of the search.
        executor: Trains the candidates.
        kind: Which search it is, for the journal.
        seed: Seed of the search and of every training in it, >= 0.
        hand_designed: Structure that is evaluated first; projected onto the space.
        journal: Record to write and to resume from, or None.
        store: Evaluations shared across runs, or None.
        observers: Told of every evaluation and generation.
        progress: Draws bars, or None.
        extra: Further settings that the result depends on.

    Raises:
        InputError: The settings are out of range, or the journal is damaged or of another search.
    """

    def __init__(
        self,
        space: SearchSpace,
        config: GlobalSearchConfig,
        executor: Executor,
        *,
        kind: str,
        seed: int,
        hand_designed: DilationStructure,
        journal: Journal | None,
        store: EvaluationStore | None,
        observers: Sequence[SearchObserver],
        progress: Progress | None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        config.validate()
        if seed < 0:
            raise InputError(f"`seed` must be >= 0, but is {seed} instead.")
        self.progress = progress or NullProgress()
        self._space = space
        self._hand_designed = space.project(hand_designed)
        self._generator = np.random.default_rng(seed)
        self._journal = journal
        self._observers = observers
        self._summaries: list[GenerationSummary] = []
        if journal is not None:
            journal.begin({"kind": kind, "seed": seed, **self._settings(config), **(extra or {})})
        self._evaluator = Evaluator(
            executor,
            metric=config.fitness,
            budget=config.budget,
            seed=seed,
            journal=journal,
            store=store,
            observers=observers,
            progress=self.progress,
        )

    def breeder(self) -> Breeder:
        """Return the source of the proposals of one generation."""
        return Breeder(self._space, self._evaluator, self._generator)

    def evaluate(self, proposals: Sequence[Proposal]) -> tuple[Candidate, ...]:
        """Return the candidates of `proposals`, in their order."""
        return self._evaluator.evaluate(proposals, len(self._summaries))

    def evaluate_first(self, count: int) -> tuple[Candidate, ...]:
        """Return the hand-designed structure and `count` − 1 random ones, evaluated.

        Raises:
            OperationalError: None could be trained, so that there is nothing to go on from.
        """
        breeder = self.breeder()
        hand_designed = breeder.given(self._hand_designed, Origin.HAND_DESIGNED)
        candidates = self.evaluate([hand_designed, *breeder.random(count - 1)])
        if all(candidate.failed for candidate in candidates):
            reason = candidates[0].evaluation.reason
            raise OperationalError(
                f"none of the first {len(candidates)} candidates could be trained; the first one: {reason}"
            )
        return candidates

    def close_generation(self, population: Sequence[Candidate]) -> None:
        """Write a generation down, after survival, and tell the observers."""
        summary = summarise(len(self._summaries), population, self._evaluator.take_tally())
        self._summaries.append(summary)
        if self._journal is not None:
            # The state of the generator lets a replay prove that it is one.
            state = fingerprint(self._generator.bit_generator.state)
            self._journal.record_generation(summary.as_dict() | {"generator": state})
        for observer in self._observers:
            observer.on_generation(summary)

    def finish(self, population: Sequence[Candidate]) -> GlobalSearchResult:
        """Write down that the search has ended and return its result."""
        best = self._evaluator.leader.evaluation
        if self._journal is not None:
            self._journal.record_end(best.structure)
        return GlobalSearchResult(
            best=best,
            hand_designed=self._evaluator.first.evaluation,
            population=tuple(member.evaluation for member in population),
            generations=tuple(self._summaries),
            evaluations=sum(summary.evaluations for summary in self._summaries),
            cache_hits=sum(summary.cache_hits for summary in self._summaries),
        )

    def _settings(self, config: GlobalSearchConfig) -> dict[str, Any]:
        """Return what the result depends on, as JSON values."""
        chosen = {name: value for name, value in config.as_dict().items() if name not in WITHOUT_INFLUENCE}
        return {
            "config": chosen,
            "space": self._space.as_dict(),
            "hand_designed": self._hand_designed.as_lists(),
        }
