"""Scores of each class, and which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence

from g2l.report.blocks import Block, Heading, Matrix, Paragraph, Section, Table
from g2l.report.model import RunFacts
from g2l.report.stage_facts import PredictionFacts
from g2l.report.words import count, points


def classes(runs: Sequence[RunFacts]) -> Section:
    """Return the section, a sentence where no prediction was scored."""
    blocks: list[Block] = []
    for run in runs:
        if run.predictions is None or not run.predictions.per_class:
            continue
        if len(runs) > 1:
            blocks.append(Heading(run.label))
        blocks += [_table(run.predictions), _matrix(run.predictions)]
    predicted = any(run.predictions is not None for run in runs)
    reason = "no ground truth was given." if predicted else "nothing was predicted in this run."
    return Section("classes", "Classes", tuple(blocks) or (Paragraph(f"No scores of classes: {reason}"),))


def _table(found: PredictionFacts) -> Table:
    return Table(
        caption="Frame by frame, in percent; most frequent class first",
        columns=("class", "precision", "recall", "F1 score", "frames"),
        rows=tuple(
            (
                name + (" (background)" if name in found.background else ""),
                points(row["precision"]),
                points(row["recall"]),
                points(row["f1-score"]),
                count(row["support"]),
            )
            for name, row in sorted(found.per_class.items(), key=lambda item: -item[1]["support"])
        ),
    )


def _matrix(found: PredictionFacts) -> Matrix:
    caption = (
        "Confusion matrix: percent of the frames of each true class (row) that were given each class (column)"
    )
    return Matrix(caption=caption, names=found.classes, frames=found.confusion)
