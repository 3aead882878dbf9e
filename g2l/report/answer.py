"""The first section, which answers what the run is worth, and the section of what it cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from g2l.config import DataConfig
from g2l.errors import InputError
from g2l.figures.results import Costed, arrow
from g2l.metrics.comparison import Comparison, compare
from g2l.metrics.scores import MEAN_F1
from g2l.metrics.video_comparison import Training, compare_videos
from g2l.progress import duration
from g2l.report.blocks import Block, Picture, Table, Text, Warnings
from g2l.report.facts import HAND_DESIGNED, GlobalFacts, RunFacts, SeedFacts, TrainingFacts, one_run
from g2l.report.words import (
    METRICS,
    NAMES,
    count,
    counted,
    mean_of,
    metric,
    points,
    receptive_field,
    scores,
    shape_name,
    spread,
)
from g2l.settings import setting_fields

_COLUMNS = tuple(NAMES[name] for name in METRICS)
PAPER_STRUCTURES, PAPER_EPOCHS, PAPER_FULL_EPOCHS = 5_800, 33_000, 65
"""Structures and epochs of a search by the settings of G2L, and epochs of a full training (section 4.1 and
the released code: a population of 50, 100 generations, 5 epochs each; each tenth the best 8 for 50)."""
PAPER_TRAININGS = PAPER_EPOCHS / PAPER_FULL_EPOCHS
_POOLED = ("split", "fps")
"""Settings of the data that may differ between trainings that are compared as one."""


def result(runs: Sequence[RunFacts]) -> list[Block]:
    """Return the verdict, the way from hand-designed to shipped, and the table of test scores."""
    blocks: list[Block] = []
    if not (runs[0].differences and one_run(runs)):
        blocks = [Text(compared(*comparison), "lead") for comparison in across(runs)]
    details: list[Block] = []
    for number, run in enumerate(runs):
        shipped, _, why = run.reason.partition(". ")
        blocks += [Text(run.label, "heading")] if len(runs) > 1 else []
        blocks += [Text(f"{shipped.rstrip('.')}.", "lead")] if shipped else []
        blocks.append(Text(_verdict(run), "lead"))
        blocks += [Warnings([run.unfinished])] if run.unfinished else []
        blocks += _arrow(run, f"arrow-{number}")
        details += [Text(text) for text in (why, _seen(run)) if text]
        details += [
            Text(f"{run.subject}, {NAMES.get(name, name)}: {one.words()}.")
            for name, one in run.differences.items()
            if name != MEAN_F1
        ]
    leaders = [_leaders(run, run.search) for run in runs if run.search is not None and not run.search.shapes]
    return [*blocks, *_tables(runs), *details, *(table for table in leaders if table.rows)]


def _arrow(run: RunFacts, key: str) -> list[Block]:
    """Return the figure of test F1 against multiply-adds, where two structures were trained."""
    trained = [training for training in run.trainings if training.seeds]
    costs = [run.multiply_adds(training.structure) for training in trained]
    if len(trained) != 2 or None in costs:
        return []
    shipped = "" if not run.shipped else ", not shipped" if run.shipped == HAND_DESIGNED else ", shipped"
    means = [mean_of((seed.test for seed in training.seeds), MEAN_F1) or 0.0 for training in trained]
    ends, seeds = [], []
    for training, cost, mean, mark in zip(trained, costs, means, ("", shipped), strict=True):
        name = f"{training.origin} ({shape_name(training.structure)}{mark})"
        ends.append(Costed(name=name, multiply_adds=float(cost or 0), score=mean))
        found = [metric(seed.test, MEAN_F1) for seed in training.seeds]
        seeds += [replace(ends[-1], score=score) for score in found if score is not None]
    difference = run.differences.get(MEAN_F1)
    if difference is not None and difference.low is not None and difference.high is not None:
        ends[1] = replace(ends[1], low=means[0] + difference.low, high=means[0] + difference.high)
    times = ends[1].multiply_adds / ends[0].multiply_adds
    words = (
        f"From {points(means[0])} to {points(means[1])} in mean F1, at {times:.2f} × the multiply-adds. "
        "The bar is the interval of the difference; small dots are seeds."
    )
    draw = partial(arrow, ends[0], ends[1], "mean F1", seeds)
    caption = f"{run.subject}: test scores against computation"
    return [Picture(key=key, caption=caption, alternative=words, draw=draw)]


def compared(subject: str, ours: str, difference: Comparison) -> str:
    """Return a comparison with the hand-designed structure in mean F1 on the test videos as a sentence."""
    return (
        f"{ours}, compared with the hand-designed structure in mean F1 on the test videos of {subject}: "
        f"{difference.words()}."
    )


def _verdict(run: RunFacts) -> str:
    difference = run.differences.get(MEAN_F1)
    if difference is not None:
        ours = "Searched structure" if run.kind in ("pipeline", "folds") else "Winner of the search"
        return compared(run.subject, ours, difference)
    if run.search is not None and run.search.result is not None:
        found, name = run.search.result, NAMES[run.search.fitness]
        if run.search.shapes:
            return f"On the hold-outs of {run.subject}: {found.reason}"
        if run.search.winner == run.search.hand_designed:
            return f"No structure beat the hand-designed one on the hold-out of {run.subject}. {found.reason}"
        return (
            f"On the hold-out of {run.subject} the winner has a {name} of {points(found.fitness)}, the "
            f"hand-designed structure {points(found.hand_designed_fitness)} with the same budget and seed. "
            "The winner was selected by that score: only a full training shows what it is worth."
        )
    if run.context is not None:
        return run.context.words
    if run.local is not None:
        paths = run.local.paths.values()
        moved, updates = sum(path[-1] != path[0] for path in paths), counted(len(run.local.updates), "update")
        return f"In {updates} the local search moved {moved} of {len(paths)} rates."
    if run.kind == "folds":
        return f"The folds of {run.subject} and their means are below."
    for training in run.trainings:
        if training.seeds:
            tests = [seed.test for seed in training.seeds]
            seeds = counted(len(tests), "seed")
            if not any(tests):
                subject = f"{run.subject}, which has no test videos"
                return f"Trained on {subject}: {training.origin} structure, {seeds}."
            origin = training.origin if training.origin == HAND_DESIGNED else f"given ({training.origin})"
            mean, accuracy = _f1_and_accuracy(tests)
            return (
                f"On the test videos of {run.subject} the {origin} structure has a mean F1 of {mean} and an "
                f"accuracy of {accuracy} ({seeds})."
            )
    if run.predictions is None:
        return "No results yet."
    videos = len(run.predictions.videos)
    said = f"{counted(videos, 'video')} {'was' if videos == 1 else 'were'} predicted"
    if not run.predictions.metrics:
        return f"{said}; without ground truth there are no scores."
    mean, accuracy = _f1_and_accuracy([run.predictions.metrics])
    return f"{said}, with a mean F1 of {mean} and an accuracy of {accuracy}."


def _f1_and_accuracy(tests: Sequence[Mapping[str, float | None]]) -> tuple[str, str]:
    return points(mean_of(tests, MEAN_F1)), points(mean_of(tests, "accuracy"))


def _seen(run: RunFacts) -> str:
    """Return the receptive field of the structure, and what finding it cost."""
    topology = run.topology
    structures = [one for one in run.structures.values() if topology and topology.suits(one)]
    parts = []
    if topology is not None and structures:
        seen = [receptive_field(topology, structure, run.seconds_per_frame)[0] for structure in structures]
        if structures[-1] != structures[0]:
            parts.append(f"Receptive field: {seen[-1]}; of the hand-designed structure: {seen[0]}.")
        elif run.kind not in ("predict", "context"):
            parts.append(f"Receptive field: {seen[0]}.")
    if (trainings := full_trainings(run)) is not None:
        parts.append(f"The search cost as much as {trainings:.1f} full trainings.")
    return " ".join(parts)


def _tables(runs: Sequence[RunFacts]) -> list[Block]:
    """Return the test scores: means over seeds, of every seed, and means over splits."""
    trained = [(run, training) for run in runs for training in run.trainings if training.seeds]
    if not trained:
        return []
    means = Table(
        caption="Test scores in percent: mean ± standard deviation over the seeds",
        columns=("run", "structure", "shape", "multiply-adds", "seeds", *_COLUMNS),
        rows=[
            (
                run.label,
                training.origin,
                shape_name(training.structure),
                _times(run, training),
                str(len(training.seeds)),
                *spread(seed.test for seed in training.seeds),
            )
            for run, training in trained
        ],
        words=3,
    )
    each = Table(
        caption="Test scores of every split and seed in percent",
        columns=("run", "structure", "seed", *_COLUMNS),
        rows=[
            (run.label, training.origin, str(seed.seed), *scores(seed.test))
            for run, training in trained
            for seed in training.seeds
        ],
        words=2,
        folded=True,
    )
    splits = _over_splits(trained)
    return [
        *(table if len(runs) > 1 else table.without_first() for table in (means, each)),
        *([splits] if splits.rows else []),
    ]


def _times(run: RunFacts, training: TrainingFacts) -> str:
    """Return the multiply-adds of a structure against the hand-designed one."""
    cost = run.multiply_adds(training.structure)
    whole = None if run.backbone is None else run.multiply_adds(run.backbone.hand_designed())
    return f"{cost / whole:.2f} ×" if cost and whole else "–"


def _over_splits(trained: Sequence[tuple[RunFacts, TrainingFacts]]) -> Table:
    """Return means over the splits of a data set, each split with the same weight; empty of single splits."""
    groups: dict[tuple[str, str], dict[object, list[Mapping[str, float]]]] = {}
    for run, training in trained:
        # A pipeline that kept the hand-designed structure has trained it once, as the searched one too.
        kept = run.kind == "pipeline" and run.differences and len(run.trainings) == 1
        for origin in (training.origin, *(["searched"] if kept else [])):
            splits = groups.setdefault((run.dataset or run.label, origin), {})
            tests = [seed.test for seed in training.seeds if seed.test]
            if tests:
                splits.setdefault(run.split, []).extend(tests)
    return Table(
        caption="Means over splits in percent: of the seeds of each split first, then of the splits",
        columns=("data set", "structure", "splits", *_COLUMNS),
        rows=[
            (name, origin, str(len(splits)), *(points(_mean_of_splits(splits.values(), m)) for m in METRICS))
            for (name, origin), splits in groups.items()
            if len(splits) > 1
        ],
        words=2,
    )


def _mean_of_splits(splits: Iterable[Sequence[Mapping[str, float]]], name: str) -> float | None:
    return mean_of(({"mean": mean_of(tests, name)} for tests in splits), "mean")


def _leaders(run: RunFacts, search: GlobalFacts) -> Table:
    """Return the best structures of a search of rates with their hold-out fitness."""
    return Table(
        caption=f"Best structures of the global search by hold-out {NAMES[search.fitness]}, {run.label}",
        columns=("structure", "fitness", "standard error", "seeds", "steps", "receptive field"),
        rows=[
            (
                one.structure.key + (f" ({HAND_DESIGNED})" if one.structure == search.hand_designed else ""),
                points(one.fitness),
                points(one.standard_error),
                str(one.seeds),
                count(one.steps),
                count(run.topology.receptive_field(one.structure).frames)
                if run.topology is not None and run.topology.suits(one.structure)
                else "–",
            )
            for one in (search.result.leaders if search.result else ())
        ],
        folded=True,
    )


def across(runs: Sequence[RunFacts]) -> Iterator[tuple[str, str, Comparison]]:
    """Yield comparisons of trainings of different runs with the hand-designed structure.

    Runs with the same data set, network and recipe belong together. Splits that were trained with both are
    compared as one, over the seeds that both were trained with: by the scores of their test videos where all
    are known, else seed by seed.

    Yields:
        Data set and splits, name of the other structure, difference in mean F1.
    """
    groups: dict[tuple[str, str], dict[Training, tuple[RunFacts, SeedFacts]]] = {}
    for run in runs:
        for training in run.trainings:
            name = training.origin
            # The searched structures of a pipeline's splits are one method, whatever their rates.
            if name != HAND_DESIGNED and (name, run.kind) != ("searched", "pipeline"):
                name = f"{name} of “{run.label}”"
            known = groups.setdefault((_alike(run), name), {})
            for seed in training.seeds:
                if seed.test:
                    known.setdefault((str(run.split), seed.seed), (run, seed))
    for (alike, name), ours in groups.items():
        theirs = groups.get((alike, HAND_DESIGNED), {})
        common = [key for key in ours if key in theirs]
        # Within one run there is a comparison already.
        if ours is theirs or len({id(side[key][0]) for key in common for side in (ours, theirs)}) < 2:
            continue
        splits = sorted({str(split) for split, _ in common})
        subject = f"{ours[common[0]][0].dataset} split{'s' if len(splits) > 1 else ''} {', '.join(splits)}"
        sides = ({key: side[key][1] for key in common} for side in (ours, theirs))
        yield subject, f"Structure {name}", _difference(*sides)


def _difference(ours: Mapping[Training, SeedFacts], theirs: Mapping[Training, SeedFacts]) -> Comparison:
    if all(seed.videos for side in (ours, theirs) for seed in side.values()):
        try:
            return compare_videos(
                *({key: one.videos for key, one in side.items()} for side in (ours, theirs))
            )
        except InputError:  # other test videos: only whole trainings can be compared
            pass
    return compare(*([metric(side[key].test, MEAN_F1) or 0.0 for key in ours] for side in (ours, theirs)))


def _alike(run: RunFacts) -> str:
    """Return what two trainings must share to be compared; where data lies and is cached does not matter."""
    data: Any = run.settings.get("data") or {}
    known = setting_fields(DataConfig)
    deciding = {
        name: one
        for name, one in data.items()
        if name not in _POOLED and (name not in known or known[name].changes_result)
    }
    return repr((sorted(deciding.items()), run.settings.get("backbone"), run.settings.get("recipe")))


def cost(runs: Sequence[RunFacts]) -> list[Block]:
    """Return what was spent on searches."""
    rows: list[tuple[str, ...]] = []
    sentences: list[Block] = []
    for run in runs:
        full, total, steps = full_steps(run), full_trainings(run), search_steps(run)
        search = run.search and run.search.result
        for name, spent in steps.items():
            first = search if name == "global search" else None
            done, seconds = (count(first.evaluations), duration(first.seconds)) if first else ("", "")
            rows.append(
                (run.label, name, done, count(spent), f"{spent / full:.1f}" if full else "–", seconds)
            )
        if total is not None:
            rows.append((run.label, "total", "", count(sum(steps.values())), f"{total:.1f}", ""))
            sentences.append(Text(_against_paper(run.label if len(runs) > 1 else "The search", total)))
    if not rows:
        return []
    paper = "G2L's settings"
    rows.append((paper, paper, count(PAPER_STRUCTURES), "", f"{PAPER_TRAININGS:.0f}", ""))
    table = Table(
        caption="Cost of the searches; a full training is one training of one structure by the same recipe",
        columns=("run", "part", "trainings of candidates", "steps", "full trainings", "time"),
        rows=rows,
        words=2,
    )
    return [*sentences, table if len(runs) > 1 else table.without_first()]


def full_steps(run: RunFacts) -> int | None:
    """Return the optimiser steps of one full training, or None where that is not known."""
    if run.search is not None and run.search.result is not None:
        return run.search.result.full_steps
    return next((training.seeds[0].steps for training in run.trainings if training.seeds), None)


def search_steps(run: RunFacts) -> dict[str, int]:
    """Return the optimiser steps of each search that has finished, by its name."""
    found = run.search and run.search.result
    steps = {
        "global search": found.steps if found else None,
        "final comparison": found.final_steps if found else None,
        "local search": run.local.steps if run.local else None,
    }
    return {name: number for name, number in steps.items() if number}


def full_trainings(run: RunFacts) -> float | None:
    """Return what the searches of a run cost in full trainings, or None where it is not known."""
    full, steps = full_steps(run), sum(search_steps(run).values())
    return steps / full if full and steps else None


def _against_paper(name: str, total: float) -> str:
    ratio = PAPER_TRAININGS / total
    times = "about" if 0.7 < ratio < 1.5 else f"{ratio:.0f} times" if ratio >= 10 else f"{ratio:.1f} times"
    return (
        f"{name} cost as much as {total:.1f} full trainings; with the settings of G2L (about "
        f"{PAPER_STRUCTURES:,} structures and {PAPER_EPOCHS:,} epochs a split) it is about "
        f"{PAPER_TRAININGS:.0f} ({times} as much)."
    )
