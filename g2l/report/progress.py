"""How the searches and trainings went: candidates, shapes, context, epochs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from g2l.figures.results import Costed, context_curve, front, holdout_curves
from g2l.figures.search import best_so_far, fitness_over_budget
from g2l.report.answer import full_steps
from g2l.report.blocks import Block, Paragraph, Picture, Section, Table, of_each
from g2l.report.facts import GlobalFacts, RunFacts
from g2l.report.words import NAMES, count, counted, points


def context(runs: Sequence[RunFacts]) -> Section:
    """Return the section: scores against receptive field."""

    def build(number: int, run: RunFacts) -> list[Block]:
        found = run.context
        if found is None:
            return []
        table = Table(
            caption="Hold-out scores in percent",
            columns=("receptive field (frames)", *(NAMES.get(name, name) for name in found.scores)),
            rows=tuple(
                (count(field), *(points(values[place]) for values in found.scores.values()))
                for place, field in enumerate(found.frames)
            ),
            words=0,
        )
        draw = partial(
            context_curve,
            found.frames,
            {NAMES.get(name, name): values for name, values in found.scores.items()},
            error=found.error / 2**0.5,
            needed=found.needed,
            seconds_per_frame=run.seconds_per_frame,
        )
        caption = "Hold-out scores of networks that differ in receptive field"
        return [
            Picture(key=f"context-{number}", caption=caption, alternative=found.words, draw=draw, table=table)
        ]

    return Section("context", "Context", of_each(runs, build))


def shapes(runs: Sequence[RunFacts]) -> Section:
    """Return the section: hold-out score of each shape against its cost, with intervals."""

    def build(number: int, run: RunFacts) -> list[Block]:
        return [] if run.search is None or not run.search.shapes else [_front(run.search, f"shapes-{number}")]

    return Section("shapes", "Shapes", of_each(runs, build))


def _front(search: GlobalFacts, key: str) -> Picture:
    name, best, line = NAMES.get(search.fitness, search.fitness), float("-inf"), []
    for shape in sorted(search.shapes, key=lambda one: (one.cost, -one.difference)):
        if shape.difference > best:
            best = shape.difference
            line.append(shape.name)
    chosen = next((shape.name for shape in search.shapes if shape.structure == search.winner), "")
    table = Table(
        caption=f"Difference in {name} from the hand-designed structure, in points, with its 90 % interval",
        columns=("shape", "cost", "difference", "at least", "at most", "pairs", "within the margin"),
        rows=tuple(
            (
                shape.name,
                f"{shape.cost:.2f} ×",
                *(points(value, plus=True) for value in (shape.difference, shape.low, shape.high)),
                str(shape.blocks),
                "shown" if shape.shown else "–",
            )
            for shape in sorted(search.shapes, key=lambda one: one.cost)
        ),
    )
    drawn = [
        Costed(
            name=one.name, multiply_adds=one.multiply_adds, score=one.difference, low=one.low, high=one.high
        )
        for one in search.shapes
    ]
    return Picture(
        key=key,
        caption=f"Hold-out {name} against computation, with 90 % intervals",
        alternative="" if search.result is None else search.result.reason,
        draw=partial(front, drawn, line, chosen, name),
        table=table,
    )


def curves(runs: Sequence[RunFacts]) -> Section:
    """Return the section: hold-out scores over the epochs of searches and trainings."""

    def build(number: int, run: RunFacts) -> list[Block]:
        searched = {} if run.search is None else run.search.curves
        metric = "" if run.search is None else run.search.fitness
        found = (
            (f"curves-{number}", "Hold-out curves of the trainings", run.curves, run.monitor),
            (f"search-curves-{number}", "Hold-out curves of the search", searched, metric),
        )
        return [
            Picture(
                key=key,
                caption=f"{caption}: mean over trainings, smoothed",
                alternative=" ".join(f"{name}: {curve.words}." for name, curve in known.items()),
                draw=partial(holdout_curves, known, NAMES.get(by, by)),
            )
            for key, caption, known, by in found
            if known
        ]

    return Section("curves", "Training length", of_each(runs, build))


def fitness(runs: Sequence[RunFacts]) -> Section:
    """Return the section with one figure for each fitness that rates are searched by."""
    searched = [run for run in runs if run.search is not None and run.search.scores and not run.search.curves]
    blocks: list[Block] = []
    for name in dict.fromkeys(run.search.fitness for run in searched if run.search is not None):
        blocks += _by_fitness([run for run in searched if run.search and run.search.fitness == name], name)
    if searched and not any(run.search is not None and run.search.strategy == "random" for run in searched):
        blocks.append(Paragraph("For a baseline, add the run of a search with --strategy random."))
    return Section("fitness", "Fitness over budget", tuple(blocks))


def _by_fitness(runs: Sequence[RunFacts], name: str) -> list[Block]:
    called = NAMES.get(name, name)
    searches, sentences = {}, []
    for run in runs:
        assert run.search is not None
        full = full_steps(run) or run.search.scores[-1].spent or 1
        searches[run.label] = (run.search.strategy, run.search.scores, float(full))
        sentences.append(_sentence(run.label, run.search, full, called))
    known = [
        run.search.result.hand_designed_fitness
        for run in runs
        if run.search is not None and run.search.result is not None
    ]
    line = known[0] if len(set(known)) == 1 and len(known) == len(runs) else None
    return [
        Picture(
            key=f"budget-{name.replace('@', '-')}",
            caption=f"Hold-out {called} of the candidates over what was spent",
            alternative=" ".join(sentences),
            draw=partial(fitness_over_budget, searches, line, called),
        )
    ]


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
