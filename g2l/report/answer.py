"""The first section, which answers what the run is worth, and the section of what it cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from g2l.config import DataConfig
from g2l.errors import InputError
from g2l.figures.results import Costed, arrow
from g2l.metrics.comparison import Comparison, compare
from g2l.metrics.scores import MEAN_F1
from g2l.metrics.video_comparison import Training, Trainings, compare_videos
from g2l.progress import duration
from g2l.report.blocks import Block, Heading, Paragraph, Picture, Section, Table, Warnings
from g2l.report.facts import HAND_DESIGNED, LocalFacts, RunFacts, SeedFacts, TrainingFacts, one_run
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


def result(runs: Sequence[RunFacts]) -> Section:
    """Return the section: the verdict, the way from hand-designed to shipped, the table of test scores."""
    several = len(runs) > 1
    blocks: list[Block] = [
        Paragraph(compared(subject, difference, ours), lead=True)
        for subject, ours, difference in (() if runs[0].differences and one_run(runs) else across(runs))
    ]
    details: list[Block] = []
    for number, run in enumerate(runs):
        blocks += [Heading(run.label)] if several else []
        shipped, _, why = run.reason.partition(". ")
        blocks += [Paragraph(f"{shipped.rstrip('.')}.", lead=True)] if shipped else []
        blocks.append(Paragraph(_verdict(run), lead=True))
        blocks += [Warnings((run.unfinished,))] if run.unfinished else []
        blocks += _arrow(run, f"arrow-{number}")
        details += [Paragraph(text) for text in (why, _seen(run)) if text]
        details += [
            Paragraph(f"{run.subject}, {NAMES.get(name, name)}: {one.words()}.")
            for name, one in run.differences.items()
            if name != MEAN_F1
        ]
    trained = [(run, training) for run in runs for training in run.trainings if training.seeds]
    blocks += _tables(trained, several=several)
    blocks += [table for table in (_over_splits(runs),) if table is not None]
    return Section("result", "Result", (*blocks, *details, *_leaders(runs)))


def _arrow(run: RunFacts, key: str) -> list[Block]:
    """Return the figure of test F1 against multiply-adds, where two structures were trained."""
    trained = [training for training in run.trainings if training.seeds]
    costs = [run.multiply_adds(training.structure) for training in trained]
    if len(trained) != 2 or None in costs:
        return []
    shipped = "" if not run.shipped else ", not shipped" if run.shipped == HAND_DESIGNED else ", shipped"
    means = [mean_of([seed.test for seed in training.seeds], MEAN_F1) or 0.0 for training in trained]
    ends = [
        Costed(
            name=f"{training.origin} ({shape_name(training.structure)}{shipped if number else ''})",
            multiply_adds=float(cost or 0),
            score=mean,
        )
        for number, (training, cost, mean) in enumerate(zip(trained, costs, means, strict=True))
    ]
    difference = run.differences.get(MEAN_F1)
    if difference is not None and difference.low is not None and difference.high is not None:
        ends[1] = replace(ends[1], low=means[0] + difference.low, high=means[0] + difference.high)
    seeds = [
        replace(end, score=score)
        for training, end in zip(trained, ends, strict=True)
        for seed in training.seeds
        if (score := metric(seed.test, MEAN_F1)) is not None
    ]
    times = ends[1].multiply_adds / ends[0].multiply_adds
    words = (
        f"From {points(means[0])} to {points(means[1])} in mean F1, at {times:.2f} × the multiply-adds. "
        "The bar is the interval of the difference; small dots are seeds."
    )
    return [
        Picture(
            key=key,
            caption=f"{run.subject}: test scores against computation",
            alternative=words,
            draw=partial(arrow, ends[0], ends[1], "mean F1", seeds),
        )
    ]


def compared(subject: str, difference: Comparison, ours: str, name: str = MEAN_F1) -> str:
    """Return a comparison with the hand-designed structure on test as a sentence.

    Args:
        subject: Data set and split.
        difference: Ours minus hand-designed.
        ours: Name of the other structure.
        name: Of the metric.
    """
    return (
        f"{ours}, compared with the hand-designed structure in {NAMES.get(name, name)} on the test videos of "
        f"{subject}: {difference.words()}."
    )


def _verdict(run: RunFacts) -> str:
    difference = run.differences.get(MEAN_F1)
    if difference is not None:
        ours = "Searched structure" if run.kind in ("pipeline", "folds") else "Winner of the search"
        return compared(run.subject, difference, ours)
    if run.search is not None and run.search.result is not None:
        return _by_fitness(run)
    if run.context is not None:
        return run.context.words
    if run.local is not None:
        return _moved(run.local)
    if run.kind == "folds":
        return f"The folds of {run.subject} and their means are below."
    trained = next((training for training in run.trainings if training.seeds), None)
    if trained is not None:
        return _trained(run, trained)
    return "No results yet." if run.predictions is None else _predicted(run)


def _by_fitness(run: RunFacts) -> str:
    assert run.search is not None
    assert run.search.result is not None
    found, name = run.search.result, NAMES.get(run.search.fitness, run.search.fitness)
    if run.search.shapes:
        return f"On the hold-outs of {run.subject}: {found.reason}"
    if run.search.winner == run.search.hand_designed:
        return f"No structure beat the hand-designed one on the hold-out of {run.subject}. {found.reason}"
    return (
        f"On the hold-out of {run.subject} the winner has a {name} of {points(found.fitness)}, the "
        f"hand-designed structure {points(found.hand_designed_fitness)} with the same budget and seed. The "
        "winner was selected by that score: only a full training shows what it is worth."
    )


def _moved(local: LocalFacts) -> str:
    paths = local.paths.values()
    moved = sum(path[-1] != path[0] for path in paths)
    return f"In {counted(len(local.updates), 'update')} the local search moved {moved} of {len(paths)} rates."


def _trained(run: RunFacts, training: TrainingFacts) -> str:
    tests = [seed.test for seed in training.seeds]
    seeds = counted(len(tests), "seed")
    origin = training.origin if training.origin == HAND_DESIGNED else f"given ({training.origin})"
    return (
        f"On the test videos of {run.subject} the {origin} structure has a mean F1 of "
        f"{points(mean_of(tests, MEAN_F1))} and an accuracy of {points(mean_of(tests, 'accuracy'))} "
        f"({seeds})."
    )


def _predicted(run: RunFacts) -> str:
    assert run.predictions is not None
    videos = len(run.predictions.videos)
    said = f"{counted(videos, 'video')} {'was' if videos == 1 else 'were'} predicted"
    if not run.predictions.metrics:
        return f"{said}; without ground truth there are no scores."
    mean, accuracy = (mean_of([run.predictions.metrics], name) for name in (MEAN_F1, "accuracy"))
    return f"{said}, with a mean F1 of {points(mean)} and an accuracy of {points(accuracy)}."


def _seen(run: RunFacts) -> str:
    """Return the receptive field of the structure, and what finding it cost."""
    topology = run.topology
    structures = [one for one in run.structures.values() if topology and topology.suits(one)]
    parts = []
    if topology is not None and structures:
        seen = [receptive_field(topology, structure, run.seconds_per_frame)[0] for structure in structures]
        if len(structures) > 1 and structures[-1] != structures[0]:
            parts.append(f"Receptive field: {seen[-1]}; of the hand-designed structure: {seen[0]}.")
        elif run.kind not in ("predict", "context"):
            parts.append(f"Receptive field: {seen[0]}.")
    trainings = full_trainings(run)
    if trainings is not None:
        parts.append(f"The search cost as much as {trainings:.1f} full trainings.")
    return " ".join(parts)


def _tables(trained: Sequence[tuple[RunFacts, TrainingFacts]], *, several: bool) -> list[Block]:
    if not trained:
        return []
    means = Table(
        caption="Test scores in percent: mean ± standard deviation over the seeds",
        columns=("run", "structure", "shape", "multiply-adds", "seeds", *_COLUMNS),
        rows=tuple(
            (
                run.label,
                training.origin,
                shape_name(training.structure),
                _times(run, training),
                str(len(training.seeds)),
                *spread(seed.test for seed in training.seeds),
            )
            for run, training in trained
        ),
        words=3,
    )
    each = Table(
        caption="Test scores of every split and seed in percent",
        columns=("run", "structure", "seed", *_COLUMNS),
        rows=tuple(
            (run.label, training.origin, str(seed.seed), *scores(seed.test))
            for run, training in trained
            for seed in training.seeds
        ),
        words=2,
        folded=True,
    )
    return [table if several else table.without_first() for table in (means, each)]


def _times(run: RunFacts, training: TrainingFacts) -> str:
    """Return the multiply-adds of a structure against the hand-designed one."""
    cost = run.multiply_adds(training.structure)
    whole = None if run.backbone is None else run.multiply_adds(run.backbone.hand_designed())
    return f"{cost / whole:.2f} ×" if cost and whole else "–"


def _over_splits(runs: Sequence[RunFacts]) -> Table | None:
    """Return means over the splits of a data set, each split with the same weight; None of single splits."""
    groups: dict[tuple[str, str], dict[object, list[Mapping[str, float]]]] = {}
    for run in runs:
        for training in (*run.trainings, *_kept(run)):
            splits = groups.setdefault((run.dataset or run.label, training.origin), {})
            tests = [seed.test for seed in training.seeds]
            if tests:
                splits.setdefault(run.split, []).extend(tests)
    rows = [
        (name, origin, str(len(splits)), *_averages(list(splits.values())))
        for (name, origin), splits in groups.items()
        if len(splits) > 1
    ]
    if not rows:
        return None
    return Table(
        caption="Means over splits in percent: of the seeds of each split first, then of the splits",
        columns=("data set", "structure", "splits", *_COLUMNS),
        rows=tuple(rows),
        words=2,
    )


def _kept(run: RunFacts) -> list[TrainingFacts]:
    """Return the searched structure of a pipeline that kept the hand-designed one, which is trained once."""
    kept = run.kind == "pipeline" and bool(run.differences) and len(run.trainings) == 1
    return [replace(run.trainings[0], origin="searched")] if kept else []


def _averages(splits: Sequence[Sequence[Mapping[str, float]]]) -> list[str]:
    texts = []
    for name in METRICS:
        means = [mean_of(tests, name) for tests in splits]
        known = [mean for mean in means if mean is not None]
        texts.append(points(sum(known) / len(known)) if known else "–")
    return texts


def _leaders(runs: Sequence[RunFacts]) -> Iterator[Block]:
    """Yield the best structures of each search of rates with their hold-out fitness."""
    for run in runs:
        if run.search is None or run.search.result is None or run.search.shapes:
            continue
        name = NAMES.get(run.search.fitness, run.search.fitness)
        yield Table(
            caption=f"Best structures of the global search by hold-out {name}, {run.label}",
            columns=("structure", "fitness", "standard error", "seeds", "steps", "receptive field"),
            rows=tuple(
                (
                    leader.structure.key
                    + (f" ({HAND_DESIGNED})" if leader.structure == run.search.hand_designed else ""),
                    points(leader.fitness),
                    points(leader.standard_error),
                    str(leader.seeds),
                    count(leader.steps),
                    "–"
                    if run.topology is None or not run.topology.suits(leader.structure)
                    else count(run.topology.receptive_field(leader.structure).frames),
                )
                for leader in run.search.result.leaders
            ),
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
    groups: dict[str, dict[str, dict[Training, tuple[RunFacts, SeedFacts]]]] = {}
    for run in runs:
        for training in run.trainings:
            origins = groups.setdefault(_alike(run), {})
            name = (
                training.origin if training.origin == HAND_DESIGNED else f"{training.origin} of “{run.label}”"
            )
            # The searched structures of a pipeline's splits are one method, whatever their rates.
            name = training.origin if training.origin == "searched" and run.kind == "pipeline" else name
            known = origins.setdefault(name, {})
            for seed in training.seeds:
                known.setdefault((str(run.split), seed.seed), (run, seed))
    for origins in groups.values():
        baseline = origins.pop(HAND_DESIGNED, {})
        for name, ours in origins.items():
            common = [key for key in ours if key in baseline]
            folders = {id(side[key][0]) for key in common for side in (ours, baseline)}
            if len(folders) < 2:  # within one run: it has a comparison of its own
                continue
            run = ours[common[0]][0]
            splits = sorted({str(split) for split, _ in common})
            subject = f"{run.dataset} split{'s' if len(splits) > 1 else ''} {', '.join(splits)}"
            sides = tuple({key: side[key][1] for key in common} for side in (ours, baseline))
            yield subject, f"Structure {name}", _difference(*sides)


def _difference(ours: Mapping[Training, SeedFacts], theirs: Mapping[Training, SeedFacts]) -> Comparison:
    if all(seed.videos for side in (ours, theirs) for seed in side.values()):
        sides: list[Trainings] = [{key: seed.videos for key, seed in side.items()} for side in (ours, theirs)]
        try:
            return compare_videos(sides[0], sides[1])
        except InputError:  # other test videos: only whole trainings can be compared
            pass
    values = [[metric(side[key].test, MEAN_F1) or 0.0 for key in ours] for side in (ours, theirs)]
    return compare(values[0], values[1])


def _alike(run: RunFacts) -> str:
    """Return what two trainings must share to be compared; where data lies and is cached does not matter."""
    data: Any = run.settings.get("data")
    known = setting_fields(DataConfig)
    deciding = {
        name: one
        for name, one in (data.items() if isinstance(data, Mapping) else ())
        if name not in _POOLED and (name not in known or known[name].changes_result)
    }
    return repr((sorted(deciding.items()), run.settings.get("backbone"), run.settings.get("recipe")))


def cost(runs: Sequence[RunFacts]) -> Section:
    """Return the section: what was spent on searches."""
    rows, sentences = [], []
    for run in runs:
        full, total = full_steps(run), full_trainings(run)
        for name, steps in search_steps(run).items():
            rows.append(_row(run.label, name, steps, full, run))
        if total is not None:
            spent = count(sum(search_steps(run).values()))
            rows.append((run.label, "total", "", spent, f"{total:.1f}", ""))
            sentences.append(_against_paper(run.label if len(runs) > 1 else "The search", total))
    if not rows:
        return Section("cost", "Cost", ())
    rows.append(
        ("G2L's settings", "G2L's settings", count(PAPER_STRUCTURES), "", f"{PAPER_TRAININGS:.0f}", "")
    )
    table = Table(
        caption="Cost of the searches; a full training is one training of one structure by the same recipe",
        columns=("run", "part", "trainings of candidates", "steps", "full trainings", "time"),
        rows=tuple(rows),
        words=2,
    )
    table = table if len(runs) > 1 else table.without_first()
    return Section("cost", "Cost", (*map(Paragraph, sentences), table))


def full_steps(run: RunFacts) -> int | None:
    """Return the optimiser steps of one full training, or None where that is not known."""
    if run.search is not None and run.search.result is not None:
        return run.search.result.full_steps
    return next((training.seeds[0].steps for training in run.trainings if training.seeds), None)


def search_steps(run: RunFacts) -> dict[str, int]:
    """Return the optimiser steps of each search that has finished, by its name."""
    steps: dict[str, int] = {}
    if run.search is not None and run.search.result is not None:
        steps["global search"] = run.search.result.steps
        if run.search.result.final_steps:
            steps["final comparison"] = run.search.result.final_steps
    if run.local is not None and run.local.steps:
        steps["local search"] = run.local.steps
    return steps


def full_trainings(run: RunFacts) -> float | None:
    """Return what the searches of a run cost in full trainings, or None where it is not known."""
    full, steps = full_steps(run), search_steps(run)
    return sum(steps.values()) / full if full and steps else None


def _row(label: str, name: str, steps: int, full: int | None, run: RunFacts) -> tuple[str, ...]:
    evaluations = seconds = ""
    if name == "global search" and run.search is not None and run.search.result is not None:
        evaluations = count(run.search.result.evaluations)
        seconds = duration(run.search.result.seconds)
    return (label, name, evaluations, count(steps), f"{steps / full:.1f}" if full else "–", seconds)


def _against_paper(name: str, total: float) -> str:
    ratio = PAPER_TRAININGS / total
    times = "about" if 0.7 < ratio < 1.5 else f"{ratio:.0f} times" if ratio >= 10 else f"{ratio:.1f} times"
    return (
        f"{name} cost as much as {total:.1f} full trainings; with the settings of G2L (about "
        f"{PAPER_STRUCTURES:,} structures and {PAPER_EPOCHS:,} epochs a split) it is about "
        f"{PAPER_TRAININGS:.0f} ({times} as much)."
    )
