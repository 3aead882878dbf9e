"""What a search of whole structures returns."""

from __future__ import annotations

from dataclasses import dataclass

from g2l.evaluation import Evaluation
from g2l.search.population import GenerationSummary


@dataclass(frozen=True, kw_only=True)
class GlobalSearchResult:
    """The outcome of a search.

    Attributes:
        best: The leader of all that were evaluated.
        hand_designed: The 2^l structure (projected onto the space) by the same budget and seed.
        population: The last population, best first.
        generations: One summary per generation, first population included.
        evaluations: Candidates trained.
        cache_hits: Proposals that needed no training.
        steps: Optimiser steps that it spent, those of other runs' results included.
    """

    best: Evaluation
    hand_designed: Evaluation
    population: tuple[Evaluation, ...]
    generations: tuple[GenerationSummary, ...]
    evaluations: int
    cache_hits: int
    steps: int
