"""The global search as a stage: data goes in, a coarse structure comes out, and what it is worth."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import Any

from g2l.config import Selection
from g2l.datasets.dataset import SegmentationDataset
from g2l.evaluation import Evaluation
from g2l.metrics.comparison import Comparison
from g2l.metrics.scores import metric_value
from g2l.pipeline.candidate_log import CandidateLog
from g2l.pipeline.candidates import (
    TRAININGS,
    GlobalSearchTask,
    bytes_of_weights,
    candidate_fitness,
    full_steps,
    identity,
    make_executor,
    search_in_steps,
    seconds_per_step,
)
from g2l.pipeline.contest import differences
from g2l.pipeline.records import describe_data
from g2l.pipeline.search_outcome import GlobalSearchOutcome
from g2l.pipeline.search_record import record_result
from g2l.pipeline.stage import Stage, Workplace, open_stage
from g2l.pipeline.standings import leaders_of
from g2l.pipeline.train import Training, train
from g2l.search.budget import CostPlan, plan_search
from g2l.search.events import SearchObserver
from g2l.search.journal import Journal
from g2l.search.loop import GlobalSearchResult, run_global_search
from g2l.search.space import SearchSpace
from g2l.search.store import EvaluationStore
from g2l.structure import DilationStructure
from g2l.structure_files import read_structure, write_structure
from g2l.tracking.protocol import RunKind

STRUCTURE = "structure.json"
JOURNAL = "journal.jsonl"


def search_globally(
    place: Workplace,
    task: GlobalSearchTask,
    *,
    on_plan: Callable[[CostPlan], None],
    observers: Sequence[SearchObserver] = (),
) -> GlobalSearchOutcome:
    """Search coarse rates (G2L, section 3.2).

    Args:
        place: Where it runs.
        task: What is searched.
        on_plan: Told what the search will cost before it starts.
        observers: Told of every evaluation and generation, beside the tracked run.

    Raises:
        InputError: Data or settings are wrong.
        OperationalError: No candidate could be trained.
    """
    task.validate()
    dataset = SegmentationDataset.open(task.data)
    check_plan(task, dataset)
    with open_stage(place, RunKind.SEARCH_GLOBAL, "search-global", task.settings()) as stage:
        found = stage.result or _search(stage, task, dataset, on_plan, observers)
        structure = read_structure(stage.folder / STRUCTURE).structure
        return GlobalSearchOutcome.from_result(structure, found, stage.run.run_id)


def plan(task: GlobalSearchTask, device: str) -> CostPlan:
    """Return what a search would cost, without starting it; nothing is written.

    Args:
        task: What would be searched.
        device: `auto`, `cpu` or `cuda`, where the time of a step is measured.

    Raises:
        InputError: Data or settings are wrong.
    """
    task.validate()
    dataset = SegmentationDataset.open(task.data)
    check_plan(task, dataset)
    fitness = candidate_fitness(task, device, folder=None)
    return plan_search(
        search_in_steps(task, dataset),
        search_space(task, dataset),
        full_steps=full_steps(task, dataset),
        seconds_per_step=seconds_per_step(fitness, task.backbone.hand_designed(), task.seed),
        bytes_per_checkpoint=bytes_of_weights(task, dataset),
    )


def check_plan(task: GlobalSearchTask, dataset: SegmentationDataset) -> None:
    """Raise what would refuse a search, before anything is measured or written.

    Raises:
        InputError: Its limits allow no structure, or leave nothing to search with.
    """
    space = search_space(task, dataset)
    plan_search(search_in_steps(task, dataset), space, full_steps=full_steps(task, dataset))


def search_space(task: GlobalSearchTask, dataset: SegmentationDataset) -> SearchSpace:
    """Return the structures that are allowed: powers of two, shorter than the longest training video."""
    longest = dataset.longest(dataset.partitions(Selection.BEST).train)
    return SearchSpace.powers_of_two(
        task.backbone.topology,
        max_exponent=task.search.max_exponent,
        longest=longest,
        max_receptive_field=task.search.max_receptive_field,
        max_look_ahead=task.search.max_look_ahead,
    )


def _search(
    stage: Stage,
    task: GlobalSearchTask,
    dataset: SegmentationDataset,
    on_plan: Callable[[CostPlan], None],
    observers: Sequence[SearchObserver],
) -> dict[str, Any]:
    describe_data(stage, dataset, dataset.partitions(Selection.BEST))
    on_plan(plan(task, stage.place.device))
    space = search_space(task, dataset)
    log = CandidateLog(
        stage, keep=task.search.candidate_checkpoints, metric=task.search.fitness, topology=space.topology
    )
    result = _run(stage, task, dataset, space, (log, *observers))
    provenance = {"search": "global", "data": dataset.fingerprint, "seed": task.seed}
    scores = {
        "fitness": _score(result.best, task),
        "hand_designed_fitness": _score(result.hand_designed, task),
    }
    write_structure(
        stage.folder / STRUCTURE,
        result.winner,
        backbone=task.backbone.name,
        causal=task.backbone.causal,
        provenance=provenance | scores | {"steps": result.steps},
    )
    compared, final_steps = _compare(stage, task, space, result.winner)
    leaders, reason = leaders_of(result, task.search.fitness)
    found = scores | {
        "evaluations": log.evaluations,
        "steps": result.steps,
        "final_steps": final_steps,
        "full_steps": full_steps(task, dataset),
        "hand_designed": result.hand_designed.structure.as_lists(),
        "seconds": log.seconds,
        "proxy_steps": result.proxy,
        "leaders": [leader.as_dict(space.topology) for leader in leaders],
        "reason": reason,
        "differences": {metric: difference.as_dict() for metric, difference in compared.items()},
    }
    for name in (STRUCTURE, JOURNAL):
        stage.run.log_artifact(stage.folder / name)
    record_result(
        stage.run,
        result,
        fitness=task.search.fitness,
        found=found,
        compared=compared,
        topology=space.topology,
    )
    shutil.rmtree(stage.folder / TRAININGS, ignore_errors=True)
    stage.finish(found)
    return found


def _run(
    stage: Stage,
    task: GlobalSearchTask,
    dataset: SegmentationDataset,
    space: SearchSpace,
    observers: Sequence[SearchObserver],
) -> GlobalSearchResult:
    depends_on = identity(task, dataset)
    shared = stage.place.evaluations
    journal = Journal(stage.folder / JOURNAL, resume=stage.place.resume, identity=depends_on)
    fitness = candidate_fitness(task, stage.place.device, folder=stage.folder)
    with journal, make_executor(task.search, fitness) as executor:
        return run_global_search(
            space,
            search_in_steps(task, dataset),
            executor,
            seed=task.seed,
            hand_designed=task.backbone.hand_designed(),
            full_steps=full_steps(task, dataset),
            journal=journal,
            store=None if shared is None else EvaluationStore(shared, depends_on),
            observers=observers,
            progress=stage.place.progress,
        )


def _compare(
    stage: Stage, task: GlobalSearchTask, space: SearchSpace, winner: DilationStructure
) -> tuple[dict[str, Comparison], int]:
    """Train the winner and the hand-designed structure in full, under the same seeds, and score on test."""
    hand_designed = task.backbone.hand_designed()
    if winner in (hand_designed, space.project(hand_designed)) or not task.search.final_seeds:
        return {}, 0
    seeds = range(task.seed, task.seed + task.search.final_seeds)
    contenders = [
        train(
            stage.below(f"final-{origin}"),
            Training(
                data=task.data,
                backbone=task.backbone,
                recipe=task.recipe,
                structure=structure,
                origin=origin,
            ),
            seeds,
        )
        for origin, structure in (("winner", winner), ("hand-designed", hand_designed))
    ]
    steps = sum(seed.steps for contender in contenders for seed in contender.seeds)
    return differences(*contenders), steps


def _score(evaluation: Evaluation, task: GlobalSearchTask) -> float:
    """Return the fitness, 0 for a structure that could not be trained."""
    return metric_value(evaluation.metrics, task.search.fitness) if evaluation.metrics else 0.0
