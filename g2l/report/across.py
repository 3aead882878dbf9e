"""Trainings of different runs, compared seed by seed: a pipeline that was done step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from g2l.metrics.comparison import Comparison, compare
from g2l.metrics.scores import MEAN_F1
from g2l.report.model import HAND_DESIGNED, RunFacts
from g2l.report.stage_facts import TrainingFacts
from g2l.report.words import metric


def across(runs: Sequence[RunFacts]) -> Iterator[tuple[RunFacts, Comparison]]:
    """Yield runs that trained another structure than the hand-designed one of another, and the difference.

    Only those with the same data, network and recipe are compared, by the mean F1 on test of the seeds that
    both were trained with.
    """
    for baseline in runs:
        for ours in runs:
            if ours is baseline or not _alike(ours.settings, baseline.settings):
                continue
            theirs = baseline.trained(HAND_DESIGNED)
            for training in ours.trainings:
                if theirs is None or training.structure == theirs.structure:
                    continue
                pairs = _pairs(training, theirs)
                if pairs:
                    yield ours, compare(*map(list, zip(*pairs, strict=True)))


def _alike(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Tell whether two runs differ by the structure only; where data lies and is cached does not matter."""

    def deciding(settings: Mapping[str, Any]) -> list[Any]:
        data = {name: one for name, one in settings.get("data", {}).items() if name not in _WITHOUT_INFLUENCE}
        return [data, settings.get("backbone"), settings.get("recipe")]

    return deciding(ours) == deciding(theirs)


_WITHOUT_INFLUENCE = ("data_root", "cache_mb", "fps")


def _pairs(ours: TrainingFacts, theirs: TrainingFacts) -> list[tuple[float, float]]:
    known = {seed.seed: metric(seed.test, MEAN_F1) for seed in theirs.seeds}
    found = [(metric(seed.test, MEAN_F1), known.get(seed.seed)) for seed in ours.seeds]
    return [(first, second) for first, second in found if first is not None and second is not None]
