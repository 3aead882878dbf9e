"""The global search over whole structures (G2L, section 3.2): propose, evaluate, record, decide.

`proposals` proposes and decides who stays, `Search.evaluate` evaluates and records. Of rates, `race` decides
who wins; of shapes, `proposals.shapes`.

Where we deviate from the released code (METHOD, section 3, "What we fix"): the fitness is measured on a
hold-out (1, by the fitness); roulette (2) and mutation (3), in `proposals.rates`; sampling (3), in `space`;
one fitness everywhere (4), in `candidates`; parents are evaluated before the first selection, no pair is
skipped, no structure is trained twice (5), in `proposals.rates` and here; sequences keep their length (6,
by the fitness); seed, resume, and failures that end nothing (7), in `journal` and `executors`. Beyond that,
the hand-designed structure is evaluated first, and it wins all ties.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from g2l.evaluation import Evaluation
from g2l.search.budget import allowed_steps
from g2l.search.candidates import Candidate, GenerationSummary, nothing_learnt, ranked
from g2l.search.engine import Search
from g2l.search.proposals.rates import STRATEGIES
from g2l.search.proposals.shapes import Proof, search_shapes
from g2l.search.race import Race, run_race
from g2l.search.shapes import ShapeSpace
from g2l.structure import DilationStructure


@dataclass(frozen=True, kw_only=True)
class GlobalSearchResult:
    """The outcome of a search.

    Attributes:
        winner: The structure to ship; the hand-designed one where nothing was learnt.
        epochs: How long to train it, or None for as long as the recipe says.
        best: The score by which the strategy ranked the winner.
        hand_designed: The 2^l structure (projected onto a space of rates) by the same budget and seed.
        population: The last population, best first.
        generations: One summary per generation, first population included.
        evaluations: Candidates trained; `cache_hits` proposals needed no training.
        steps: Optimiser steps that it spent, those of other runs' results included; of shapes, those of the
            hand-designed structure that cost as much. Likewise `full_steps` of one full training, None when
            unknown, and `proxy` of one candidate.
        verdict: Why nothing was learnt, in one sentence; None where something was.
    """

    winner: DilationStructure
    epochs: int | None
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
    proof: Proof | None
    verdict: str | None


def run_global_search(search: Search) -> GlobalSearchResult:
    """Run a search.

    The result is a function of its space, settings, seed, hand-designed structure, length of a full training
    and the scores alone: neither the executor, nor the order of completion, nor an interruption and resume
    change it.

    Raises:
        InputError: The settings leave too little for a search, or the journal is of another one.
        OperationalError: None of the first candidates could be trained, or a file cannot be written.
    """
    first, proof, race = search.first_task, None, None
    if isinstance(search.space, ShapeSpace):
        then_rates = search.space.rates is not None
        proof = search_shapes(search, search.space)
        population = ranked(search.known[one] for one in proof.tasks)
        winner, verdict = proof.winner.structure, proof.verdict
        best = next(one for one in population if one.structure == winner)
        if then_rates and verdict is None:
            proof, race = _go_on_with_rates(search, proof)
            winner = proof.winner.structure
    else:
        search.allowed = allowed_steps(search.config, search.proxy, search.full_steps)
        winner, population, race, verdict = _search_rates(search)
        best = next((one for one in population if one.structure == winner), search.first)
    search.end(winner)
    return GlobalSearchResult(
        winner=winner,
        epochs=None if proof is None else proof.winner.epochs,
        best=best.evaluation,
        hand_designed=search.known[first].evaluation,
        population=tuple(member.evaluation for member in population),
        generations=tuple(search.generations),
        evaluations=search.evaluations - search.cache_hits,
        cache_hits=sum(summary.cache_hits for summary in search.generations),
        steps=search.budget.spent,
        full_steps=search.full_steps,
        proxy=search.proxy,
        race=race,
        proof=proof,
        verdict=verdict,
    )


def _search_rates(
    search: Search,
) -> tuple[DilationStructure, tuple[Candidate, ...], Race | None, str | None]:
    """Return the winner of a search of rates, its last population, its race, and why nothing was learnt."""
    population = STRATEGIES[search.config.strategy](search)
    search.allowed = None  # the race has been set aside
    verdict = nothing_learnt(search.scores())
    race = run_race(search, population) if search.config.leaders and verdict is None else None
    winner = race.winner.structure if race else population[0].structure
    if search.first.failed:
        verdict = verdict and f"{verdict} The hand-designed structure could not be trained at all."
    elif verdict is not None:
        winner = search.hand_designed
    return winner, population, race, verdict


def _go_on_with_rates(search: Search, proof: Proof) -> tuple[Proof, Race | None]:
    """Search the rates of the shape that was picked; return what is known of the shapes and of them."""
    start = proof.winner
    if not search.go_on_with_rates(start.structure, start.epochs):
        kept = "The budget left does not pay for a search of its rates."
        return replace(proof, reason=f"{proof.reason} {kept}"), None
    winner, population, race, verdict = _search_rates(search)
    if winner == start.structure or search.first.failed:
        kept = verdict or "No other rates are shown to be better than its own."
        return replace(proof, reason=f"{proof.reason} {kept}"), race
    if race is None:
        fitness = population[0].fitness
        return proof.with_rates(winner, fitness, fitness - search.first.fitness, None), None
    difference = race.difference or 0.0
    return proof.with_rates(winner, race.winner.mean, difference, race.standard_error), race
