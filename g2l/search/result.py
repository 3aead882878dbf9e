"""What a search of whole structures returns."""

from __future__ import annotations

from dataclasses import dataclass

from g2l.evaluation import Evaluation
from g2l.search.noise_control import Race
from g2l.search.population import GenerationSummary
from g2l.structure import DilationStructure


@dataclass(frozen=True, kw_only=True)
class GlobalSearchResult:
    """The outcome of a search.

    Attributes:
        winner: The structure that was found: the leader, or the winner of the race of the leaders.
        best: The score by which the strategy ranked the winner.
        hand_designed: The 2^l structure (projected onto the space) by the same budget and seed.
        population: The last population, best first.
        generations: One summary per generation, first population included.
        evaluations: Candidates trained.
        cache_hits: Proposals that needed no training.
        steps: Optimiser steps that it spent, those of other runs' results included.
        full_steps: Optimiser steps of one full training, or None where that is not known.
        proxy: Optimiser steps of one candidate.
        race: The race of the leaders, or None when there was none.
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
