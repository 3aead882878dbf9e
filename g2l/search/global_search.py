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

from g2l.evaluation import Evaluation
from g2l.progress import Progress
from g2l.search.cost import FINAL_COMPARISON, plan_search
from g2l.search.evaluator import SearchObserver
from g2l.search.executors.contract import Executor
from g2l.search.journal import Journal
from g2l.search.noise_control import allowed_steps, run_race
from g2l.search.population import Candidate
from g2l.search.result import GlobalSearchResult
from g2l.search.session import SearchSession
from g2l.search.space import SearchSpace
from g2l.search.store import EvaluationStore
from g2l.search.strategies.genetic import search_genetically
from g2l.search.strategies.one_shot import search_one_shot
from g2l.search.strategies.random import search_randomly
from g2l.search_config import GlobalSearchConfig, Strategy
from g2l.structure import DilationStructure

STRATEGIES: Mapping[Strategy, Callable[[SearchSession], tuple[Candidate, ...]]] = {
    Strategy.RANDOM: search_randomly,
    Strategy.GENETIC: search_genetically,
    Strategy.ONE_SHOT: search_one_shot,
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
    session.monitor.planned_steps, session.monitor.limited = _planned_steps(session)
    session.allowed = allowed_steps(config, session.proxy, full_steps)
    population = STRATEGIES[config.strategy](session)
    session.allowed = None  # what follows has been set aside
    race = run_race(session, population)
    winner = race.choice.winner.structure if race else population[0].structure
    session.record_end(winner)
    return GlobalSearchResult(
        winner=winner,
        best=_evaluation_of(winner, population, session),
        hand_designed=session.first.evaluation,
        population=tuple(member.evaluation for member in population),
        generations=session.generations,
        evaluations=session.evaluations,
        cache_hits=session.cache_hits,
        steps=session.spent,
        full_steps=full_steps,
        proxy=session.proxy,
        race=race,
    )


def _planned_steps(session: SearchSession) -> tuple[int | None, bool]:
    """Return the steps of search and race, or None, and whether they are a limit or an estimate."""
    limited = session.config.trainings is not None
    if session.full_steps is None:
        return None, limited
    parts = plan_search(session.config, session.space, full_steps=session.full_steps).expected.steps
    return sum(steps for part, steps in parts.items() if part != FINAL_COMPARISON), limited


def _evaluation_of(
    winner: DilationStructure, population: Sequence[Candidate], session: SearchSession
) -> Evaluation:
    """Return the score by which the strategy ranked a structure."""
    found = next((member for member in population if member.structure == winner), session.first)
    return found.evaluation
