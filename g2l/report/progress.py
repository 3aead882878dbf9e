"""How the global search went: fitness over budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from g2l.report.answer import full_steps
from g2l.report.blocks import Block, Paragraph, Picture, Section, Table
from g2l.report.facts import GlobalFacts, RunFacts
from g2l.report.figures import best_so_far, fitness_over_budget, markup
from g2l.report.words import NAMES, count, counted, points

RANDOM = "random"
_Item = TypeVar("_Item")
_ROWS = 40
"""Improvements and generations that a table shows at most, evenly spread."""


def fitness(runs: Sequence[RunFacts]) -> Section:
    """Return the section with one figure for each fitness that is searched by."""
    title = "Fitness over budget"
    searched = [run for run in runs if run.search is not None and run.search.scores]
    if not searched:
        return Section("fitness", title, (Paragraph("No global search in this run."),))
    blocks: list[Block] = []
    for name in dict.fromkeys(run.search.fitness for run in searched if run.search is not None):
        blocks += _by_fitness([run for run in searched if run.search and run.search.fitness == name], name)
    if not any(run.search is not None and run.search.strategy == RANDOM for run in searched):
        blocks.append(
            Paragraph(
                "There is no line of a random search here: give the run of a search with --strategy random "
                "as well, and it is drawn."
            )
        )
    return Section("fitness", title, tuple(blocks))


def _by_fitness(runs: Sequence[RunFacts], name: str) -> list[Block]:
    called = NAMES.get(name, name)
    searches, sentences, rows = {}, [], []
    for run in runs:
        assert run.search is not None
        full = full_steps(run) or run.search.scores[-1].spent or 1
        searches[run.label] = (run.search.strategy, run.search.scores, float(full))
        sentences.append(_sentence(run.label, run.search, full, called))
        spent, best = best_so_far(run.search.scores)
        rows += [
            (run.label, count(steps), f"{steps / full:.1f}", points(value))
            for steps, value in thinned(list(zip(spent, best, strict=True)))
        ]
    known = [
        run.search.result.hand_designed_fitness
        for run in runs
        if run.search is not None and run.search.result is not None
    ]
    line = known[0] if len(set(known)) == 1 and len(known) == len(runs) else None
    key, caption = (
        f"budget-{name.replace('@', '-')}",
        f"Hold-out {called} of the candidates over what was spent",
    )
    words = " ".join(sentences)

    def draw() -> str:
        return markup(fitness_over_budget(searches, line, called), key, caption, words)

    table = Table(
        caption=f"Whenever a candidate with a better {called} was found",
        columns=("run", "steps spent", "full trainings", "best so far"),
        rows=tuple(rows),
        folded=True,
    )
    table = table if len(runs) > 1 else replace(table.without_first(), words=0)
    return [Picture(caption=caption, alternative=words, draw=draw, table=table)]


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


def thinned(items: Sequence[_Item]) -> list[_Item]:
    """Return at most `_ROWS` of the items, evenly spread, the first and the last among them."""
    if len(items) <= _ROWS:
        return list(items)
    places = sorted({round(place * (len(items) - 1) / (_ROWS - 1)) for place in range(_ROWS)})
    return [items[place] for place in places]
