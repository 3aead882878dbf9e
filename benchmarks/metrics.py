"""How long accuracy, edit score and F1@k take: against the naive oracle, and for a whole benchmark's videos.

Videos have 2,000 frames, 20 classes and about 25 true segments; predictions are shifted by up to 20 frames
and have a dozen short errors, so about 45 segments. Run from the repository root:
`python -m benchmarks.metrics`.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.timing import Ratio, paired
from g2l.datasets.labels import Labels
from g2l.metrics.scores import SegmentationMetrics, levenshtein
from tests.oracles import naive_metrics

FRAMES, CLASSES, SEGMENTS, ERRORS = 2000, 20, 25, 12

Pair = tuple[Labels, Labels]
"""Predicted and true class of every frame."""


def against_oracle(*, videos: int, pairs: int) -> Ratio:
    """Return seconds of the naive oracle over ours, for the same videos."""
    made = make_videos(videos)
    plain = [(predicted.tolist(), truth.tolist()) for predicted, truth in made]
    return paired(lambda: naive_metrics.all_metrics(plain, {0}), lambda: score(made), pairs=pairs, warmup=1)


def against_rows(*, sequences: int = 2000, pairs: int) -> Ratio:
    """Return seconds of the plain edit distance, a numpy row for each segment, over ours."""
    generator = np.random.default_rng(0)
    made = [
        (generator.integers(0, CLASSES, 25), generator.integers(0, CLASSES, 45)) for _ in range(sequences)
    ]
    return paired(
        lambda: [by_rows(*pair) for pair in made],
        lambda: [levenshtein(*pair) for pair in made],
        pairs=pairs,
        warmup=1,
    )


def by_rows(first: Labels, second: Labels) -> int:
    """Return the edit distance by dynamic programming, one numpy row for each label of the shorter side."""
    short, long = sorted((first, second), key=len)
    steps = np.arange(len(long) + 1)
    row = steps
    for number, label in enumerate(short.tolist(), start=1):
        best = np.minimum(row[1:] + 1, row[:-1] + (long != label))
        # An insertion is one more than the cell to the left: a running minimum.
        row = np.minimum.accumulate(np.concatenate(([number], best)) - steps) + steps
    return int(row[-1])


def against_counting(*, videos: int, pairs: int) -> Ratio:
    """Return our seconds over those of counting the equal frames, which any metric has to look at."""
    made = make_videos(videos)

    def count() -> int:
        return sum(int(np.count_nonzero(predicted == truth)) for predicted, truth in made)

    return paired(lambda: score(made), count, pairs=pairs, warmup=1)


def score(videos: list[Pair]) -> dict[str, float]:
    """Return all metrics of some videos."""
    metrics = SegmentationMetrics(background=[0])
    for predicted, truth in videos:
        metrics.update(predicted, truth)
    return metrics.compute()


def make_videos(count: int) -> list[Pair]:
    """Return videos that look as those of a trained network do."""
    generator = np.random.default_rng(0)
    return [_video(generator) for _ in range(count)]


def _video(generator: np.random.Generator) -> Pair:
    changes = np.sort(generator.integers(1, FRAMES, SEGMENTS))
    classes = generator.integers(0, CLASSES, SEGMENTS + 1)
    truth = classes[np.searchsorted(changes, np.arange(FRAMES), side="right")]
    predicted = np.roll(truth, int(generator.integers(-20, 20)))
    for start in generator.integers(0, FRAMES - 40, ERRORS):
        predicted[start : start + generator.integers(1, 40)] = generator.integers(0, CLASSES)
    return predicted, truth


def main() -> None:
    """Print both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=2000)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    print(f"naive oracle / g2l, 5 videos: {against_oracle(videos=5, pairs=options.pairs)}")
    print(f"numpy rows / g2l, edit distance: {against_rows(pairs=options.pairs)}")
    whole = against_counting(videos=options.videos, pairs=options.pairs)
    print(f"g2l / counting equal frames, {options.videos:,} videos: {whole}")


if __name__ == "__main__":
    main()
