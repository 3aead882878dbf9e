"""Comparison of two models on the same test videos, over folds and seeds: a two-level bootstrap."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from g2l.errors import InputError
from g2l.metrics.comparison import (
    CONFIDENCE,
    MARGIN,
    MOST,
    RESAMPLES,
    Comparison,
    Floats,
    Verdict,
    with_interval,
)
from g2l.metrics.scores import F1_THRESHOLDS, MEAN_F1, VideoScores

SEED_DEVIATION = 1.9
"""Standard deviation of a test score between seeds of one structure, in points (METHOD, section 7)."""
SEED_WEIGHT = 4
"""Degrees of freedom that `SEED_DEVIATION` weighs: as much as a standard deviation measured on five seeds."""

Training: TypeAlias = tuple[int | str, int]
"""Fold and seed of one training."""
Trainings: TypeAlias = Mapping[Training, Mapping[str, VideoScores]]
"""Scores of the test videos by name, for each training."""


def compare_videos(
    ours: Trainings,
    theirs: Trainings,
    *,
    metric: str = MEAN_F1,
    subjects: Mapping[str, str] | None = None,
    margin: float = MARGIN,
    seed_deviation: float = SEED_DEVIATION,
    confidence: float = CONFIDENCE,
) -> Comparison:
    """Compare two models on the test videos of one or more folds, each trained under one or more seeds.

    The estimate is the mean over folds of the mean over seeds of the difference in the pooled metric. Its
    uncertainty has two parts, which a two-level bootstrap adds up:

    - **Videos.** In each fold the subjects, or the videos where subjects are not known or a fold has only
      one, are drawn with replacement, the same ones for both models and all seeds. Deviations are scaled by
      √(n / (n − 1)), as the bootstrap of n units is too narrow by that.
    - **Seeds.** A normal deviate with the standard deviation of the differences between seeds within a fold.
      With few seeds that deviation is hardly known: it is shrunk towards √2 · `seed_deviation` with the
      weight of `SEED_WEIGHT` degrees of freedom (a scaled inverse χ² prior, as in Smyth 2004). With one seed
      in each fold the differences between folds take the place of those between seeds; with one seed and one
      fold the prior is all there is.

    The interval is the percentile interval of the sum, stretched about the estimate by t / z, with the
    degrees of freedom of both parts after Satterthwaite. `benchmarks/COMPARISON.md` has its coverage. Not
    contained: the training videos, which the folds fix, and seeds where `seed_deviation` is 0.

    Args:
        ours: Test scores of the first model.
        theirs: Those of the second, with the same folds, seeds and videos.
        metric: `f1` for the mean of F1@{10,25,50}, `f1@10`, `f1@25`, `f1@50`, `edit` or `accuracy`.
        subjects: Subject of each video, where known; videos that are missing are subjects of their own.
        margin: Difference in points within which the two count as equal.
        seed_deviation: Standard deviation of a score between seeds that is expected beforehand, in points; 0
            to compare two given models instead of what their recipes produce.
        confidence: Of the interval.
    """
    score = _score_of(metric)
    folds = [
        _Fold(arrays, units, score, number)
        for number, (arrays, units) in enumerate(_arrays(ours, theirs, subjects or {}))
    ]
    seeds = sum(len(fold.differences) for fold in folds)
    fixed = seed_deviation == 0
    videos = sum(fold.videos for fold in folds)
    estimate = math.fsum(fold.estimate for fold in folds) / len(folds)
    sample = Comparison(
        estimate=estimate, margin=margin, seeds=0 if fixed else seeds, folds=len(folds), videos=videos
    )
    known = [fold for fold in folds if fold.units > 1]
    if not known:  # one video in each fold
        return sample
    # A fold with one video borrows the spread of the others.
    parts = [fold if fold.units > 1 else known[number % len(known)] for number, fold in enumerate(folds)]
    deviations = np.mean([part.deviations for part in parts], axis=0)
    video_variances = np.array([part.variance for part in parts])
    video_freedom = _satterthwaite(video_variances, [part.units - 1 for part in parts])
    video_variance = float(video_variances.sum()) / len(folds) ** 2
    seed_variance, seed_freedom = (
        (0.0, math.inf) if fixed else _seed_variance(folds, parts, math.sqrt(2) * seed_deviation)
    )
    unequal = sum(1 / len(fold.differences) for fold in folds) / len(folds)  # mean of 1 / seeds

    def error(grown: float, more_seeds: int = 0) -> tuple[float, float]:
        """Return standard error and degrees of freedom with so many times the folds, and more seeds."""
        from_seeds = seed_variance / (1 / unequal + more_seeds) / (len(folds) * grown)
        freedom = seed_freedom + more_seeds * len(folds)
        variances = np.array([video_variance / grown, from_seeds])
        return math.sqrt(float(variances.sum())), _satterthwaite(variances, [video_freedom * grown, freedom])

    seed_draws = np.random.default_rng([1, len(folds)]).normal(size=RESAMPLES)
    deviations = deviations + math.sqrt(seed_variance * unequal / len(folds)) * seed_draws
    if fixed:
        return with_interval(
            sample, deviations, lambda more: error(1 + more / videos), "videos", MOST * videos, confidence
        )
    unit = "seeds per fold" if len(folds) > 1 else "seeds"
    found = with_interval(sample, deviations, lambda more: error(1, more), unit, confidence=confidence)
    if found.verdict is not Verdict.UNDECIDED or found.more is not None:
        return found
    return with_interval(
        sample, deviations, lambda more: error(1 + more / len(folds)), "folds", confidence=confidence
    )


class _Fold:
    """The differences in one fold, and how they vary with the choice of videos.

    `arrays` and `units` are those of `_arrays`, `score` is that of `_score_of`; each fold draws other videos.
    """

    def __init__(
        self, arrays: Floats, units: npt.NDArray[np.int64], score: Callable[[Floats], Floats], number: int
    ) -> None:
        sides, seeds, self.videos, columns = arrays.shape
        scores = score(arrays.sum(axis=2))
        self.differences: Floats = scores[0] - scores[1]
        self.estimate = math.fsum(self.differences) / seeds
        self.units = int(units.max()) + 1
        if self.units < 2:
            return
        sums = np.zeros((self.units, sides * seeds * columns))
        np.add.at(sums, units, arrays.transpose(2, 0, 1, 3).reshape(self.videos, -1))
        generator = np.random.default_rng([0, number])
        draws = generator.multinomial(self.units, np.full(self.units, 1 / self.units), size=RESAMPLES)
        drawn = score(np.asarray(draws @ sums, np.float64).reshape(RESAMPLES, sides, seeds, columns))
        scale = math.sqrt(self.units / (self.units - 1))
        differences = drawn[:, 0] - drawn[:, 1]  # (resamples, seeds)
        self.deviations: Floats = scale * (differences.mean(axis=1) - self.estimate)
        self.variance = float(self.deviations.var())


def _seed_variance(folds: Sequence[_Fold], parts: Sequence[_Fold], expected: float) -> tuple[float, float]:
    """Return the variance of a difference between seeds, shrunk towards the expected one, and its freedom."""
    freedom = sum(len(fold.differences) - 1 for fold in folds)
    squares = sum(float(((fold.differences - fold.estimate) ** 2).sum()) for fold in folds)
    if not freedom and len(folds) > 1:
        freedom = len(folds) - 1
        between = float(np.var([fold.estimate for fold in folds], ddof=1))
        squares = freedom * max(0.0, between - float(np.mean([part.variance for part in parts])))
    total = (SEED_WEIGHT * expected**2 + squares) / (SEED_WEIGHT + freedom)
    return total, float(SEED_WEIGHT + freedom)


def _satterthwaite(variances: Floats, freedom: Sequence[float]) -> float:
    """Return the degrees of freedom of a sum of independent variances (Satterthwaite, 1946)."""
    weights = float((variances**2 / np.array(freedom)).sum())
    return float(variances.sum()) ** 2 / weights if weights else math.inf


def _row(scores: VideoScores) -> list[float]:
    """Return what a video adds to the sums that `_score_of` divides."""
    counts = [
        value
        for one in scores.f1
        for value in (one.true_positives, one.false_positives + one.false_negatives)
    ]
    edit = 100.0 if scores.edit is None else scores.edit
    return [scores.correct, scores.frames, edit, 1.0, *counts]


def _score_of(metric: str) -> Callable[[Floats], Floats]:
    """Return the function from sums of `_row` (..., columns) to the metric in percent (...)."""

    def f1(sums: Floats, number: int) -> Floats:
        hits, misses = 2 * sums[..., 4 + 2 * number], sums[..., 5 + 2 * number]
        return 100 * hits / np.maximum(hits + misses, 1)

    scores: dict[str, Callable[[Floats], Floats]] = {
        MEAN_F1: lambda sums: np.mean([f1(sums, number) for number in range(len(F1_THRESHOLDS))], axis=0),
        "accuracy": lambda sums: 100 * sums[..., 0] / np.maximum(sums[..., 1], 1),
        "edit": lambda sums: sums[..., 2] / np.maximum(sums[..., 3], 1),
    }
    scores |= {
        f"f1@{threshold}": lambda sums, number=number: f1(sums, number)  # type: ignore[misc]
        for number, threshold in enumerate(F1_THRESHOLDS)
    }
    if metric not in scores:
        raise InputError(f"`metric` must be one of {', '.join(scores)}, but is {metric!r} instead.")
    return scores[metric]


def _arrays(
    ours: Trainings, theirs: Trainings, subjects: Mapping[str, str]
) -> list[tuple[Floats, npt.NDArray[np.int64]]]:
    """Return contributions (2, seeds, videos, columns) and unit of each video, for every fold."""
    if not ours or not all(ours.values()) or ours.keys() != theirs.keys():
        raise InputError("`ours` and `theirs` must hold scores of the same folds and seeds, but do not.")
    found = []
    for fold in sorted({fold for fold, _ in ours}, key=str):
        trainings = sorted(training for training in ours if training[0] == fold)
        names = sorted(ours[trainings[0]])
        sides = [[side[training] for training in trainings] for side in (ours, theirs)]
        for scores in (*sides[0], *sides[1]):
            if odd := sorted(scores.keys() ^ set(names)):
                raise InputError(
                    f"`ours` and `theirs` must hold the same videos for every seed of fold {fold}, "
                    f"but differ in {odd[0]}."
                )
        arrays = np.array(
            [[[_row(scores[name]) for name in names] for scores in side] for side in sides], np.float64
        )
        owners = [subjects.get(name, f"\0{name}") for name in names]
        units = owners if len(set(owners)) > 1 else names
        found.append((arrays, np.unique(units, return_inverse=True)[1].astype(np.int64)))
    return found
