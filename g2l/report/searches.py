"""From the folders of searches to their facts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from g2l.figures.results import HoldoutCurve
from g2l.figures.search import Scored
from g2l.metrics.scores import metric_value
from g2l.records import JOURNAL, RESULT, RUN, UPDATES, LayerUpdate, RunRecord, named, read_updates
from g2l.report.checks import (
    LARGEST,
    MOST_RATE,
    Json,
    as_list,
    as_object,
    as_rate,
    as_structure,
    build,
    optional,
    percent,
    real,
    whole,
)
from g2l.report.facts import (
    ContextFacts,
    GlobalFacts,
    GlobalResult,
    LeaderFacts,
    LocalFacts,
    ShapeFacts,
)
from g2l.report.words import NAMES
from g2l.search.journal import JournalContent, read_journal
from g2l.structure import DilationStructure

STRUCTURE = "structure.json"
CONTEXT_METRICS = ("f1", "edit", "accuracy")


def read_global_search(folder: Path, record: RunRecord) -> GlobalFacts:
    """Read a global search, finished or not."""
    path = folder / JOURNAL
    content = read_journal(path) if path.is_file() else JournalContent()
    result = optional(folder / RESULT)
    with named(folder / RUN):
        settings = record.settings
        search = as_object(settings.get("search") or settings["global_search"], "search")
        fitness, strategy = str(search["fitness"]), str(search.get("strategy", "genetic"))
        if fitness not in NAMES:
            raise ValueError(f"expected `fitness` to be one of {', '.join(NAMES)}, found {fitness!r}")
        seed = whole(settings["seed"], "seed")
    with named(path):
        header = as_object((content.header or {}).get("settings", {}), "settings")
        hand_designed = as_structure(header.get("hand_designed") or [[1]])
        seed = whole(header.get("seed", seed), "seed")  # that of the trainings
        scores = tuple(_scores(content, fitness, seed))
    with named(folder / RESULT):
        outcome = _global_result(result) if result else None
        hand_designed = as_structure(result["hand_designed"]) if result else hand_designed
        shapes = tuple(map(_shape, as_list(result.get("shapes", []), "shapes")))
    with named(path):
        curves = _shape_curves(content, fitness, shapes)
    return GlobalFacts(
        strategy=strategy,
        fitness=fitness,
        winner=_structure_file(folder),
        hand_designed=hand_designed,
        scores=scores,
        result=outcome,
        shapes=shapes,
        curves=curves,
    )


def _shape(value: Any) -> ShapeFacts:
    row = as_object(value, "shapes")
    points = {name: real(row[name], name, -100, 100) for name in ("difference", "low", "high")}
    return ShapeFacts(
        structure=as_structure(row["structure"]),
        name=str(row["name"]),
        cost=real(row["cost"], "cost", 0, LARGEST),
        multiply_adds=whole(row["multiply_adds"], "multiply_adds", 1),
        blocks=whole(row["blocks"], "blocks"),
        shown=bool(row["shown"]),
        **points,
    )


def _scores(content: JournalContent, fitness: str, seed: int) -> Iterator[Scored]:
    """Yield the scores with what had been spent, as the search itself has charged for them."""
    spent = 0
    for evaluation, _ in content.evaluations.values():
        spent += content.steps[evaluation.task]
        score = metric_value(evaluation.metrics, fitness) if evaluation.metrics else None
        known = None if score is None else percent(score, fitness)
        yield Scored(whole(spent, "steps"), known, evaluation.seed != seed)


def _shape_curves(
    content: JournalContent, fitness: str, shapes: Sequence[ShapeFacts]
) -> dict[str, HoldoutCurve]:
    """Return the mean hold-out curve of each shape; of a training that was extended, the longer one."""
    names = {shape.structure: shape.name for shape in shapes}
    found: dict[str, dict[object, list[float]]] = {}
    for evaluation, _ in content.evaluations.values():
        epochs = [
            dict(zip(evaluation.curve, values, strict=True))
            for values in zip(*evaluation.curve.values(), strict=True)
        ]
        if epochs:
            curve = [percent(metric_value(one, fitness), fitness) for one in epochs]
            name = names.get(evaluation.structure, evaluation.structure.key)
            trainings = found.setdefault(name, {})
            key = evaluation.seed, evaluation.holdouts
            trainings[key] = max(trainings.get(key, []), curve, key=len)
    return {name: HoldoutCurve.of(list(trainings.values())) for name, trainings in found.items()}


def _global_result(value: Json) -> GlobalResult:
    leaders = [as_object(leader, "leaders") for leader in as_list(value["leaders"], "leaders")]
    return build(
        GlobalResult,
        value,
        full_steps=whole(value["full_steps"], "full_steps", 1),
        seconds=real(value["seconds"], "seconds", 0, LARGEST),
        leaders=tuple(build(LeaderFacts, one, structure=as_structure(one["structure"])) for one in leaders),
        reason=str(value.get("reason", "")),
    )


def read_local_search(folder: Path, record: RunRecord) -> LocalFacts:
    """Read a local search, finished or not."""
    result = optional(folder / RESULT)
    with named(folder / RUN):
        start = as_structure(record.settings["structure"])
    path = folder / (UPDATES if (folder / UPDATES).exists() else JOURNAL)
    updates = read_updates(folder)
    with named(path):
        for update in updates:
            if update.layers.keys() != updates[0].layers.keys():
                raise ValueError("expected the same `layers` in every line")
            for layer in update.layers.values():
                _check(layer)
    with named(folder / RESULT):
        steps = whole(result["steps"], "steps") if result else None
    return LocalFacts(start=start, found=_structure_file(folder), updates=tuple(updates), steps=steps)


def _check(layer: LayerUpdate) -> None:
    for rate in (layer.rate_before, layer.rate_after, *layer.branches):
        as_rate(rate)
    for weight in layer.weights:
        real(weight, "weights", 0, 1 + 1e-6)
    real(layer.expectation, "expectation", 0, MOST_RATE)
    if not layer.branches or len(layer.branches) != len(layer.weights):
        raise ValueError("expected a weight for each of `branches`")


def read_context(folder: Path) -> ContextFacts | None:
    """Read a measurement of context; None while it runs."""
    value = optional(folder / RESULT)
    if not value:
        return None
    with named(folder / RESULT):
        frames = tuple(whole(one, "frames", 1) for one in as_list(value["frames"], "frames"))
        scores = {
            name: tuple(percent(one, name) for one in as_list(value[name], name)) for name in CONTEXT_METRICS
        }
        if not frames or {len(frames)} != {len(one) for one in scores.values()}:
            raise ValueError("expected a score of every metric for each of `frames`")
        return ContextFacts(
            frames=frames,
            scores=scores,
            error=real(value["error"], "error", 0, 1000),
            needed=whole(value["needed"], "needed", 0, len(frames) - 1),
            words=str(value["words"]),
        )


def _structure_file(folder: Path) -> DilationStructure | None:
    value = optional(folder / STRUCTURE)
    with named(folder / STRUCTURE):
        return as_structure(value["stages"]) if value else None
