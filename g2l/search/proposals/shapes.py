"""Search of shapes: a coarse look at all of them, then paired proof for the promising ones.

Every block trains the hand-designed structure and some others under one seed and one hold-out. The first
block sorts out the hopeless; the others repeat what is left under fresh seeds and hold-outs, until a shape is
shown to be good enough, none is left, or the budget ends (`g2l.search.proof`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from g2l.config import CandidateCheckpoints, GlobalSearchConfig, Preference
from g2l.errors import InputError
from g2l.evaluation import EvaluationTask
from g2l.metrics.length import smoothed, still_rising
from g2l.metrics.scores import metric_value
from g2l.search.budget import FINAL_COMPARISON, CostPlan, SearchCost, plan_search
from g2l.search.candidates import FLOOR, Candidate, Origin, nothing_learnt, ranked
from g2l.search.engine import Search
from g2l.search.proof import CONFIDENCE, Estimate, Rule, blocks_to_show, pick, shrunken, smallest_difference
from g2l.search.shapes import SHAPES_FIRST, ShapeSpace
from g2l.structure import DilationStructure

MOST_BLOCKS = 50
"""Blocks after which a search without a limit ends: more would show differences of half a point only."""
COARSE = 0.45
"""Share of the budget that the first block may take before any training is extended."""
FOCUS = 2
"""Structures that are proved at a time, beside the hand-designed one."""
HOPELESS = 0.3
"""Probability of being good enough below which a structure is dropped."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Facts of one structure: a point of the front of score against cost.

    Attributes:
        cost: Multiply-adds over those of the hand-designed structure.
        multiply_adds: Per frame.
        epochs: Best length of its training; `rising` if its curve still rises at the end.
        steps: Optimiser steps of the hand-designed structure that one such training costs.
        fitness: Mean hold-out score at that length, in points.
        difference: From the hand-designed structure, in points, with its one-sided 90 % limits.
        blocks: Paired trainings.
        shown: Whether it is shown to be within the margin.
        latency: Milliseconds for 1,000 frames by onnxruntime; None where it was not measured.
    """

    structure: DilationStructure
    name: str
    cost: float
    multiply_adds: int
    epochs: int
    steps: int
    rising: bool
    fitness: float
    difference: float
    low: float
    high: float
    blocks: int
    shown: bool
    latency: float | None = field(default=None, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the row as JSON values."""
        return {**vars(self), "structure": self.structure.as_lists()}


@dataclass(frozen=True, kw_only=True)
class Proof:
    """The outcome of a search of shapes.

    Attributes:
        winner: What is shipped.
        rows: Every structure that was scored, the hand-designed one first.
        curves: Smoothed mean hold-out curve of each row.
        tasks: Trainings of the first block, the hand-designed one first.
        verdict: Why nothing was learnt, or None.
        reason: Why the winner is the winner, in plain words.
    """

    winner: Row
    rows: tuple[Row, ...]
    curves: tuple[tuple[float, ...], ...]
    tasks: tuple[EvaluationTask, ...]
    verdict: str | None
    reason: str

    @property
    def front(self) -> tuple[Row, ...]:
        """The structures than which none is cheaper and better, the cheapest first."""
        rows = sorted(self.rows, key=lambda row: (row.cost, -row.difference))
        best = -np.inf
        front = []
        for row in rows:
            if row.difference > best:
                best = row.difference
                front.append(row)
        return tuple(front)

    def with_rates(
        self, structure: DilationStructure, fitness: float, difference: float, error: float | None
    ) -> Proof:
        """Return the same with the rates that a search has found for the winner's shape as the winner.

        `difference` is from the present winner, in points, with its standard error where that is known.
        """
        start = self.winner
        reach = special.ndtri(CONFIDENCE) * (error or 0.0)
        found = replace(
            start,
            structure=structure,
            name=f"{start.name}, rates searched",
            fitness=fitness,
            difference=start.difference + difference,
            low=start.difference + difference - math.hypot(start.difference - start.low, reach),
            high=start.difference + difference + math.hypot(start.high - start.difference, reach),
        )
        noise = "by one seed" if error is None else f"under fresh seeds (standard error {error:.1f})"
        return replace(
            self,
            winner=found,
            rows=(*self.rows, found),
            curves=(*self.curves, ()),
            reason=f"{self.reason} The rates found are {difference:.1f} points above its own {noise}.",
        )


class Scores:
    """Smoothed hold-out curves of structures by block, each read at the best length of its structure."""

    def __init__(self) -> None:
        self.curves: dict[DilationStructure, dict[int, NDArray[np.float64]]] = {}
        self.at_floor: list[DilationStructure] = []

    def add(self, structure: DilationStructure, block: int, curve: Sequence[float]) -> None:
        """Keep a curve; one at the floor proves nothing."""
        self.at_floor = [one for one in self.at_floor if one != structure]
        if max(curve) >= FLOOR:
            self.curves.setdefault(structure, {})[block] = np.array(smoothed(curve))
        else:
            self.at_floor.append(structure)

    def curve(self, structure: DilationStructure) -> NDArray[np.float64]:
        """Return the mean over the blocks; smoothing and averaging may change places."""
        return np.asarray(np.mean(list(self.curves[structure].values()), axis=0))

    def length(self, structure: DilationStructure) -> int:
        """Return the best length in epochs; of equals the earlier one."""
        return int(self.curve(structure).argmax()) + 1

    def rising(self, structure: DilationStructure) -> bool:
        """Return whether more epochs are likely to be better."""
        return still_rising(self.curve(structure).tolist())

    def table(self, structures: Sequence[DilationStructure], blocks: int) -> NDArray[np.float64]:
        """Return the scores, shape (structures, blocks), NaN where there is none."""
        table = np.full((len(structures), blocks), np.nan)
        for row, structure in enumerate(structures):
            at = self.length(structure) - 1
            for block, curve in self.curves[structure].items():
                table[row, block] = curve[at]
        return table


def search_shapes(search: Search, space: ShapeSpace, rule: Rule = shrunken) -> Proof:
    """Compare the shapes of a space with the hand-designed structure, pooling the scores by a rule.

    Raises:
        OperationalError: None of the structures could be trained.
    """
    return _ShapeSearch(search, space, rule).run()


def plan_shapes(
    config: GlobalSearchConfig,
    space: ShapeSpace,
    *,
    seconds_per_step: float | None = None,
    bytes_per_checkpoint: int | None = None,
) -> CostPlan:
    """Return the cost of a search of shapes, and what its budget can show.

    Args:
        config: Settings of the search.
        space: What is compared.
        seconds_per_step: Measured time of one optimiser step of the hand-designed structure, or None.
        bytes_per_checkpoint: Size of the weights of one hand-designed network, or None.

    Raises:
        InputError: The budget does not pay for one pair of trainings.
    """
    costs = [space.steps(space.task(one, 0)) for one in space.structures]
    pair, block = sum(costs[:2]), sum(costs[: FOCUS + 1])
    wanted = blocks_to_show(config.margin)
    limit = space.allowed(space.epochs)
    allowed = sum(costs) + wanted * block if limit is None else limit
    if allowed < pair:
        raise InputError(
            f"the budget of the search must pay for a pair of trainings, {pair / space.full_steps:.1f} full "
            f"trainings, but is {config.trainings:g} instead.",
            hint="raise --budget.",
        )
    blocks = max(1.0, allowed / block)
    needed = wanted * block / space.full_steps
    power = (
        f"A search of {allowed / space.full_steps:.1f} full trainings is likely to show differences of "
        f"{smallest_difference(blocks):.1f} points or more; to show differences of {config.margin:g} points "
        f"takes about {needed:.0f}."
    )
    rates = 0
    if space.rates is not None:  # refuses a budget that is too small, too
        search = config.replace(trainings=config.trainings and SHAPES_FIRST * config.trainings, final_seeds=0)
        rates = plan_search(search, space.rates, full_steps=space.full_steps).expected.total_steps

    def cost(longer: float) -> SearchCost:
        trainings = round(allowed / (sum(costs) / len(costs)))
        final = 2 * config.final_seeds * space.full_steps
        parts = {"search": allowed, "search of rates": rates, FINAL_COMPARISON: final}
        parts = {name: round(steps * longer) for name, steps in parts.items() if steps}
        kept = 0 if config.candidate_checkpoints is CandidateCheckpoints.NONE else trainings
        return SearchCost(
            evaluations=trainings,
            steps=parts,
            full_steps=round(space.full_steps * longer),
            seconds=seconds_per_step and sum(parts.values()) * seconds_per_step / config.workers,
            bytes=bytes_per_checkpoint and kept * bytes_per_checkpoint,
        )

    return CostPlan(expected=cost(1.0), maximal=cost(space.max_epochs / space.epochs), power=power)


class _ShapeSearch:
    """The state of a search of shapes: the scores so far, and how long each structure is trained."""

    def __init__(self, search: Search, space: ShapeSpace, rule: Rule) -> None:
        self.search, self.space, self.rule = search, space, rule
        self.scores = Scores()
        self.lengths = dict.fromkeys(space.structures, space.epochs)

    def run(self) -> Proof:
        """Train block after block until a shape is shown to be good enough or the budget ends."""
        search, space, scores = self.search, self.space, self.scores
        hand_designed, config = search.hand_designed, search.config
        # Without proof, nothing ends a search before its budget.
        proving = config.prefer if config.prefer is Preference.ACCURACY else Preference.SHOWN
        search.allowed = space.allowed(space.epochs)
        running: Sequence[DilationStructure] = space.structures[1:]
        first: tuple[EvaluationTask, ...] = ()
        verdict = None
        for block in range(MOST_BLOCKS):
            chosen = self.affordable([hand_designed, *running], block)
            if len(chosen) < 2:
                break
            found = self.train(chosen, block)
            if block == 0:
                search.require_one(found)
                first = tuple(one.evaluation.task for one in found)
                latest = {one.structure: one.fitness for one in found if not one.failed}
                verdict = nothing_learnt(list((latest | self.extend()).values()))
            search.close_generation(ranked(found))
            if verdict is not None or hand_designed not in scores.curves:
                break
            known = [one for one in space.structures if one in scores.curves]
            estimate = self.estimate(scores.table(known, block + 1))
            costs = [space.cost(one) for one in known]
            if pick(estimate, costs, config.margin, proving):
                break
            # The structures to prove next: likely to be good enough, and worth it by their cost.
            worth = {
                one: chance * (1.25 - cost)
                for one, chance, cost in zip(
                    known[1:], estimate.chance_above(-config.margin)[1:], costs[1:], strict=True
                )
                if chance >= HOPELESS
            }
            running = sorted(worth, key=lambda one: -worth[one])[:FOCUS]
        return self.proof(first, verdict)

    def affordable(self, wanted: Sequence[DilationStructure], block: int) -> list[DilationStructure]:
        """Return as many structures of a block as there is budget for, in order."""
        search = self.search
        if search.allowed is None:
            return list(wanted)
        left = search.allowed - search.budget.spent
        limit = min(left, COARSE * search.allowed) if block == 0 else left
        chosen: list[DilationStructure] = []
        for structure in wanted:
            task = self.space.task(structure, search.seed, block, self.lengths[structure])
            cost = search.budget.cost(task)
            left, limit = left - cost, limit - cost
            # The coarse look needs one structure beside the hand-designed one, whatever its share.
            if left < 0 or (limit < 0 and len(chosen) >= 2):
                break
            chosen.append(structure)
        return chosen

    def train(self, chosen: Sequence[DilationStructure], block: int) -> tuple[Candidate, ...]:
        """Train structures in a block for their lengths, and keep their curves."""
        search = self.search
        found = search.evaluate(
            (
                self.space.task(one, search.seed, block, self.lengths[one]),
                Origin.HAND_DESIGNED if one == search.hand_designed else Origin.SHAPE,
            )
            for one in chosen
        )
        for candidate in found:
            curve = candidate.evaluation.curve
            if not candidate.failed:
                values = [
                    metric_value(dict(zip(curve, epoch, strict=True)), search.config.fitness)
                    for epoch in zip(*curve.values(), strict=True)
                ]
                self.scores.add(candidate.structure, block, values)
        return found

    def extend(self) -> dict[DilationStructure, float]:
        """Train on what still rises or is at the floor in the first block, half a training at a time.

        Returns the fitness of what was trained on, which ends when the budget does.
        """
        search, space, scores, lengths = self.search, self.space, self.scores, self.lengths
        step, fitness = max(1, space.epochs // 2), dict[DilationStructure, float]()
        while True:
            rising = [one for one in scores.curves if scores.rising(one) and lengths[one] < space.max_epochs]
            rising += [one for one in scores.at_floor if lengths[one] < space.max_epochs]
            longer = {one: min(space.max_epochs, lengths[one] + step) for one in rising}
            cost = sum(search.budget.cost(space.task(one, search.seed, 0, longer[one])) for one in rising)
            # A full training takes longer, too, so the same number of trainings allows more.
            full = (lengths | longer)[search.hand_designed]
            allowed = space.allowed(full)
            if not rising or (allowed is not None and search.budget.spent + cost > allowed):
                return fitness
            search.allowed, search.planned = allowed, space.planned(full)
            search.full_steps = space.full_training(full)
            lengths.update(longer)
            fitness |= {one.structure: one.fitness for one in self.train(rising, 0) if not one.failed}

    def estimate(self, table: NDArray[np.float64]) -> Estimate:
        """Return the differences; a block without the hand-designed structure compares nothing with it."""
        used = np.flatnonzero(np.isfinite(table[0]))
        return self.rule(table[:, used], [int(block) % self.space.rotations for block in used])

    def proof(self, first: tuple[EvaluationTask, ...], verdict: str | None) -> Proof:
        """Return what is known of every structure, and the one to ship."""
        search, space, scores, config = self.search, self.space, self.scores, self.search.config
        failed = search.hand_designed not in scores.curves
        if failed:  # or stayed at the floor; it counts as 0, at its usual length
            scores.curves[search.hand_designed] = {0: np.arange(1 - space.epochs, 1) / space.epochs}
        known = [one for one in space.structures if one in scores.curves]
        table = scores.table(known, 1 + max(max(curves) for curves in scores.curves.values()))
        estimate = self.estimate(table)
        low, high = estimate.interval()
        shown = estimate.shown_above(-config.margin)
        rows = tuple(
            Row(
                structure=one,
                name=space.names[one],
                cost=space.cost(one),
                multiply_adds=space.multiply_adds[one],
                epochs=scores.length(one),
                steps=space.steps(space.task(one, search.seed, epochs=scores.length(one))),
                rising=scores.rising(one),
                fitness=float(np.nanmean(table[number])),
                difference=float(estimate.mean[number]),
                low=float(low[number]),
                high=float(high[number]),
                blocks=int(estimate.blocks[number]),
                shown=bool(shown[number]),
            )
            for number, one in enumerate(known)
        )
        chosen = 0 if verdict else pick(estimate, [row.cost for row in rows], config.margin, config.prefer)
        reason = verdict or _reason(rows, chosen, config.margin, config.prefer)
        if failed and verdict is None:
            chosen = max(range(len(rows)), key=lambda number: rows[number].fitness)
            best = f"; {rows[chosen].name} is the best of the others" if chosen else ""
            reason = (
                f"The hand-designed structure failed or learnt nothing in {space.epochs} epochs, so it "
                f"compares with nothing{best}. Train longer for a comparison."
            )
        return Proof(
            winner=rows[chosen],
            rows=rows,
            curves=tuple(tuple(scores.curve(one).tolist()) for one in known),
            tasks=first,
            verdict=verdict,
            reason=reason,
        )


def _reason(rows: Sequence[Row], chosen: int, margin: float, prefer: Preference) -> str:
    row = rows[chosen]
    if chosen == 0:
        what = "better" if prefer is Preference.ACCURACY else f"within {margin:g} points"
        reason = f"No other structure is shown to be {what}, so the hand-designed one is kept."
        cheaper = [one for one in rows[1:] if one.cost < 1]
        if cheaper:
            best = max(cheaper, key=lambda one: one.low)
            worse = max(0.0, -best.low)
            reason += (
                f" Closest: {best.name} at {best.cost:.2f} × the cost, at most {worse:.1f} points worse."
            )
        return reason
    facts = (
        f"{row.name} costs {row.cost:.2f} × the multiply-adds, difference {row.difference:+.1f} points "
        f"(at least {row.low:+.1f})"
    )
    if row.low > 0:
        return f"{facts}: shown to be better."
    if row.shown:
        return f"{facts}: shown to be no more than {margin:g} points worse."
    return f"{facts}: estimated within {margin:g} points, as --prefer cheapest asks, but not shown."
