"""What a search cost, against a full training and against the paper."""

from __future__ import annotations

from collections.abc import Sequence

from g2l.report.blocks import Block, Paragraph, Section, Table
from g2l.report.model import RunFacts
from g2l.report.words import count, duration

PAPER_STRUCTURES, PAPER_EPOCHS, PAPER_FULL_EPOCHS = 5_800, 33_000, 65
"""Structures and epochs of a search by the settings of G2L, and epochs of a full training (section 4.1 and
the released code: a population of 50, 100 generations, 5 epochs each; each tenth the best 8 for 50)."""
PAPER_TRAININGS = PAPER_EPOCHS / PAPER_FULL_EPOCHS


def full_steps(run: RunFacts) -> int | None:
    """Return the optimiser steps of one full training, or None where that is not known."""
    if run.search is not None and run.search.result:
        return int(run.search.result["full_steps"])
    return next((training.seeds[0].steps for training in run.trainings if training.seeds), None)


def search_steps(run: RunFacts) -> dict[str, int]:
    """Return the optimiser steps of each search that has finished, by what it is called."""
    steps: dict[str, int] = {}
    if run.search is not None and run.search.result:
        steps["global search"] = int(run.search.result["steps"])
        if run.search.result["final_steps"]:
            steps["final comparison"] = int(run.search.result["final_steps"])
    if run.local is not None and run.local.steps:
        steps["local search"] = run.local.steps
    return steps


def full_trainings(run: RunFacts) -> float | None:
    """Return what the searches of a run cost in full trainings, or None where there is none to tell."""
    full, steps = full_steps(run), search_steps(run)
    return sum(steps.values()) / full if full and steps else None


def cost(runs: Sequence[RunFacts]) -> Section:
    """Return the section, a sentence where nothing was searched."""
    rows, sentences = [], []
    for run in runs:
        full, total = full_steps(run), full_trainings(run)
        for name, steps in search_steps(run).items():
            rows.append(_row(run.label, name, steps, full, run))
        if total is not None:
            rows.append(
                (run.label, "all of it", "", count(sum(search_steps(run).values())), f"{total:.1f}", "")
            )
            sentences.append(_against_paper(run.label if len(runs) > 1 else "The search", total))
    if not rows:
        return Section("cost", "What it cost", (Paragraph("Nothing was searched in full in this run."),))
    rows.append(
        ("G2L's settings", "G2L's settings", count(PAPER_STRUCTURES), "", f"{PAPER_TRAININGS:.0f}", "")
    )
    table = Table(
        caption="Cost of the searches; a full training is one training of one structure by the same recipe",
        columns=("run", "part", "trainings of candidates", "steps", "full trainings", "time"),
        rows=tuple(rows),
        words=2,
    )
    if len(runs) == 1:
        table = table.without_first()
    blocks: list[Block] = [*map(Paragraph, sentences), table]
    return Section("cost", "What it cost", tuple(blocks))


def _row(label: str, name: str, steps: int, full: int | None, run: RunFacts) -> tuple[str, ...]:
    evaluations = seconds = ""
    if name == "global search" and run.search is not None:
        evaluations = count(run.search.result["evaluations"])
        seconds = duration(run.search.result["seconds"])
    return (label, name, evaluations, count(steps), f"{steps / full:.1f}" if full else "–", seconds)


def _against_paper(name: str, total: float) -> str:
    return (
        f"{name} cost as much as {total:.1f} full trainings; by the settings of G2L (about "
        f"{PAPER_STRUCTURES:,} structures and {PAPER_EPOCHS:,} epochs a split) it is some "
        f"{PAPER_TRAININGS:.0f} ({_times(PAPER_TRAININGS / total)} as much)."
    )


def _times(ratio: float) -> str:
    return "about" if 0.7 < ratio < 1.5 else f"{ratio:.0f} times" if ratio >= 10 else f"{ratio:.1f} times"
