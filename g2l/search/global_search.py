"""The genetic search over whole structures (G2L, section 3.2).

Where we deviate from the released code (METHOD, section 3, "What we fix"): the fitness is measured on a
hold-out (1, the fitness sees to it); roulette (2, `selection`); mutation and sampling (3, `mutation`,
`space`); one fitness everywhere (4, `population`); parents are evaluated before the first selection, no
pair is skipped, no structure is trained twice (5, `breeding`, `evaluator`); sequences keep their length
(6, the fitness sees to it); seed, resume, and failures that end nothing (7, `journal`, `executors`).
Beyond that, the hand-designed structure is in the first population: the result never scores below it.
"""

from __future__ import annotations

from collections.abc import Sequence

from g2l.config import GlobalSearchConfig
from g2l.progress import Progress
from g2l.search.evaluator import SearchObserver
from g2l.search.executors.contract import Executor
from g2l.search.journal import Journal
from g2l.search.population import ranked
from g2l.search.result import GlobalSearchResult
from g2l.search.session import SearchSession
from g2l.search.space import SearchSpace
from g2l.search.store import EvaluationStore
from g2l.search.survival import survivors, within_margin
from g2l.structure import DilationStructure


def run_global_search(
    space: SearchSpace,
    config: GlobalSearchConfig,
    executor: Executor,
    *,
    seed: int,
    hand_designed: DilationStructure,
    journal: Journal | None = None,
    store: EvaluationStore | None = None,
    observers: Sequence[SearchObserver] = (),
    progress: Progress | None = None,
) -> GlobalSearchResult:
    """Search the space.

    The result is a function of `space`, `config`, `seed`, `hand_designed` and the scores alone: neither
    the executor, nor the order of completion, nor an interruption and resume change it.

    Args:
        space: Allowed structures.
        config: Population, generations, budget of a candidate, fitness and chances.
        executor: Trains the candidates; entered and left by the caller.
        seed: Seed of the search and of every training in it, >= 0.
        hand_designed: Structure that the first population holds; projected onto the space.
        journal: Record to write and to resume from, or None.
        store: Evaluations shared across runs, or None.
        observers: Told of every evaluation and generation.
        progress: Draws bars, or None.

    Raises:
        InputError: The settings are out of range, or the journal is damaged or of another search.
        OperationalError: None of the first population could be trained, or a file cannot be written.
    """
    session = SearchSession(
        space,
        config,
        executor,
        kind="genetic",
        seed=seed,
        hand_designed=hand_designed,
        journal=journal,
        store=store,
        observers=observers,
        progress=progress,
    )
    with session.progress.task("global search", config.generations + 1) as bar:
        population = ranked(session.evaluate_first(config.population))
        session.close_generation(population)
        bar.advance()
        for generation in range(1, config.generations + 1):
            offspring = session.evaluate(session.breeder().offspring(population, config))
            population = survivors((*population, *offspring), config.population)
            if generation < config.generations:  # newcomers are there to be parents of the next one
                strong = within_margin(population, config.survival_margin)
                newcomers = session.breeder().random(len(population) - len(strong))
                population = ranked((*strong, *session.evaluate(newcomers)))
            session.close_generation(population)
            bar.advance()
    return session.finish(population)
