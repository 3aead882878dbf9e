"""The race of the leaders: a few structures are scored again before the winner is named.

The score that made a structure a leader overestimates it: the highest of many noisy scores is high by luck
too (the winner's curse). A race uses scores under fresh seeds and hold-outs only, and compares structures
pair by pair under the same ones, so that what these do to all of them cancels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from g2l.config import Budget
from g2l.search.budget import ROUNDS, race_budget
from g2l.search.candidates import Candidate, Origin, SearchPhase
from g2l.search.engine import Search
from g2l.structure import DilationStructure

FIRST_SEED = 2
"""Of the race, counted from the seed of the search."""

BEYOND_NOISE = 1.5
"""Standard errors by which a mean paired difference must exceed 0 to count.

Simulated races of four leaders and the hand-designed structure over at most three fresh seeds, 1.9 points
between seeds: where all are equal, a leader replaces the hand-designed one in 27 % of races, at no loss (with
1.0: 44 %, with 2.0: 13 %). Where true differences have a standard deviation of 1 or 3 points, the winner is
worse than the hand-designed one in 6 or 1 % of races (11 or 2; 3 or 1), and 0.7 or 0.6 points below the best
one (0.6 or 0.4; 0.8 or 0.9), for 12 or 10 trainings of 15.
"""


@dataclass(frozen=True)
class RaceResult:
    """One structure of a race.

    `scores` are in points, one per round, −inf where the training failed; seed and hold-out of a round are
    the same for all. `order` is the position among all structures of the race, for ties.
    """

    structure: DilationStructure
    scores: tuple[float, ...]
    order: int

    @property
    def mean(self) -> float:
        """Mean fitness in points; −inf when a training failed or none was made."""
        return math.fsum(self.scores) / len(self.scores) if self.scores and not self.failed else -math.inf

    @property
    def standard_error(self) -> float | None:
        """Standard error of the mean, or None below two scores."""
        if len(self.scores) < 2 or self.failed:
            return None
        return float(np.std(self.scores, ddof=1)) / math.sqrt(len(self.scores))

    @property
    def failed(self) -> bool:
        """Whether one of its trainings failed."""
        return not all(map(math.isfinite, self.scores))


@dataclass(frozen=True)
class Race:
    """A whole race: every structure, best first, and the winner.

    `difference` is the mean paired difference, best leader minus hand-designed, in points, with its standard
    error; None when they have no seed in common, one of them failed, or the noise of a score is unknown.
    """

    results: tuple[RaceResult, ...]
    winner: RaceResult
    difference: float | None = None
    standard_error: float | None = None


def run_race(search: Search, population: Sequence[Candidate]) -> Race | None:
    """Train the leaders and the hand-designed structure under fresh seeds and hold-outs; choose the winner.

    Each round has a hold-out of its own, other than those of the ranking while there are enough, so that the
    standard errors include the videos. `population` is what the strategy found, best first. Returns None when
    the settings have no race, or the hand-designed structure has no rival.
    """
    others = [c.structure for c in population if not c.failed and c.structure != search.hand_designed]
    leaders = [search.hand_designed, *dict.fromkeys(others)][: search.config.leaders + 1]
    if len(leaders) < 2:
        return None
    scores: dict[DilationStructure, list[float]] = {structure: [] for structure in leaders}
    steps = race_budget(search.proxy, search.training_steps)
    search.phase = SearchPhase.RACE
    for number in range(ROUNDS):
        running = next_round(race_results(scores), search.hand_designed)
        seed, holdouts = search.seed + FIRST_SEED + number, (search.config.holdouts + number,)
        found = search.evaluate(
            (search.task(one, Budget(steps, "steps"), seed, holdouts), Origin.RACE) for one in running
        )
        for candidate in found:
            scores[candidate.structure].append(candidate.fitness)
    return choose(race_results(scores), search.hand_designed)


def race_results(scores: Mapping[DilationStructure, Sequence[float]]) -> tuple[RaceResult, ...]:
    """Return the structures of a race, best first, from their fitness round by round.

    A structure that was dropped ranks below those that went on, whatever its mean: means over different
    seeds do not compare. Ties are in the order of `scores`.
    """
    found = [RaceResult(one, tuple(row), order) for order, (one, row) in enumerate(scores.items())]
    return tuple(sorted(found, key=lambda one: (one.failed, -len(one.scores), -one.mean, one.order)))


def choose(race: tuple[RaceResult, ...], hand_designed: DilationStructure) -> Race:
    """Return the race with its winner; ties go to the hand-designed structure.

    The best leader wins only if its mean paired difference to the hand-designed structure exceeds
    `BEYOND_NOISE` standard errors.
    """
    reference = _find(race, hand_designed)
    rivals = [one for one in race if one is not reference and not one.failed and one.scores]
    if not rivals or not reference.scores:
        return Race(race, reference)
    leader = rivals[0]
    if reference.failed:
        return Race(race, leader)
    difference, error = _difference(leader, reference), _standard_error(race, leader, reference)
    beyond_noise = error is not None and difference > BEYOND_NOISE * error
    return Race(race, leader if beyond_noise else reference, difference, error)


def next_round(race: Sequence[RaceResult], hand_designed: DilationStructure) -> tuple[DilationStructure, ...]:
    """Return the structures to score under the next seed, or nothing when the race is decided.

    Structures that are significantly worse than the leader are dropped for good. The hand-designed structure
    stays as long as the race goes on, since the winner is compared with it.
    """
    reference = _find(race, hand_designed)
    rounds = max(len(one.scores) for one in race)
    if rounds == 0:
        return tuple(one.structure for one in race)
    running = [one for one in race if not one.failed and len(one.scores) == rounds]
    going = [one for one in running if not _behind(one, running[0], race)]
    if len(going) < 2:
        return ()
    return tuple(one.structure for one in race if one in going or (one is reference and not one.failed))


def _find(race: Sequence[RaceResult], structure: DilationStructure) -> RaceResult:
    return next(one for one in race if one.structure == structure)


def _behind(one: RaceResult, leader: RaceResult, race: Sequence[RaceResult]) -> bool:
    error = _standard_error(race, leader, one)
    return error is not None and _difference(leader, one) > BEYOND_NOISE * error


def _difference(one: RaceResult, other: RaceResult) -> float:
    """Return the mean paired difference over the seeds that both have."""
    pairs = list(zip(one.scores, other.scores, strict=False))
    return math.fsum(a - b for a, b in pairs) / len(pairs)


def _standard_error(race: Sequence[RaceResult], one: RaceResult, other: RaceResult) -> float | None:
    """Return the standard error of a mean paired difference; None when the noise of a score is unknown.

    The noise is pooled over all structures that ran to the end, since the spread of two or three scores is
    often small by accident: what remains in a two-way analysis of variance of structures and seeds. The
    effect of a seed on all structures alike does not change their order.
    """
    rounds = max(len(result.scores) for result in race)
    rows = [result.scores for result in race if len(result.scores) == rounds and not result.failed]
    freedom = (len(rows) - 1) * (rounds - 1)
    if not rows or freedom == 0:
        return None
    scores = np.array(rows, dtype=np.float64)
    residual = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0, keepdims=True)
    squares = float(((residual + scores.mean()) ** 2).sum())
    return math.sqrt(2 * squares / freedom / min(len(one.scores), len(other.scores)))
