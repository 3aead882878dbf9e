"""Random search at equal budget: the yardstick of the genetic one."""

from __future__ import annotations

from collections.abc import Sequence

from g2l.config import GlobalSearchConfig
from g2l.errors import InputError
from g2l.progress import Progress
from g2l.search.evaluator import SearchObserver
from g2l.search.executors.contract import Executor
from g2l.search.journal import Journal
from g2l.search.population import ranked
from g2l.search.result import GlobalSearchResult
from g2l.search.session import SearchSession
from g2l.search.space import SearchSpace
from g2l.search.store import EvaluationStore
from g2l.search.survival import survivors
from g2l.structure import DilationStructure


def run_random_search(
    space: SearchSpace,
    config: GlobalSearchConfig,
    executor: Executor,
    *,
    evaluations: int,
    seed: int,
    hand_designed: DilationStructure,
    journal: Journal | None = None,
    store: EvaluationStore | None = None,
    observers: Sequence[SearchObserver] = (),
    progress: Progress | None = None,
) -> GlobalSearchResult:
    """Evaluate the hand-designed structure and random ones, in batches of one population.

    Arguments and errors are those of `run_global_search`; of `config`, only the population, the budget
    and the fitness matter.

    Args:
        space: Allowed structures.
        config: Size of a batch, budget of a candidate, fitness.
        executor: Trains the candidates; entered and left by the caller.
        evaluations: Structures to evaluate in all, at least 1; fewer where the space is exhausted.
        seed: Seed of the search and of every training in it, >= 0.
        hand_designed: Structure that is evaluated first; projected onto the space.
        journal: Record to write and to resume from, or None.
        store: Evaluations shared across runs, or None.
        observers: Told of every evaluation and batch.
        progress: Draws bars, or None.

    Raises:
        InputError: The settings are out of range, or the journal is damaged or of another search.
        OperationalError: None of the first batch could be trained, or a file cannot be written.
    """
    if evaluations < 1:
        raise InputError(f"`evaluations` must be >= 1, but is {evaluations} instead.")
    session = SearchSession(
        space,
        config,
        executor,
        kind="random",
        seed=seed,
        hand_designed=hand_designed,
        journal=journal,
        store=store,
        observers=observers,
        progress=progress,
        extra={"evaluations": evaluations},
    )
    with session.progress.task("random search", evaluations) as bar:
        batch = session.evaluate_first(min(config.population, evaluations))
        population, total = ranked(batch), len(batch)
        while batch:
            session.close_generation(population)
            bar.advance(len(batch))
            batch = session.evaluate(session.breeder().random(min(config.population, evaluations - total)))
            population, total = survivors((*population, *batch), config.population), total + len(batch)
    return session.finish(population)
