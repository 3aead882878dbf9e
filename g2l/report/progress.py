"""How the searches and trainings went: candidates, shapes, context, epochs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from g2l.figures.results import Costed, context_curve, front, holdout_curves
from g2l.figures.search import best_so_far, fitness_over_budget
from g2l.report.answer import full_steps
from g2l.report.blocks import Block, Picture, Table, Text, of_each
from g2l.report.facts import GlobalFacts, RunFacts
from g2l.report.words import NAMES, count, counted, points


@of_each
def context(number: int, run: RunFacts) -> list[Block]:
    """Return scores against receptive field."""
    found = run.context
    if found is None:
        return []
    scores = {NAMES[name]: values for name, values in found.scores.items()}
    table = Table(
        caption="Hold-out scores in percent",
        columns=("receptive field (frames)", *scores),
        rows=[
            (count(frames), *map(points, row))
            for frames, *row in zip(found.frames, *scores.values(), strict=True)
        ],
        words=0,
    )
    draw = partial(
        context_curve,
        found.frames,
        scores,
        error=found.error / 2**0.5,
        needed=found.needed,
        seconds_per_frame=run.seconds_per_frame,
    )
    caption = "Hold-out scores of networks that differ in receptive field"
    key = f"context-{number}"
    return [Picture(key=key, caption=caption, alternative=found.words, draw=draw, table=table)]


@of_each
def shapes(number: int, run: RunFacts) -> list[Block]:
    """Return the hold-out score of each shape against its cost, with intervals."""
    search = run.search
    if search is None or search.result is None or not search.shapes:
        return []
    name, line, best = NAMES[search.fitness], [], float("-inf")
    for shape in sorted(search.shapes, key=lambda one: (one.cost, -one.difference)):
        if shape.difference > best:
            best = shape.difference
            line.append(shape.name)
    chosen = next((shape.name for shape in search.shapes if shape.structure == search.winner), "")
    table = Table(
        caption=f"Difference in {name} from the hand-designed structure, in points, with its 90 % interval",
        columns=("shape", "cost", "difference", "at least", "at most", "pairs", "within the margin"),
        rows=[
            (
                shape.name,
                f"{shape.cost:.2f} ×",
                *(points(value, plus=True) for value in (shape.difference, shape.low, shape.high)),
                str(shape.blocks),
                "shown" if shape.shown else "–",
            )
            for shape in sorted(search.shapes, key=lambda one: one.cost)
        ],
    )
    drawn = [Costed(one.name, one.multiply_adds, one.difference, one.low, one.high) for one in search.shapes]
    return [
        Picture(
            key=f"shapes-{number}",
            caption=f"Hold-out {name} against computation, with 90 % intervals",
            alternative=search.result.reason,
            draw=partial(front, drawn, line, chosen, name),
            table=table,
        )
    ]


@of_each
def curves(number: int, run: RunFacts) -> list[Block]:
    """Return hold-out scores over the epochs of searches and trainings."""
    found = [(f"curves-{number}", "trainings", run.curves, run.monitor)]
    if run.search is not None:
        found.append((f"search-curves-{number}", "search", run.search.curves, run.search.fitness))
    return [
        Picture(
            key=key,
            caption=f"Hold-out curves of the {what}: mean over trainings, smoothed",
            alternative=" ".join(f"{name}: {curve.words}." for name, curve in known.items()),
            draw=partial(holdout_curves, known, NAMES[metric]),
        )
        for key, what, known, metric in found
        if known
    ]


def fitness(runs: Sequence[RunFacts]) -> list[Block]:
    """Return one figure for each fitness that rates are searched by."""
    groups: dict[str, list[tuple[RunFacts, GlobalFacts]]] = {}
    for run in runs:
        if run.search is not None and run.search.scores and not run.search.curves:
            groups.setdefault(run.search.fitness, []).append((run, run.search))
    blocks: list[Block] = [_by_fitness(group, name) for name, group in groups.items()]
    strategies = {search.strategy for group in groups.values() for _, search in group}
    if strategies and "random" not in strategies:
        blocks.append(Text("For a baseline, add the run of a search with --strategy random."))
    return blocks


def _by_fitness(group: Sequence[tuple[RunFacts, GlobalFacts]], name: str) -> Picture:
    searches, sentences, known = {}, [], []
    for run, search in group:
        full = full_steps(run) or search.scores[-1].spent or 1
        searches[run.label] = (search.strategy, search.scores, float(full))
        sentences.append(_sentence(run.label, search, full, NAMES[name]))
        known.append(search.result.hand_designed_fitness if search.result else None)
    return Picture(
        key=f"budget-{name.replace('@', '-')}",
        caption=f"Hold-out {NAMES[name]} of the candidates over what was spent",
        alternative=" ".join(sentences),
        draw=partial(fitness_over_budget, searches, known[0] if len(set(known)) == 1 else None, NAMES[name]),
    )


def _sentence(label: str, search: GlobalFacts, full: float, name: str) -> str:
    spent, best = best_so_far(search.scores)
    failed = sum(score.fitness is None for score in search.scores)
    scores = f"{label} ({search.strategy}): {counted(len(search.scores), 'score')}"
    if failed:
        scores += f", {count(failed)} of them failed"
    if not spent:
        return f"{scores}; none trained with weights of its own."
    return (
        f"{scores}; the best {name} rose from {points(best[0])} to {points(best[-1])}, which was known after "
        f"{spent[-1] / full:.1f} of {search.scores[-1].spent / full:.1f} full trainings."
    )
