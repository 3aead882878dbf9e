"""What is recorded of a whole search once it is over: its race, its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from g2l.metrics.comparison import Comparison
from g2l.pipeline.contest import tracked_differences
from g2l.pipeline.figures import fitness_over_generations
from g2l.pipeline.records import receptive_field_columns
from g2l.search.loop import GlobalSearchResult
from g2l.search.race import RaceResult
from g2l.structure import DilationStructure, LayerTopology
from g2l.tracking.protocol import Run

RACE_TABLE = "race.json"


def record_result(
    run: Run,
    result: GlobalSearchResult,
    *,
    fitness: str,
    found: Mapping[str, Any],
    compared: Mapping[str, Comparison],
    topology: LayerTopology,
) -> None:
    """Record numbers, tables, tags and a figure of a finished search.

    Args:
        run: The run of the search.
        result: What it found.
        fitness: Name of the fitness.
        found: What the stage writes as its result.
        compared: Winner minus hand-designed after full trainings, by metric.
        topology: Of the network that was searched.
    """
    numbers = {name: float(value) for name, value in found.items() if isinstance(value, int | float)}
    run.log_metrics(numbers | tracked_differences(compared))
    hand_designed = result.hand_designed.structure
    run.set_tags(
        {"g2l.winner": "hand-designed" if result.winner == hand_designed else "searched"}
        | {"g2l.reason_of_winner": found["reason"]}
        | {f"g2l.difference.{metric}": difference.words() for metric, difference in compared.items()}
    )
    if result.race is not None:
        run.log_table(race_columns(result.race.results, hand_designed, topology), RACE_TABLE)
    best = [generation.best for generation in result.generations]
    mean = [generation.mean for generation in result.generations]
    figure = fitness_over_generations(best, mean, found["hand_designed_fitness"], fitness)
    run.log_figure(figure, "fitness.png")


def race_columns(
    results: Sequence[RaceResult], hand_designed: DilationStructure, topology: LayerTopology
) -> dict[str, list[Any]]:
    """Return the table of a race, best first."""
    return {
        "rank": list(range(1, len(results) + 1)),
        "structure": [one.structure.key for one in results],
        "hand_designed": [one.structure == hand_designed for one in results],
        **receptive_field_columns([one.structure for one in results], topology),
        "mean": [None if one.failed else one.mean for one in results],
        "standard_error": [one.standard_error for one in results],
        "seeds": [len(one.scores) for one in results],
    }
