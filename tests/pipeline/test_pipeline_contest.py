from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.comparison_coverage import simulate
from g2l.metrics.comparison import Comparison, compare
from g2l.metrics.scores import F1Counts, VideoScores
from g2l.metrics.video_comparison import compare_videos
from g2l.pipeline.contest import LOOKS, difference_metrics, differences, hold_contest, looks
from g2l.pipeline.select import SelectionOutcome
from g2l.pipeline.train import SeedOutcome, TrainingOutcome
from g2l.shipping import ContestConfig, Ship
from g2l.structure import DilationStructure
from tests.pipeline.tiny_pipeline import STRUCTURE

NAMES = ("hand-designed", "global", "local")


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
    both = outcome((70.0, 80.0), (60.0, 81.0)), outcome((68.0, 80.0), (59.0, 82.0))
    found = differences({1: both})
    assert found == {
        "f1": compare([67.0, 57.0], [65.0, 56.0]),
        "accuracy": compare([80.0, 81.0], [80.0, 82.0]),
    }
    assert found["f1"].estimate == pytest.approx(1.5)


def test_an_interval_is_tracked_where_there_is_one():
    found = {"f1": Comparison(2.0, 0.5, 1.0, 3.0, 3), "accuracy": Comparison(1.0, None, None, None, 1)}
    assert difference_metrics(found) == {
        "difference/f1": 2.0,
        "difference/f1_low": 1.0,
        "difference/f1_high": 3.0,
        "difference/accuracy": 1.0,
    }


@pytest.mark.parametrize("folds", [1, 3])
def test_known_videos_are_compared_instead_of_whole_trainings(folds):
    ours, theirs = simulate(np.random.default_rng(0), seeds=2, folds=folds, videos=6, seed_points=1.0)
    plain = outcome((70.0, 80.0), (60.0, 81.0))

    def trained(side, fold):
        seeds = tuple(replace(seed, videos=side[fold, seed.seed]) for seed in plain.seeds)
        return replace(plain, seeds=seeds)

    found = differences({fold: (trained(ours, fold), trained(theirs, fold)) for fold in range(folds)})
    assert found["f1"] == compare_videos(ours, theirs)
    assert (found["accuracy"].folds, found["accuracy"].seeds) == (folds, 2 * folds)


def candidates(generator, points, *, between_seeds=1.5, same=()):
    """Return a function that makes selections whose true accuracy differs from 60 by so many points.

    Args:
        generator: Of everything random.
        points: By name of the candidate.
        between_seeds: Standard deviation of a training.
        same: Candidates that have the structure of the hand-designed one.
    """
    frames, videos = 1000, [f"v{number}" for number in range(24)]
    difficulty = {video: generator.normal(0, 8) for video in videos}
    scores = {name: [] for name in points}

    def select(name, count):
        while len(scores[name]) < count:
            held = videos[len(scores[name]) % 4 :: 4]
            level = 60 + points[name] + generator.normal(0, between_seeds)
            accuracy = {v: np.clip(level + difficulty[v] + generator.normal(0, 2), 0, 100) for v in held}
            scores[name].append(
                {
                    video: VideoScores(
                        frames=frames, correct=round(frames * a / 100), edit=a, f1=(F1Counts(),) * 3
                    )
                    for video, a in accuracy.items()
                }
            )
        rates = ((1, 2),) if name in same else ((1, 2 + NAMES.index(name)),)
        return SelectionOutcome(
            structure=DilationStructure(rates),
            epochs=3,
            holdout={},
            trainings={(f"1.{number % 4}", number): one for number, one in enumerate(scores[name][:count])},
            steps=count,
        )

    return select


def contest(points, trainings=4, seed=0, same=(), **config):
    select = candidates(np.random.default_rng(seed), points, same=same)
    names = tuple(points)
    return hold_contest(select, names, ContestConfig(**config), trainings=trainings, metric="accuracy")


@pytest.mark.parametrize(
    ("points", "same", "shipped", "searched"),
    [
        ((0, 20, 20), (), "global", "global"),  # the local result is no better than the global one
        ((0, 20, 40), (), "local", "local"),
        ((0, 0, 20), (), "local", "local"),
        ((0, -20, -10), (), "hand-designed", "local"),
        ((0, 0, 0), ("global", "local"), "hand-designed", "local"),
    ],
)
def test_the_simplest_structure_that_no_other_is_shown_to_beat_is_shipped(points, same, shipped, searched):
    found = contest(dict(zip(NAMES, points, strict=True)), same=same)
    assert (found.shipped, found.searched) == (shipped, searched)
    assert shipped in found.reason
    assert [duel.challenger for duel in found.duels] == ["global", "local"]
    assert found.as_dict()["candidates"]["local"]["trainings"] == 4


@pytest.mark.parametrize(
    ("ship", "points", "shipped"),
    [(Ship.SEARCHED, -20, "global"), (Ship.HAND_DESIGNED, 20, "hand-designed"), (Ship.BEST, 20, "global")],
)
def test_ship_overrides_what_the_holdouts_say(ship, points, shipped):
    found = contest({"hand-designed": 0, "global": points}, ship=ship)
    assert found.shipped == shipped
    assert (f"--ship {ship.value}" in found.reason) == (ship is not Ship.BEST)


def test_trainings_are_added_until_the_difference_is_decided():
    config = ContestConfig(until_decided=True, most_trainings=16)
    assert looks(4, config) == [4, 8, 12, 16]
    assert looks(16, config) == [16]
    assert looks(4, ContestConfig()) == [4]
    assert len(looks(1, ContestConfig(until_decided=True, most_trainings=60))) == LOOKS
    clear = contest({"hand-designed": 0, "global": 30}, until_decided=True, most_trainings=16)
    close = contest({"hand-designed": 0, "global": 1.5}, until_decided=True, most_trainings=16)
    assert len(clear.selections["global"].trainings) == 4
    assert len(close.selections["global"].trainings) > 4
    assert clear.duels[0].comparison.confidence == 1 - 0.05 / 4


@pytest.mark.parametrize("until_decided", [False, True])
def test_an_equal_structure_is_hardly_ever_shipped(until_decided):
    shipped = [
        contest({"hand-designed": 0, "global": 0}, seed=seed, until_decided=until_decided).shipped
        for seed in range(60)
    ]
    # At most 2.5 % by construction: 6 or more of 60 have a probability of 0.3 %.
    assert shipped.count("global") < 6


@pytest.mark.parametrize(("points", "shipped"), [(0.0, "global"), (-12.0, "hand-designed")])
def test_a_cheaper_structure_that_was_shown_is_shipped_unless_it_is_worse(points, shipped):
    select = candidates(np.random.default_rng(0), {"hand-designed": 0.0, "global": points})
    arguments = {"trainings": 8, "metric": "accuracy"}
    names = ("hand-designed", "global")
    found = hold_contest(select, names, ContestConfig(), shown=frozenset({"global"}), **arguments)
    assert found.shipped == shipped
    assert hold_contest(select, names, ContestConfig(), **arguments).shipped == "hand-designed"
