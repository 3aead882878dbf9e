"""The whole report: its sections in their order."""

from __future__ import annotations

from collections.abc import Sequence

from g2l.report.blocks import Report
from g2l.report.classes import classes
from g2l.report.contest import contest
from g2l.report.cost import cost
from g2l.report.found import found
from g2l.report.model import RunFacts
from g2l.report.origin import data, reproduce
from g2l.report.progress import fitness, generations
from g2l.report.strips import strips
from g2l.report.structures import paths, structure

SECTIONS = (
    found,
    contest,
    cost,
    fitness,
    generations,
    structure,
    paths,
    classes,
    strips,
    data,
    reproduce,
)


def build_report(runs: Sequence[RunFacts]) -> Report:
    """Return what is told of one run, or of several side by side.

    Args:
        runs: At least one, with labels that differ.
    """
    title = runs[0].subject if len(runs) == 1 else f"{len(runs)} runs compared"
    subtitle = ", ".join(run.label for run in runs)
    return Report(f"G2L: {title}", subtitle, tuple(section(runs) for section in SECTIONS))
