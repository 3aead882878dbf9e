"""What a search would have answered after so many steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.search_efficiency.records import Record
from g2l.structure import DilationStructure

DECIDED = ("leader", "winner")
"""Kinds of events in which a strategy names its answer."""


def incumbents(events: Sequence[Record]) -> Iterator[tuple[int, DilationStructure]]:
    """Yield the steps spent at each change of mind, ascending, and the structure from there on.

    The incumbent is the leader that the strategy itself has named last, or a structure that has scored
    better since in a training that was no shorter. Scores of inherited weights name nobody: the strategies
    that use them let trainings from scratch decide.

    Args:
        events: Of one search, in their order.
    """
    incumbent: Record | None = None
    for event in events:
        named = event["kind"] in DECIDED or incumbent is None or _beats(event, incumbent)
        if event["inherited"] or not named:
            continue
        if incumbent is None or event["structure"] != incumbent["structure"]:
            yield event["steps"], DilationStructure(tuple(map(tuple, event["structure"])))
        incumbent = event


def incumbent_at(events: Sequence[Record], steps: int, before: DilationStructure) -> DilationStructure:
    """Return the incumbent once `steps` are spent.

    Args:
        events: Of one search, in their order.
        steps: Optimiser steps.
        before: What one answers without any score: the hand-designed structure.
    """
    answer = before
    for spent, structure in incumbents(events):
        if spent > steps:
            break
        answer = structure
    return answer


def _beats(event: Record, incumbent: Record) -> bool:
    comparable = event["kind"] == "evaluation" and event["seed"] == incumbent["seed"]
    return bool(
        comparable and event["budget"] >= incumbent["budget"] and event["fitness"] > incumbent["fitness"]
    )
