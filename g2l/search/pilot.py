"""The pilot of a search: how long must a candidate train before its score says anything?

METHOD, section 7: after a few epochs of a small data set a score has no rank correlation with the trained
result, and on another set a negative one. So a few structures are trained under several seeds, for half of
the full training, and scored on the way; the shortest training that ranks them usably is the budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from g2l.errors import InputError
from g2l.search.noise import rank_agreement, spreads
from g2l.structure import DilationStructure

USABLE_CORRELATION = 0.5
"""Rank correlation from which a budget may stand in for the horizon.

A search that ranks by a proxy of correlation ρ keeps about the share ρ of what ranking by the result itself
would gain. Halving the budget pays for twice the candidates, but the best of twice as many is only some 15 %
better, so what falls below one half cannot pay for itself. Of chance alone, six structures under two seeds
reach 0.5 in 6 % of pilots; where 70 % of the variance is that of the structures, they miss it in 28 %.
"""

LEARNT_SHARE = 0.5
"""Share of the horizon's best score that the best one of a budget must have.

Where nothing is learnt yet, the order is that of the first thing learnt, not of the result: 13 of 66 points
of F1 came with a correlation of 0, and 40 steps of 50salads_synth with a negative one (METHOD, section 7).
"""

SAME_SCORE = 1e-6
"""Points of spread below which scores are equal but for rounding."""

FEWEST_STRUCTURES = 4
"""Of three structures, every sixth order agrees with the horizon's by luck."""

Scores = Mapping[DilationStructure, Mapping[int, Mapping[int, float]]]
"""Fitness in points by structure, seed, and budget in steps."""


@dataclass(frozen=True, kw_only=True)
class PilotReport:
    """What a pilot found.

    Attributes:
        budget: Steps that a candidate should train.
        horizon: Steps of the longest training of the pilot.
        correlations: Rank correlation of a one-seed score at each budget with the horizon's score under the
            other seeds, mean over the seeds; None where it is undefined, as when all scores are equal.
        seed_spread: Standard deviation in points of what a seed does to one structure and not to all, at the
            horizon; None when too few structures were trained.
        structure_spread: Standard deviation in points between structures, the share of the seeds taken out;
            None when too few structures were trained.
        worth: Points by which the best structure is above the one with rate 1 everywhere at the horizon; None
            where that was not trained.
        verdict: The same in plain words.
    """

    budget: int
    horizon: int
    correlations: Mapping[int, float | None]
    seed_spread: float | None
    structure_spread: float | None
    worth: float | None
    verdict: str

    @property
    def distinguishable(self) -> bool:
        """Whether structures differ by more than seeds do, so that a search has something to find."""
        if self.seed_spread is None or self.structure_spread is None:
            return True  # nothing speaks against it
        return self.structure_spread > self.seed_spread


def choose_budget(scores: Scores) -> PilotReport:
    """Choose the shortest budget whose one-seed scores rank the structures as the horizon does.

    A budget counts only if all longer ones are usable too: one that agrees below one that does not is luck.
    The scores it is compared with are those of other seeds, because a training that had a lucky seed at the
    horizon had it on the way, too. Structures whose training failed take no part (a score that is not
    finite). The one with rate 1 everywhere only tells what rates are worth at all: every budget ranks it
    last, so that of seven structures it alone would lift a correlation of 0 to 0.3.

    Args:
        scores: The same seeds, at least two, and the same budgets for all structures.

    Raises:
        InputError: There are no scores, fewer than two seeds, or some are missing.
    """
    structures, budgets, table = _table(scores)
    horizon = budgets[-1]
    plain = np.array([set(structure.rates) == {1} for structure in structures], dtype=bool)
    compared, worth = table[~plain], _worth(table[:, :, -1].mean(axis=1), plain)
    if len(compared) < FEWEST_STRUCTURES:
        return PilotReport(
            budget=horizon,
            horizon=horizon,
            correlations=dict.fromkeys(budgets),
            seed_spread=None,
            structure_spread=None,
            worth=worth,
            verdict=f"Only {len(compared)} structures could be compared, too few to judge a budget by: every "
            f"candidate trains {horizon} steps.",
        )
    correlations = {
        step: rank_agreement(compared[:, :, number], compared[:, :, -1])
        for number, step in enumerate(budgets)
    }
    seeds, between = spreads(compared[:, :, -1])
    budget = _shortest(compared, correlations)
    return PilotReport(
        budget=budget,
        horizon=horizon,
        correlations=correlations,
        seed_spread=seeds,
        structure_spread=between,
        worth=worth,
        verdict=_verdict(budget, correlations, seeds, between) + _worth_in_words(worth),
    )


def _table(scores: Scores) -> tuple[list[DilationStructure], list[int], NDArray[np.float64]]:
    """Return the structures that never failed, the budgets, and the scores (structures, seeds, budgets)."""
    if not scores:
        raise InputError("`scores` must hold at least one structure, but is empty instead.")
    first = next(iter(scores.values()))
    seeds = sorted(first)
    if len(seeds) < 2:
        raise InputError(f"`scores` must hold at least 2 seeds, but holds {len(seeds)} instead.")
    budgets = sorted(first[seeds[0]])
    for structure, by_seed in scores.items():
        if sorted(by_seed) != seeds or any(sorted(found) != budgets for found in by_seed.values()):
            raise InputError(
                "`scores` must hold the same seeds and budgets for all structures, "
                f"but those of {structure} are others."
            )
    if not budgets:
        raise InputError("`scores` must hold at least one budget, but holds none.")
    rows = [[[by_seed[seed][step] for step in budgets] for seed in seeds] for by_seed in scores.values()]
    table = np.array(rows, dtype=np.float64)
    whole = [bool(np.isfinite(row).all()) for row in table]
    return [s for s, kept in zip(scores, whole, strict=True) if kept], budgets, table[whole]


def _shortest(table: NDArray[np.float64], correlations: Mapping[int, float | None]) -> int:
    best = table.mean(axis=1).max(axis=0)
    budgets = list(correlations)
    chosen = budgets[-1]
    for step, score in zip(reversed(budgets), reversed(best), strict=True):
        correlation = correlations[step]
        if correlation is None or correlation < USABLE_CORRELATION or score < LEARNT_SHARE * best[-1]:
            break
        chosen = step
    return chosen


def _worth(means: NDArray[np.float64], plain: NDArray[np.bool_]) -> float | None:
    return float(means[~plain].max() - means[plain].max()) if plain.any() and not plain.all() else None


def _worth_in_words(worth: float | None) -> str:
    if worth is None:
        return ""
    return f" The best one is {abs(worth):.1f} points {'above' if worth >= 0 else 'below'} rate 1 everywhere."


def _verdict(
    budget: int, correlations: Mapping[int, float | None], seed_spread: float, structure_spread: float
) -> str:
    horizon = max(correlations)
    correlation = correlations[budget]
    if max(seed_spread, structure_spread) < SAME_SCORE:
        return (
            f"After {horizon} steps, half of a full training, all structures score alike: nothing was "
            "learnt, and this search can only guess. "
            "Train longer, or raise the learning rate."
        )
    spreads = f"{structure_spread:.1f} points between structures, {seed_spread:.1f} between seeds"
    if budget < horizon:
        told = (
            f"A candidate trains {budget} steps: the order by its one score has a rank correlation of "
            f"{correlation:.2f} with that after {horizon} steps under other seeds."
        )
    else:
        told = (
            f"No training shorter than {horizon} steps ranks structures as that one does (rank correlation "
            f"of at least {USABLE_CORRELATION}): every candidate trains {horizon} steps."
        )
    if structure_spread > seed_spread:
        return f"{told} Structures differ by more than seeds do ({spreads})."
    return (
        f"{told} Structures do not differ by more than seeds do here ({spreads}): a search can hardly find "
        "anything better than the hand-designed one."
    )
