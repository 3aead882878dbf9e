"""The Pareto front: fitness against what was minimised, or against the receptive field."""

from __future__ import annotations

import math
from collections.abc import Sequence

from g2l.report.blocks import Block, Heading, Paragraph, Picture, Section, Table
from g2l.report.figures import front
from g2l.report.model import RunFacts
from g2l.report.progress import NO_GLOBAL_SEARCH, thinned
from g2l.report.svg import markup
from g2l.report.words import NAMES, points
from g2l.structure import DilationStructure

_Row = tuple[float, float, bool, bool, str]
"""Cost, fitness, whether on the front, whether hand-designed, rates."""


def tradeoff(runs: Sequence[RunFacts]) -> Section:
    """Return the section."""
    blocks: list[Block] = []
    for number, run in enumerate(runs):
        rows = _minimized(run) or _receptive_fields(run)
        if not rows or run.search is None:
            continue
        if len(runs) > 1:
            blocks.append(Heading(run.label))
        if not _minimized(run):
            text = "Nothing was minimised beside the fitness (--minimize), so this is for orientation only."
            blocks.append(Paragraph(text))
        cost = run.search.result.get("minimized") or "receptive field (frames)"
        blocks.append(_picture(rows, run.search.fitness, cost, f"front-{number}"))
    return Section("front", "Pareto front", tuple(blocks) or (Paragraph(NO_GLOBAL_SEARCH),))


def _minimized(run: RunFacts) -> list[_Row]:
    rows = run.search.result.get("tradeoff", []) if run.search is not None else []
    return [
        (row["cost"], row["fitness"], row["on_front"], row["hand_designed"], row["structure"]) for row in rows
    ]


def _receptive_fields(run: RunFacts) -> list[_Row]:
    """Return the candidates with scores of their own by receptive field, the best score of each structure."""
    if run.search is None or run.topology is None:
        return []
    best: dict[DilationStructure, float] = {}
    for score in run.search.scores:
        if score.fitness is not None and not score.fresh and not score.shared:
            best[score.structure] = max(score.fitness, best.get(score.structure, score.fitness))
    fields = {structure: run.topology.receptive_field(structure).frames for structure in best}
    ordered = sorted(best, key=lambda structure: (fields[structure], -best[structure]))
    if not ordered:
        return []
    rows: list[_Row] = []
    leader = -math.inf
    for one in ordered:  # cheapest first, of the same cost the best first
        rows.append(
            (float(fields[one]), best[one], best[one] > leader, one == run.search.hand_designed, one.key)
        )
        leader = max(leader, best[one])
    return rows


def _picture(rows: Sequence[_Row], fitness: str, cost: str, key: str) -> Picture:
    name = NAMES.get(fitness, fitness)
    best = [row for row in rows if row[2]]
    words = (
        f"{len(rows)} structures, {len(best)} on the front: {best[0][0]:,.6g} with a {name} of "
        f"{points(best[0][1])}"
    )
    if len(best) > 1:
        words += f" to {best[-1][0]:,.6g} with {points(best[-1][1])}"
    words += f" ({cost})."
    caption = f"Hold-out {name} against {cost}"
    table = Table(
        caption="Structures on the front, cheapest first",
        columns=("structure", cost, name),
        rows=tuple((row[4], f"{row[0]:,.6g}", points(row[1])) for row in thinned(best)),
        folded=True,
    )

    def draw() -> str:
        return markup(front([row[:4] for row in rows], name, cost), key, caption, words)

    return Picture(caption=caption, alternative=words, draw=draw, table=table)
