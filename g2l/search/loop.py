"""The global search over whole structures (G2L, section 3.2): propose, evaluate, record, decide.

`proposals` proposes and decides who stays, `Search.evaluate` evaluates and records. Of rates, `race` decides
who wins; of shapes, `proposals.shapes`.

Where we deviate from the released code (METHOD, section 3, "What we fix"): the fitness is measured on a
hold-out (1, by the fitness); roulette (2) and mutation (3), in `proposals.genetic`; sampling (3), in `space`;
one fitness everywhere (4), in `candidates`; parents are evaluated before the first selection, no pair is
skipped, no structure is trained twice (5), in `proposals.genetic` and here; sequences keep their length (6,
by the fitness); seed, resume, and failures that end nothing (7), in `journal` and `executors`. Beyond that,
the hand-designed structure is evaluated first, and it wins all ties.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from g2l.config import GlobalSearchConfig, Strategy
from g2l.evaluation import Evaluation
from g2l.progress import Progress
from g2l.search.budget import allowed_steps
from g2l.search.candidates import Candidate, GenerationSummary, nothing_learnt, ranked
from g2l.search.engine import Search
from g2l.search.events import SearchObserver
from g2l.search.executors.contract import Executor
from g2l.search.journal import Journal
from g2l.search.proposals.genetic import search_genetically
from g2l.search.proposals.random import search_randomly
from g2l.search.proposals.shapes import Proof, search_shapes
from g2l.search.race import Race, run_race
from g2l.search.shapes import ShapeSpace
from g2l.search.space import SearchSpace
from g2l.search.store import EvaluationStore
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
        evaluations: Candidates trained.
        cache_hits: Proposals that needed no training.
        steps: Optimiser steps that it spent, those of other runs' results included; of shapes, those of the
            hand-designed structure that cost as much.
        full_steps: Optimiser steps of one full training, or None when unknown.
        proxy: Optimiser steps of one candidate.
        race: The race of the leaders, or None when there was none.
        proof: What is known of every shape, or None of a search of rates.
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


def run_global_search(
    space: SearchSpace | ShapeSpace,
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
        space: Allowed structures: rates of one network, or shapes.
        config: Strategy, budget of a candidate in steps, fitness and chances.
        executor: Trains the candidates; entered and left by the caller.
        seed: Seed of the search and of every training in it, >= 0.
        hand_designed: Structure that is evaluated first; projected onto a space of rates.
        full_steps: Optimiser steps of one final training; needed where the settings count in trainings.
        journal: Record to write and to resume from, or None.
        store: Evaluations shared across runs, or None.
        observers: Notified of every evaluation and generation.
        progress: Draws bars, or None.

    Raises:
        InputError: The settings are out of range, or the journal is damaged or of another search.
        OperationalError: None of the first candidates could be trained, or a file cannot be written.
    """
    search = Search(
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
    if isinstance(space, ShapeSpace):
        return _searched_shapes(search, space)
    search.allowed = allowed_steps(config, search.proxy, full_steps)
    population = STRATEGIES[config.strategy](search)
    search.allowed = None  # the race has been set aside
    verdict = nothing_learnt(search.scores())
    race = run_race(search, population) if config.leaders and verdict is None else None
    winner = race.choice.winner.structure if race else population[0].structure
    if verdict is not None:
        winner = search.hand_designed
    return _result(search, population, winner, race=race, verdict=verdict)


def _searched_shapes(search: Search, space: ShapeSpace) -> GlobalSearchResult:
    proof = search_shapes(search, space)
    members = (search.first, *(search.candidate(one) for one in proof.tasks[1:]))
    return _result(
        search,
        ranked(members),
        proof.winner.structure,
        epochs=proof.winner.epochs,
        proof=proof,
        verdict=proof.verdict,
    )


def _result(
    search: Search,
    population: tuple[Candidate, ...],
    winner: DilationStructure,
    *,
    epochs: int | None = None,
    race: Race | None = None,
    proof: Proof | None = None,
    verdict: str | None,
) -> GlobalSearchResult:
    search.end(winner)
    best = next((member for member in population if member.structure == winner), search.first)
    return GlobalSearchResult(
        winner=winner,
        epochs=epochs,
        best=best.evaluation,
        hand_designed=search.first.evaluation,
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


STRATEGIES: Mapping[Strategy, Callable[[Search], tuple[Candidate, ...]]] = {
    Strategy.RANDOM: search_randomly,
    Strategy.GENETIC: search_genetically,
}
