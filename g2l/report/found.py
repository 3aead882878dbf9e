"""The first section: what was found, in two plain sentences."""

from __future__ import annotations

from collections.abc import Sequence

from g2l.metrics.comparison import CONFIDENCE, Comparison
from g2l.metrics.scores import MEAN_F1
from g2l.report.across import across
from g2l.report.blocks import Block, Heading, Paragraph, Section, Warnings
from g2l.report.cost import full_trainings
from g2l.report.model import HAND_DESIGNED, RunFacts
from g2l.report.stage_facts import LocalFacts, TrainingFacts
from g2l.report.words import NAMES, count, mean_of, points, receptive_field


def found(runs: Sequence[RunFacts]) -> Section:
    """Return the section; never empty."""
    blocks: list[Block] = [
        Paragraph(compared(run.subject, difference, f"structure of “{run.label}”"), lead=True)
        for run, difference in across(runs)
    ]
    for run in runs:
        if len(runs) > 1:
            blocks.append(Heading(run.label))
        blocks.append(Paragraph(f"{_first(run)} {_second(run)}".strip(), lead=True))
        if not run.finished:
            blocks.append(Warnings(("This run has not finished: what follows is what it has so far.",)))
    return Section("found", "What was found", tuple(blocks))


def _first(run: RunFacts) -> str:
    difference = run.differences.get(MEAN_F1)
    if difference is not None:
        return compared(run.subject, difference, whose(run))
    if run.search is not None and run.search.result:
        return _by_fitness(run)
    if run.local is not None:
        return _moved(run.local)
    trained = next((training for training in run.trainings if training.seeds), None)
    if trained is not None:
        return _trained(run, trained)
    if run.predictions is not None:
        return _predicted(run)
    return "Nothing has been found yet."


def whose(run: RunFacts) -> str:
    """Return what the searched structure is called."""
    return "searched structure" if run.kind == "pipeline" else "winner of the search"


def compared(subject: str, difference: Comparison, ours: str) -> str:
    """Return a comparison of test scores as a sentence.

    Args:
        subject: Data set and split.
        difference: Of mean F1, ours minus hand-designed.
        ours: What the other structure is called.
    """
    where = f"on the test videos of {subject}"
    size = f"{points(difference.estimate, plus=True)} points of {NAMES[MEAN_F1]}"
    low, high = difference.low, difference.high
    if low is None or high is None:
        return (
            f"One seed cannot show whether the {ours} is better than the hand-designed one {where}: the "
            f"difference is {size}, and only several seeds give it an interval."
        )
    interval = f"{100 * CONFIDENCE:.0f} % interval {points(low)} to {points(high)}, {difference.seeds} seeds"
    if low <= 0 <= high:
        return (
            f"The {ours} and the hand-designed one cannot be told apart {where}: the difference is {size} "
            f"({interval})."
        )
    verb, by = "better" if difference.estimate > 0 else "worse", points(abs(difference.estimate))
    return (
        f"The {ours} is {verb} than the hand-designed one {where}, by {by} points of {NAMES[MEAN_F1]} "
        f"({interval})."
    )


def _by_fitness(run: RunFacts) -> str:
    assert run.search is not None
    result, name = run.search.result, NAMES.get(run.search.fitness, run.search.fitness)
    if run.search.winner == run.search.hand_designed:
        return f"No structure was found that beats the hand-designed one on the hold-out of {run.subject}."
    return (
        f"On the hold-out of {run.subject} the winner has a {name} of {points(result['fitness'])} where the "
        f"hand-designed structure has {points(result['hand_designed_fitness'])} by the same budget and seed; "
        "it was selected by that score, so only a training in full tells what it is worth."
    )


def _moved(local: LocalFacts) -> str:
    updates = max((len(path.steps) for path in local.paths), default=0)
    moved = sum(path.rates[-1] != path.start for path in local.paths)
    return f"In {updates} updates the local search moved {moved} of {len(local.paths)} rates."


def _trained(run: RunFacts, training: TrainingFacts) -> str:
    tests = [seed.test for seed in training.seeds]
    seeds = f"{len(tests)} seed{'' if len(tests) == 1 else 's'}"
    origin = training.origin if training.origin == HAND_DESIGNED else f"given ({training.origin})"
    return (
        f"On the test videos of {run.subject} the {origin} structure has a mean F1 of "
        f"{points(mean_of(tests, MEAN_F1))} and an accuracy of {points(mean_of(tests, 'accuracy'))} "
        f"({seeds})."
    )


def _predicted(run: RunFacts) -> str:
    assert run.predictions is not None
    videos = len(run.predictions.videos)
    said = f"{count(videos)} video{' was' if videos == 1 else 's were'} predicted"
    if not run.predictions.metrics:
        return f"{said}; without ground truth there are no scores."
    mean, accuracy = (mean_of([run.predictions.metrics], name) for name in (MEAN_F1, "accuracy"))
    return f"{said}, with a mean F1 of {points(mean)} and an accuracy of {points(accuracy)}."


def _second(run: RunFacts) -> str:
    """Return how far the structure sees, and what finding it cost."""
    topology, structures = run.topology, list(run.structures.values())
    parts = []
    if topology is not None and structures:
        seen = [receptive_field(topology, structure, run.seconds_per_frame)[0] for structure in structures]
        if len(structures) > 1 and structures[-1] != structures[0]:
            parts.append(f"it sees {seen[-1]} where the hand-designed one sees {seen[0]}")
        elif run.kind != "predict":
            parts.append(f"it sees {seen[0]}")
    cost = full_trainings(run)
    if cost is not None:
        parts.append(f"finding it cost as much as {cost:.1f} full trainings")
    sentence = ", and ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}." if sentence else ""
