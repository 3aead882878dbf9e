"""What a search spends on knowing its noise: a pilot before it, a race of the leaders after it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from g2l.errors import InputError
from g2l.search.evaluator import Request
from g2l.search.pilot import PilotReport, choose_budget
from g2l.search.pilot_plan import pilot_ladder, pilot_structures
from g2l.search.population import Candidate, Origin
from g2l.search.racing import Choice, Standing, choose, next_round, standings
from g2l.search.session import SearchSession
from g2l.search.space import SearchSpace
from g2l.search.status import SearchPhase
from g2l.search_config import GlobalSearchConfig, ProxyChoice
from g2l.structure import DilationStructure

logger = logging.getLogger("g2l")

PILOT_STRUCTURES = 7
"""The hand-designed one, all-ones, and five random ones: the fewest for which chance rarely looks usable."""
PILOT_SEEDS = 2
RACE_ROUNDS = 3
"""Fresh seeds of a race; a fourth would cost more than the structures it could still tell apart are worth."""


@dataclass(frozen=True)
class Race:
    """How the race of the leaders ended.

    Attributes:
        standings: Every structure of the race, best first.
        choice: The winner, and why.
    """

    standings: tuple[Standing, ...]
    choice: Choice


def race_budget(proxy: int, full_steps: int | None) -> int:
    """Return the steps of one training of the race: twice the proxy's, unless half a training is less."""
    return 2 * proxy if full_steps is None else min(2 * proxy, max(proxy, full_steps // 2))


def race_steps(config: GlobalSearchConfig, proxy: int, full_steps: int | None) -> int:
    """Return the most optimiser steps that a race can take, 0 where there is none."""
    return (config.leaders + 1) * RACE_ROUNDS * race_budget(proxy, full_steps) if config.leaders else 0


def run_pilot(session: SearchSession) -> PilotReport:
    """Train a few structures under two seeds, score them on the way, and set the session's proxy budget.

    Its trainings under the search's own seed are scores like all others: the search does not repeat them.

    Args:
        session: The running search.

    Raises:
        InputError: The length of a full training is not known.
        OperationalError: None of the structures could be trained.
    """
    if session.full_steps is None:
        raise InputError("`proxy` can only be auto where the length of a full training is known.")
    structures = pilot_structures(session.space, session.hand_designed, PILOT_STRUCTURES, session.generator)
    seeds = range(session.seed, session.seed + PILOT_SEEDS)
    ladder = pilot_ladder(session.full_steps)
    session.monitor.phase = SearchPhase.PILOT
    scores: dict[DilationStructure, dict[int, dict[int, float]]] = {
        structure: {seed: {} for seed in seeds} for structure in structures
    }
    for steps in ladder:
        tasks = [session.task(s, steps=steps, seed=seed) for seed in seeds for s in structures]
        goes_on = steps < ladder[-1]
        for candidate in session.answer([Request(task, Origin.PILOT, goes_on) for task in tasks]):
            task = candidate.evaluation.task
            scores[task.structure][task.seed][steps] = candidate.fitness
    report = choose_budget(scores)
    logger.info("pilot: %s", report.verdict)
    session.proxy, session.piloted = report.budget, structures
    session.monitor.phase = SearchPhase.SEARCH
    return report


def run_race(session: SearchSession, population: Sequence[Candidate], noise: float | None) -> Race | None:
    """Train the leaders and the hand-designed structure again under fresh seeds, and choose the winner.

    Args:
        session: The running search; its generations are over.
        population: What the strategy found, best first.
        noise: Standard deviation of a structure between seeds from the pilot, in points, or None.

    Returns:
        None when the settings ask for no race, or the hand-designed structure has no rival.
    """
    leaders = _leaders(session, population)
    if not session.config.leaders or len(leaders) < 2:
        return None
    scores: dict[DilationStructure, list[float]] = {structure: [] for structure in leaders}
    orders = {structure: number for number, structure in enumerate(leaders)}
    steps = race_budget(session.proxy, session.full_steps)
    session.monitor.phase = SearchPhase.RACE
    for number in range(RACE_ROUNDS):
        running = next_round(standings(scores, orders), session.hand_designed, noise=noise)
        seed = session.seed + PILOT_SEEDS + number
        tasks = [session.task(structure, steps=steps, seed=seed) for structure in running]
        for candidate in session.answer([Request(task, Origin.RACE) for task in tasks]):
            scores[candidate.structure].append(candidate.fitness)
    race = standings(scores, orders)
    return Race(race, choose(race, session.hand_designed, noise=noise))


def reserve(config: GlobalSearchConfig, proxy: int, full_steps: int | None) -> int:
    """Return the steps that a strategy must leave: those of the race and of the final comparison."""
    final = 2 * config.final_seeds * (full_steps or 0)
    return race_steps(config, proxy, full_steps) + final


def allowed_steps(
    config: GlobalSearchConfig, proxy: int, full_steps: int | None, *, spent: int
) -> int | None:
    """Return the steps that the strategy may reach, or None when there is no limit.

    Args:
        config: Settings of the search.
        proxy: Steps of a candidate.
        full_steps: Optimiser steps of one final training, or None where that is not known.
        spent: What the pilot takes of them.

    Raises:
        InputError: The settings speak of trainings whose length is not known, or leave nothing to search
            with.
    """
    if config.trainings is None:
        return None
    if full_steps is None:
        raise InputError("`trainings` can only be set where the length of a full training is known.")
    allowed = int(config.trainings * full_steps) - reserve(config, proxy, full_steps)
    if allowed < spent + 2 * proxy:
        raise InputError(
            f"`trainings` must leave room for two candidates of {proxy} steps beside pilot, race and "
            f"final comparison, but is {config.trainings:g} trainings of {full_steps} steps instead.",
            hint="allow more trainings, fix the candidates' budget, or give fewer final seeds.",
        )
    return allowed


def pilot_steps(config: GlobalSearchConfig, space: SearchSpace, full_steps: int) -> int:
    """Return the optimiser steps of the pilot: every one of its trainings goes up the ladder once.

    Args:
        config: Settings of the search; 0 where they fix the budget.
        space: Its space, which may hold fewer structures than a pilot trains.
        full_steps: Optimiser steps of one final training.
    """
    if config.proxy is not ProxyChoice.AUTO:
        return 0
    return min(PILOT_STRUCTURES, space.size) * PILOT_SEEDS * pilot_ladder(full_steps)[-1]


def _leaders(session: SearchSession, population: Sequence[Candidate]) -> list[DilationStructure]:
    """Return the hand-designed structure and the best others, in the order of ties."""
    others = [c.structure for c in population if not c.failed and c.structure != session.hand_designed]
    return [session.hand_designed, *dict.fromkeys(others)][: session.config.leaders + 1]
