"""Coverage of the interval of `compare_videos`: `python -m benchmarks.comparison_coverage`.

Simulated test videos have 4 to 30 true segments. Whether a segment is found at an overlap depends, by a
probit model, on the segment, its video, the model, how well this model does in this video, and the seed;
other predicted segments are false alarms. So videos differ in weight, seeds move whole trainings and single
segments, and the true difference is that of 120,000 other videos.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from g2l.files import write_text
from g2l.metrics.scores import F1_THRESHOLDS, F1Counts, VideoScores
from g2l.metrics.video_comparison import SEED_WEIGHT, Trainings, compare_videos

PAGE = Path(__file__).with_name("COMPARISON.md")
SEEDS, FOLDS, VIDEOS = (1, 2, 3, 5, 10), (1, 2, 5), (8, 20, 50)
POINT = 0.031
"""Shift of the probit that moves mean F1 by about a point."""
GAP = 0.06
"""How much better the first model is, in probits."""
SHIFTS = (0.35, 0.15, -0.3)
"""Of the probit at each overlap: fewer segments are found at a higher one."""


@dataclass(frozen=True)
class Coverage:
    """Share of intervals that hold the truth in percent, median width, median detectable difference."""

    share: float
    width: float
    detectable: float


def simulate(
    generator: np.random.Generator,
    *,
    seeds: int,
    folds: int,
    videos: int,
    seed_points: float,
    gap: float = GAP,
) -> tuple[Trainings, Trainings]:
    """Return the scores of two models.

    Args:
        generator: Of everything random.
        seeds: Trainings in each fold.
        folds: Folds.
        videos: Test videos of each fold.
        seed_points: Standard deviation of a score between seeds in points of mean F1, about.
        gap: By how much the first model is better, in probits.
    """
    sides: tuple[dict[tuple[int | str, int], dict[str, VideoScores]], ...] = ({}, {})
    for fold in range(folds):
        segments = generator.integers(4, 31, videos)
        easiness = 0.5 + 0.5 * generator.normal(size=videos)
        owner = np.repeat(np.arange(videos), segments)
        latent = easiness[owner] + generator.normal(size=len(owner))
        per_video = 0.25 * generator.normal(size=(2, videos))
        for seed in range(seeds):
            for side, scores in enumerate(sides):
                shift = (gap if side == 0 else 0.0) + POINT * seed_points * generator.normal()
                noise = 0.2 * generator.normal(size=len(owner))
                reached = latent + per_video[side][owner] + shift + noise
                extra = generator.poisson(0.25 * segments)
                hits = [np.bincount(owner[reached + one > 0], minlength=videos) for one in SHIFTS]
                scores[fold, seed] = {
                    f"{fold}-{video}": _video(
                        int(segments[video]), int(extra[video]), [int(h[video]) for h in hits]
                    )
                    for video in range(videos)
                }
    return sides[0], sides[1]


def _video(true: int, extra: int, hits: list[int]) -> VideoScores:
    counts = tuple(F1Counts(hit, true + extra - hit, true - hit) for hit in hits)
    return VideoScores(0, 1, 100.0 * hits[0] / (true + extra), counts)


@cache
def true_difference(gap: float = GAP) -> float:
    """Return the difference in mean F1 that `simulate` converges to, from large trainings."""
    generator = np.random.default_rng(1)
    found = []
    for _ in range(60):
        ours, theirs = simulate(generator, seeds=1, folds=1, videos=2000, seed_points=0.0, gap=gap)
        found.append(_mean_f1(ours) - _mean_f1(theirs))
    return float(np.mean(found))


def _mean_f1(trainings: Trainings) -> float:
    (videos,) = trainings.values()
    totals = [
        sum((video.f1[number] for video in videos.values()), F1Counts())
        for number in range(len(F1_THRESHOLDS))
    ]
    return sum(total.score() for total in totals) / len(totals)


def coverage(
    *, seeds: int, folds: int, videos: int, repetitions: int, truth: float, seed_points: float | None = None
) -> Coverage:
    """Return the coverage over some repetitions.

    Args:
        seeds: See `simulate`.
        folds: Likewise.
        videos: Likewise.
        repetitions: Simulated comparisons.
        truth: See `true_difference`.
        seed_points: Likewise; None to draw it anew each time around 1.9, as the interval assumes it.
    """
    generator = np.random.default_rng([seeds, folds, videos])
    found = []
    for _ in range(repetitions):
        points = seed_points
        if points is None:
            points = 1.9 * float(np.sqrt(SEED_WEIGHT / generator.chisquare(SEED_WEIGHT)))
        one = compare_videos(
            *simulate(generator, seeds=seeds, folds=folds, videos=videos, seed_points=points, gap=GAP)
        )
        assert one.low is not None
        assert one.high is not None
        assert one.detectable is not None
        found.append((one.low <= truth <= one.high, one.high - one.low, one.detectable))
    held, widths, detectable = zip(*found, strict=True)
    return Coverage(100 * float(np.mean(held)), float(np.median(widths)), float(np.median(detectable)))


def rows(repetitions: int) -> Iterator[str]:
    """Yield the rows of both tables."""
    truth = true_difference(GAP)
    for folds in FOLDS:
        for videos in VIDEOS:
            for seeds in SEEDS:
                one = coverage(seeds=seeds, folds=folds, videos=videos, repetitions=repetitions, truth=truth)
                numbers = f"{one.share:.1f} | {one.width:.1f} | {one.detectable:.1f}"
                yield f"| {folds} | {videos} | {seeds} | {numbers} |"
    yield FIXED
    for seeds in SEEDS:
        shares = [
            coverage(
                seeds=seeds, folds=1, videos=20, repetitions=repetitions, truth=truth, seed_points=points
            ).share
            for points in POINTS
        ]
        yield f"| {seeds} | {' | '.join(f'{share:.1f}' for share in shares)} |"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=200)
    options = parser.parse_args()
    error = 100 * (0.95 * 0.05 / options.repetitions) ** 0.5
    lines = []
    for line in rows(options.repetitions):
        print(line, flush=True)
        lines.append(line)
    write_text(PAGE, HEAD.format(repetitions=options.repetitions, error=error) + "\n".join(lines) + "\n")


POINTS = (0.5, 1.0, 1.9, 3.0, 4.0)
HEAD = """# Coverage of the interval of a comparison

Generated by `python -m benchmarks.comparison_coverage`, not edited by hand. Each row: {repetitions} simulated
comparisons of two models in mean F1, whose true difference is 1.6 points. The nominal coverage is 95 %; the
measured one has a standard error of {error:.1f} points.

The standard deviation of a score between seeds is drawn anew for each comparison, around 1.9 points, from the
distribution that the interval assumes. *Width* and *detectable* are medians in points: the width of the
interval, and the smallest difference that is shown with 80 % power.

| folds | videos per fold | seeds | coverage (%) | width | detectable |
|---:|---:|---:|---:|---:|---:|
"""
FIXED = f"""
Coverage (%) on one fold of 20 videos where the standard deviation between seeds is fixed. With one or two
seeds the interval rests on the assumed 1.9 points: it is too wide where seeds differ by less, too narrow
where they differ by much more.

| seeds | {" | ".join(f"{points} points" for points in POINTS)} |
|---:|{"---:|" * len(POINTS)}"""

if __name__ == "__main__":
    main()
