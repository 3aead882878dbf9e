"""What a search spends on knowing its noise: a race of the leaders after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from g2l.errors import InputError
from g2l.search.evaluator import Request
from g2l.search.population import Candidate, Origin
from g2l.search.racing import Choice, Standing, choose, next_round, standings
from g2l.search.session import SearchSession
from g2l.search.status import SearchPhase
from g2l.search_config import GlobalSearchConfig
from g2l.structure import DilationStructure

FIRST_SEED = 2
"""Of the race, counted from the seed of the search: a number that recorded races rely on."""
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


def run_race(session: SearchSession, population: Sequence[Candidate]) -> Race | None:
    """Train the leaders and the hand-designed structure again under fresh seeds, and choose the winner.

    Args:
        session: The running search; its generations are over.
        population: What the strategy found, best first.

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
        running = next_round(standings(scores, orders), session.hand_designed)
        seed = session.seed + FIRST_SEED + number
        tasks = [session.task(structure, steps=steps, seed=seed) for structure in running]
        for candidate in session.answer([Request(task, Origin.RACE) for task in tasks]):
            scores[candidate.structure].append(candidate.fitness)
    race = standings(scores, orders)
    return Race(race, choose(race, session.hand_designed))


def reserve(config: GlobalSearchConfig, proxy: int, full_steps: int | None) -> int:
    """Return the steps that a strategy must leave: those of the race and of the final comparison."""
    final = 2 * config.final_seeds * (full_steps or 0)
    return race_steps(config, proxy, full_steps) + final


def allowed_steps(config: GlobalSearchConfig, proxy: int, full_steps: int | None) -> int | None:
    """Return the steps that the strategy may reach, or None when there is no limit.

    Args:
        config: Settings of the search.
        proxy: Steps of a candidate.
        full_steps: Optimiser steps of one final training, or None where that is not known.

    Raises:
        InputError: The settings speak of trainings whose length is not known, or leave nothing to search
            with.
    """
    if config.trainings is None:
        return None
    if full_steps is None:
        raise InputError("`trainings` can only be set where the length of a full training is known.")
    allowed = int(config.trainings * full_steps) - reserve(config, proxy, full_steps)
    if allowed < 2 * proxy:
        raise InputError(
            f"`trainings` must leave room for two candidates of {proxy} steps beside race and "
            f"final comparison, but is {config.trainings:g} trainings of {full_steps} steps instead.",
            hint="allow more trainings, fix the candidates' budget, or give fewer final seeds.",
        )
    return allowed


def _leaders(session: SearchSession, population: Sequence[Candidate]) -> list[DilationStructure]:
    """Return the hand-designed structure and the best others, in the order of ties."""
    others = [c.structure for c in population if not c.failed and c.structure != session.hand_designed]
    return [session.hand_designed, *dict.fromkeys(others)][: session.config.leaders + 1]
