"""The global search as a stage: data goes in, a coarse structure comes out, and what it is worth."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from g2l.config import Budget, GlobalSearchConfig, Selection, Space
from g2l.datasets.dataset import SegmentationDataset
from g2l.errors import InputError
from g2l.evaluation import Evaluation
from g2l.export.onnx_export import latency
from g2l.figures.results import Costed, HoldoutCurve, front, holdout_curves
from g2l.figures.search import fitness_over_generations
from g2l.metrics.comparison import Comparison
from g2l.metrics.scores import metric_value
from g2l.models.size import multiply_adds_per_frame
from g2l.pipeline.candidates import (
    TRAININGS,
    CandidateWeights,
    GlobalSearchTask,
    StatusLog,
    bytes_of_weights,
    candidate_fitness,
    identity,
    make_executor,
    seconds_per_step,
    steps_per_epoch,
)
from g2l.pipeline.contest import difference_metrics, differences
from g2l.pipeline.context import RunContext
from g2l.pipeline.data import DataSets, describe_data
from g2l.pipeline.fitting import Training
from g2l.pipeline.search_outcome import (
    GlobalSearchOutcome,
    leaders_of,
    race_columns,
    race_leaders,
    reason_of,
    shape_columns,
)
from g2l.pipeline.train import train
from g2l.records import RunKind, write_result, write_table
from g2l.search.budget import CostPlan, plan_search
from g2l.search.candidates import SearchObserver
from g2l.search.engine import Search
from g2l.search.journal import EvaluationStore, Journal
from g2l.search.loop import GlobalSearchResult, run_global_search
from g2l.search.proposals.shapes import Proof, plan_shapes
from g2l.search.shapes import Shape, ShapeSpace, canonical_shapes, holdout_share
from g2l.search.space import SearchSpace, check_limits
from g2l.seeds import SeedPlan
from g2l.structure import DilationStructure
from g2l.structure_files import write_structure

STRUCTURE = "structure.json"
JOURNAL = "journal.jsonl"


@dataclass(frozen=True, kw_only=True)
class PreparedSearch:
    """A search that has been validated against its data.

    `config` has the candidates' budget in optimiser steps, as `full_steps` of one full training. `space`
    holds shapes, or powers of two, both shorter than the longest training video.
    """

    task: GlobalSearchTask
    dataset: SegmentationDataset
    config: GlobalSearchConfig
    space: SearchSpace | ShapeSpace
    full_steps: int


def prepare_search(data: DataSets, task: GlobalSearchTask) -> PreparedSearch:
    """Validate a search before anything is measured or written.

    Raises:
        InputError: Data or settings are wrong, limits allow no structure, or leave nothing to search with.
    """
    for config in (task.backbone, task.recipe, task.search):
        config.validate()
    shape = task.backbone.hand_designed().shape
    check_limits(task.search, task.backbone, shape)
    dataset = data.open(task.data)
    task = replace(task, data=dataset.config)  # with the facts of the data set
    rates = SearchSpace.powers_of_two(
        task.backbone.topology,
        shape,
        max_exponent=task.search.max_exponent,
        longest=dataset.longest(dataset.partitions(Selection.BEST).train),
        max_receptive_field=task.search.max_receptive_field,
        max_look_ahead=task.search.max_look_ahead,
    )
    search, budget = task.search, task.search.budget
    if budget.unit == "epochs":
        search = search.replace(budget=Budget(budget.amount * steps_per_epoch(task, dataset), "steps"))
    full = task.recipe.epochs * steps_per_epoch(task, dataset, whole=True)
    space = rates if search.space is Space.RATES else shape_space(task, dataset, rates, full)
    prepared = PreparedSearch(task=task, dataset=dataset, config=search, space=space, full_steps=full)
    _plan(prepared)
    return prepared


def shape_space(
    task: GlobalSearchTask, dataset: SegmentationDataset, rates: SearchSpace, full: int
) -> ShapeSpace:
    """Return the shapes that are compared: those asked for or the canonical ones, within the limits.

    Args:
        task: What is searched.
        dataset: Its data.
        rates: The space of the hand-designed shape, which holds what the limits and the videos allow.
        full: Optimiser steps of a training of the hand-designed structure on all of train.

    Raises:
        InputError: A shape cannot be read, none keeps to the limits, or the size of the network is unknown.
    """
    backbone, search, epochs = task.backbone, task.search, task.recipe.epochs
    limit = backbone.topology.largest_span(search.max_receptive_field, search.max_look_ahead)
    hand_designed = backbone.hand_designed()
    if limit is not None and backbone.topology.span(hand_designed) > limit:
        hand_designed = rates.project(hand_designed)
    partitions = dataset.partitions(Selection.BEST)
    largest = max(1, dataset.longest(partitions.train) - 1)
    shapes = [Shape.parse(text) for text in search.shapes] or canonical_shapes(
        backbone.stages, backbone.layers
    )
    names = {hand_designed: f"{backbone.stages}×{backbone.layers} (hand-designed)"}
    for shape in shapes:
        structure = shape.structure(largest=largest, dual=backbone.topology.parallel > 1)
        if limit is None or backbone.topology.span(structure) <= limit:
            names.setdefault(structure, str(shape))
    if len(names) < 2:
        raise InputError(
            f"expected a shape to compare with {backbone.stages}×{backbone.layers} layers, but "
            f"{'none of them keeps to the limits' if shapes else 'there is no smaller one'}.",
            hint="give other --shapes, or search the rates of the layers with --space rates.",
        )
    return ShapeSpace(
        names=names,
        multiply_adds={
            one: multiply_adds_per_frame(
                backbone, one, feature_dim=dataset.feature_dim, num_classes=len(dataset.mapping.names)
            )
            for one in names
        },
        epochs=epochs,
        max_epochs=max(epochs, search.max_epochs or 2 * epochs),
        full_steps=full,
        share=holdout_share(
            [dataset.num_frames(name) for name in partitions.train],
            [dataset.num_frames(name) for name in partitions.holdout],
        ),
        rotations=dataset.rotations,
        trainings=search.trainings,
        rates=rates if search.space is Space.BOTH else None,
    )


def plan(search: PreparedSearch, device: str) -> CostPlan:
    """Return what a search would cost, after training one candidate for a few steps; nothing is written."""
    task = search.task
    fitness = candidate_fitness(task, search.dataset, device, folder=None)
    return _plan(
        search,
        seconds_per_step=seconds_per_step(fitness, task.backbone.hand_designed(), SeedPlan(task.seed).search),
        bytes_per_checkpoint=bytes_of_weights(task, search.dataset),
    )


def _plan(search: PreparedSearch, **measured: Any) -> CostPlan:
    if isinstance(search.space, ShapeSpace):
        return plan_shapes(search.config, search.space, **measured)
    return plan_search(search.config, search.space, full_steps=search.full_steps, **measured)


def search_globally(context: RunContext, search: PreparedSearch, folder: str = "") -> GlobalSearchOutcome:
    """Search shapes, or coarse rates (G2L, section 3.2).

    Raises:
        InputError: Data or settings have changed since the search was started.
        OperationalError: No candidate could be trained.
    """
    task, dataset = search.task, search.dataset
    with context.stage(RunKind.SEARCH_GLOBAL, "search-global", task.settings(), folder) as stage:
        describe_data(stage.folder, dataset, dataset.partitions(Selection.BEST), resume=stage.resume)
        result = stage.result or _search(stage, search)
        return GlobalSearchOutcome.from_result(result, stage.run_id)


def search_fold(context: RunContext, task: GlobalSearchTask, folder: str) -> GlobalSearchOutcome:
    """Search in one of several folds, or once for all of them; see `search_globally`."""
    return search_globally(context, prepare_search(context.data, task), folder)


def _search(stage: RunContext, search: PreparedSearch) -> Mapping[str, Any]:
    task = search.task
    if stage.on_plan is not None:
        stage.on_plan(plan(search, stage.device))
    weights = CandidateWeights(stage.folder, task.search.candidate_checkpoints)
    found = _run(stage, search, (weights, StatusLog(stage.folder), *stage.observers))
    if found.proof is not None:
        found = replace(found, proof=_timed(search, found.proof))
    scores = {
        "fitness": _score(found.best, task),
        "hand_designed_fitness": _score(found.hand_designed, task),
    }
    provenance = {"search": "global", **search.dataset.provenance, "seed": task.seed}
    write_structure(
        stage.folder / STRUCTURE,
        found.winner,
        backbone=task.backbone.name,
        causal=task.backbone.causal,
        provenance=provenance | scores | {"steps": found.steps},
    )
    compared, final_steps = _compare(stage, search, found.winner)
    leaders, reason = leaders_of(found, task.search.fitness), reason_of(found)
    result = scores | {
        "structure": found.winner.as_lists(),
        "epochs": found.epochs,
        "hand_designed": found.hand_designed.structure.as_lists(),
        "evaluations": weights.evaluations,
        "steps": found.steps,
        "final_steps": final_steps,
        "full_steps": found.full_steps,
        "seconds": weights.seconds,
        "proxy_steps": found.proxy,
        "frame_rate": search.dataset.fps and search.dataset.fps / search.dataset.sample_rate,
        "leaders": [leader.as_dict(task.backbone.topology) for leader in leaders],
        "shapes": [] if found.proof is None else [row.as_dict() for row in found.proof.rows],
        "reason": reason,
        "differences": {metric: difference.as_dict() for metric, difference in compared.items()},
    }
    if found.race is not None:
        columns = race_columns(race_leaders(found), found.hand_designed.structure, task.backbone.topology)
        write_table(stage.folder, "race", columns)
    if found.proof is not None:
        write_table(stage.folder, "shapes", shape_columns(found.proof, task.backbone.topology))
        _draw_shapes(stage, found.proof, task.search.fitness)
    else:
        best, mean = ([getattr(one, name) for one in found.generations] for name in ("best", "mean"))
        hand_designed, fitness = scores["hand_designed_fitness"], task.search.fitness
        stage.draw("fitness", fitness_over_generations(best, mean, hand_designed, fitness))
    shutil.rmtree(stage.folder / TRAININGS, ignore_errors=True)
    numbers = {name: float(value) for name, value in result.items() if isinstance(value, int | float)}
    kept = found.winner == found.hand_designed.structure
    tags = {"g2l.winner": "hand-designed" if kept else "searched", "g2l.reason_of_winner": reason}
    tags |= {f"g2l.difference.{metric}": difference.words() for metric, difference in compared.items()}
    write_result(
        stage.folder, result, (STRUCTURE,), metrics=numbers | difference_metrics(compared), tags=tags
    )
    return result


def _timed(search: PreparedSearch, proof: Proof) -> Proof:
    """Return the same with the latency of the winner, the hand-designed structure and those on the front."""
    dataset = search.dataset
    few = {proof.winner.structure, proof.rows[0].structure, *(row.structure for row in proof.front)}
    rows = tuple(
        replace(
            row,
            latency=latency(
                search.task.backbone,
                row.structure,
                feature_dim=dataset.feature_dim,
                num_classes=len(dataset.mapping.names),
            ),
        )
        if row.structure in few
        else row
        for row in proof.rows
    )
    return replace(proof, rows=rows)


def _draw_shapes(stage: RunContext, proof: Proof, fitness: str) -> None:
    points = [
        Costed(
            name=row.name, multiply_adds=row.multiply_adds, score=row.difference, low=row.low, high=row.high
        )
        for row in proof.rows
    ]
    best = [row.name for row in proof.front]
    stage.draw("front", front(points, best, proof.winner.name, fitness))
    curves = {
        row.name: HoldoutCurve(curve, row.epochs, row.rising)
        for row, curve in zip(proof.rows, proof.curves, strict=True)
        if curve
    }
    if curves:
        stage.draw("curves", holdout_curves(curves, fitness))


def _run(
    stage: RunContext, search: PreparedSearch, observers: Sequence[SearchObserver]
) -> GlobalSearchResult:
    task, depends_on = search.task, identity(search.task, search.dataset)
    journal = Journal(stage.folder / JOURNAL, resume=stage.resume, identity=depends_on)
    fitness = candidate_fitness(task, search.dataset, stage.device, folder=stage.folder)
    with journal, make_executor(task.search, fitness) as executor:
        return run_global_search(
            Search(
                search.space,
                search.config,
                executor,
                seed=SeedPlan(task.seed).search,
                hand_designed=task.backbone.hand_designed(),
                full_steps=search.full_steps,
                journal=journal,
                store=None if stage.evaluations is None else EvaluationStore(stage.evaluations, depends_on),
                observers=observers,
                progress=stage.progress,
            )
        )


def _compare(
    stage: RunContext, search: PreparedSearch, winner: DilationStructure
) -> tuple[dict[str, Comparison], int]:
    """Train the winner and the hand-designed structure under the same seeds, and score them on test.

    For all epochs on all of train, which is what the cost of the search contains.
    """
    task = search.task
    recipe = task.recipe.replace(selection=Selection.LAST) if task.recipe.refit else task.recipe
    hand_designed = task.backbone.hand_designed()
    space = search.space
    limited = space.structures[0] if isinstance(space, ShapeSpace) else space.project(hand_designed)
    if winner in (hand_designed, limited) or not task.search.final_seeds:
        return {}, 0
    training = Training(
        data=task.data, backbone=task.backbone, recipe=recipe, structure=winner, origin="winner"
    )
    baseline = replace(training, structure=hand_designed, origin="hand-designed")
    ours, theirs = (
        train(stage, one, task.seed, task.search.final_seeds, folder=f"final-{one.origin}")
        for one in (training, baseline)
    )
    found = differences({task.data.split: (ours, theirs)}, task.data.group_pattern)
    return found, ours.steps + theirs.steps


def _score(evaluation: Evaluation, task: GlobalSearchTask) -> float:
    """Return the fitness, 0 for a structure that could not be trained."""
    return metric_value(evaluation.metrics, task.search.fitness) if evaluation.metrics else 0.0
