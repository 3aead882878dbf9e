"""Hand-designed against searched: all metrics, each split and seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from g2l.report.blocks import Block, Paragraph, Section, Table
from g2l.report.model import HAND_DESIGNED, RunFacts
from g2l.report.stage_facts import TrainingFacts
from g2l.report.words import METRICS, NAMES, mean_of, points, scores, spread

_COLUMNS = tuple(NAMES[name] for name in METRICS)


def contest(runs: Sequence[RunFacts]) -> Section:
    """Return the section, a sentence where nothing was trained in full."""
    trained = [(run, training) for run in runs for training in run.trainings if training.seeds]
    blocks: list[Block] = []
    if not trained:
        reason = "Nothing was trained in full in this run, so there are no test scores."
        return Section("contest", "Hand-designed against searched", (Paragraph(reason), *_leaders(runs)))
    several = len(runs) > 1
    blocks.append(_means(trained) if several else _means(trained).without_first())
    blocks += [
        Paragraph(_words(run, run.label if several else run.subject)) for run in runs if run.differences
    ]
    blocks.append(_each_seed(trained) if several else _each_seed(trained).without_first())
    splits = _over_splits(runs)
    if splits is not None:
        blocks.append(splits)
    return Section("contest", "Hand-designed against searched", (*blocks, *_leaders(runs)))


def _means(trained: Sequence[tuple[RunFacts, TrainingFacts]]) -> Table:
    return Table(
        caption="Test scores in percent: mean ± standard deviation over the seeds",
        columns=("run", "structure", "seeds", *_COLUMNS),
        rows=tuple(
            (
                run.label,
                training.origin,
                str(len(training.seeds)),
                *spread(seed.test for seed in training.seeds),
            )
            for run, training in trained
        ),
        words=2,
    )


def _each_seed(trained: Sequence[tuple[RunFacts, TrainingFacts]]) -> Table:
    return Table(
        caption="Test scores of every split and seed in percent",
        columns=("run", "structure", "seed", *_COLUMNS),
        rows=tuple(
            (run.label, training.origin, str(seed.seed), *scores(seed.test))
            for run, training in trained
            for seed in training.seeds
        ),
        words=2,
    )


def _words(run: RunFacts, name: str) -> str:
    found = "; ".join(
        f"{NAMES.get(metric, metric)}: {one.words()}" for metric, one in run.differences.items()
    )
    return f"{name}, searched against hand-designed on test, seed by seed: {found}."


def _over_splits(runs: Sequence[RunFacts]) -> Table | None:
    """Return means over the splits of a data set, each split weighing the same; None of single splits."""
    groups: dict[tuple[str, str], dict[object, list[Mapping[str, float]]]] = {}
    for run in runs:
        for training in run.trainings:
            name = str(run.reading.get("dataset", run.label))
            splits = groups.setdefault((name, training.origin), {})
            tests = [seed.test for seed in training.seeds]
            if tests:
                splits.setdefault(run.reading.get("split"), []).extend(tests)
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


def _averages(splits: Sequence[Sequence[Mapping[str, float]]]) -> list[str]:
    texts = []
    for name in METRICS:
        means = [mean_of(tests, name) for tests in splits]
        known = [mean for mean in means if mean is not None]
        texts.append(points(sum(known) / len(known)) if known else "–")
    return texts


def _leaders(runs: Sequence[RunFacts]) -> list[Block]:
    """Return the best structures of each global search with their hold-out fitness."""
    blocks: list[Block] = []
    for run in runs:
        if run.search is None or not run.search.result:
            continue
        hand_designed = run.search.hand_designed.as_lists()
        blocks.append(
            Table(
                caption=f"Best structures of the global search by hold-out "
                f"{NAMES.get(run.search.fitness, run.search.fitness)}, {run.label}",
                columns=("structure", "fitness", "standard error", "seeds", "steps", "receptive field"),
                rows=tuple(
                    (
                        "/".join(",".join(map(str, stage)) for stage in leader["structure"])
                        + (f" ({HAND_DESIGNED})" if leader["structure"] == hand_designed else ""),
                        points(leader["fitness"]),
                        points(leader["standard_error"]),
                        str(leader["seeds"]),
                        str(leader["steps"]),
                        str(leader["receptive_field"]),
                    )
                    for leader in run.search.result["leaders"]
                ),
                folded=True,
            )
        )
        blocks.append(Paragraph(f"Why the winner won: {run.search.result['reason']}"))
    return blocks
