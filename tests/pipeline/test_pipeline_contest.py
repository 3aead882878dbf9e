from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.comparison_coverage import simulate
from g2l.metrics.comparison import Comparison, compare
from g2l.metrics.video_comparison import compare_videos
from g2l.pipeline.contest import difference_metrics, differences
from g2l.pipeline.train import SeedOutcome, TrainingOutcome
from tests.pipeline.tiny_pipeline import STRUCTURE


def outcome(*scores):
    """Return a training with one seed per pair of F1@10 (F1@25 and F1@50 are 3 and 6 below) and accuracy."""
    return TrainingOutcome(
        structure=STRUCTURE,
        seeds=tuple(
            SeedOutcome(
                seed=seed,
                model=Path("model.safetensors"),
                holdout={},
                test={"f1@10": f1, "f1@25": f1 - 3, "f1@50": f1 - 6, "accuracy": accuracy},
                steps=1,
            )
            for seed, (f1, accuracy) in enumerate(scores)
        ),
    )


def test_seeds_are_paired():
    found = differences(outcome((70.0, 80.0), (60.0, 81.0)), outcome((68.0, 80.0), (59.0, 82.0)))
    assert found == {
        "f1": compare([67.0, 57.0], [65.0, 56.0]),
        "accuracy": compare([80.0, 81.0], [80.0, 82.0]),
    }
    assert found["f1"].estimate == pytest.approx(1.5)


def test_trainings_with_other_numbers_of_seeds_do_not_pair():
    with pytest.raises(ValueError, match="zip"):
        differences(outcome((70.0, 80.0)), outcome((68.0, 80.0), (59.0, 82.0)))


def test_an_interval_is_tracked_where_there_is_one():
    found = {"f1": Comparison(2.0, 0.5, 1.0, 3.0, 3), "accuracy": Comparison(1.0, None, None, None, 1)}
    assert difference_metrics(found) == {
        "difference/f1": 2.0,
        "difference/f1_low": 1.0,
        "difference/f1_high": 3.0,
        "difference/accuracy": 1.0,
    }


def test_known_videos_are_compared_instead_of_whole_trainings():
    ours, theirs = simulate(np.random.default_rng(0), seeds=2, folds=1, videos=6, seed_points=1.0)
    plain = outcome((70.0, 80.0), (60.0, 81.0))
    sides = [
        replace(plain, seeds=tuple(replace(seed, videos=side[0, seed.seed]) for seed in plain.seeds))
        for side in (ours, theirs)
    ]
    found = differences(*sides)
    assert found["f1"] == compare_videos(ours, theirs)
    assert (found["accuracy"].seeds, found["accuracy"].videos) == (2, 6)
