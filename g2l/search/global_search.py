"""The global search over whole structures (G2L, section 3.2).

Where we deviate from the released code (METHOD, section 3, "What we fix"): the fitness is measured on a
hold-out (1, the fitness sees to it); roulette (2, `selection`); mutation and sampling (3, `mutation`,
`space`); one fitness everywhere (4, `population`); parents are evaluated before the first selection, no
pair is skipped, no structure is trained twice (5, `breeding`, `evaluator`); sequences keep their length
(6, the fitness sees to it); seed, resume, and failures that end nothing (7, `journal`, `executors`).
Beyond that, the hand-designed structure is in the first population, and it wins all ties.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from g2l.config import GlobalSearchConfig, Strategy
from g2l.progress import Progress
from g2l.search.evaluator import SearchObserver
from g2l.search.executors.contract import Executor
from g2l.search.journal import Journal
from g2l.search.population import Candidate
from g2l.search.result import GlobalSearchResult
from g2l.search.session import SearchSession
from g2l.search.space import SearchSpace
from g2l.search.store import EvaluationStore
from g2l.search.strategies.genetic import search_genetically
from g2l.search.strategies.halving import search_by_halving
from g2l.search.strategies.random import search_randomly
from g2l.structure import DilationStructure

STRATEGIES: Mapping[Strategy, Callable[[SearchSession], tuple[Candidate, ...]]] = {
    Strategy.RANDOM: search_randomly,
    Strategy.GENETIC: search_genetically,
    Strategy.HALVING: search_by_halving,
}


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
        full_steps: Optimiser steps of one final training; needed where the settings speak of trainings.
        journal: Record to write and to resume from, or None.
        store: Evaluations shared across runs, or None.
        observers: Told of every evaluation and generation.
        progress: Draws bars, or None.

    Raises:
        InputError: The settings are out of range, or the journal is damaged or of another search.
        OperationalError: None of the first candidates could be trained, or a file cannot be written.
    """
    session = SearchSession(
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
    population = STRATEGIES[config.strategy](session)
    best = population[0]
    session.record_end(best.structure)
    return GlobalSearchResult(
        best=best.evaluation,
        hand_designed=session.first.evaluation,
        population=tuple(member.evaluation for member in population),
        generations=session.generations,
        evaluations=sum(summary.evaluations for summary in session.generations),
        cache_hits=sum(summary.cache_hits for summary in session.generations),
        steps=session.spent,
    )
