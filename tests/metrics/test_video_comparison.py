from __future__ import annotations

import numpy as np
import pytest

from benchmarks.comparison_coverage import coverage, simulate, true_difference
from g2l.errors import InputError
from g2l.metrics.scores import SegmentationMetrics, metric_value, video_scores
from g2l.metrics.video_comparison import compare_videos

METRICS = ("f1", "f1@10", "f1@25", "f1@50", "edit", "accuracy")


def trainings(gap=0.0, *, seeds=2, folds=1, videos=8, seed_points=1.9, seed=0):
    """Return simulated scores of two models."""
    return simulate(
        np.random.default_rng(seed), seeds=seeds, folds=folds, videos=videos, seed_points=seed_points, gap=gap
    )


def labelled(seed: int):
    """Return scores of four random videos and their pooled metrics."""
    generator = np.random.default_rng(seed)
    metrics = SegmentationMetrics(background=[0])
    pairs = {name: generator.integers(0, 3, (2, 40)) for name in "abcd"}
    pairs["e"] = np.zeros((2, 5), np.int64)  # background only: edit counts as 100, F1 has nothing to count
    for predicted, truth in pairs.values():
        metrics.update(predicted, truth)
    found = {name: video_scores(*pair, background=[0]) for name, pair in pairs.items()}
    return found, metrics.compute()


@pytest.mark.parametrize("metric", METRICS)
def test_the_estimate_is_the_difference_of_the_pooled_metrics(metric):
    scores = [[labelled(10 * side + seed) for seed in range(2)] for side in range(2)]
    ours, theirs = ({(1, seed): found for seed, (found, _) in enumerate(side)} for side in scores)
    means = [np.mean([metric_value(pooled, metric) for _, pooled in side]) for side in scores]
    found = compare_videos(ours, theirs, metric=metric)
    assert found.estimate == pytest.approx(means[0] - means[1])
    assert found.low < found.estimate < found.high
    assert (found.seeds, found.folds, found.videos) == (2, 1, 5)


def test_each_fold_weighs_the_same_and_the_order_does_not_matter():
    ours, theirs = trainings(folds=2)
    single = [
        compare_videos(
            *({key: one for key, one in side.items() if key[0] == fold} for side in (ours, theirs))
        )
        for fold in range(2)
    ]
    found = compare_videos(ours, theirs)
    assert found.estimate == pytest.approx(np.mean([one.estimate for one in single]))
    turned = [
        dict(reversed([(key, dict(reversed(one.items()))) for key, one in side.items()]))
        for side in (ours, theirs)
    ]
    assert compare_videos(*turned) == found


def test_verdicts():
    assert compare_videos(*trainings(0.5, seeds=3, folds=2, videos=50)).verdict == "better"
    assert compare_videos(*trainings(-0.5, seeds=3, folds=2, videos=50)).verdict == "worse"
    assert compare_videos(*trainings(seeds=3, folds=2, videos=50), margin=6.0).verdict == "equal"
    few = compare_videos(*trainings(0.1, seeds=1, videos=8))
    assert few.verdict == "undecided"
    assert few.detectable > 5


def test_what_would_decide():
    few_seeds = compare_videos(*trainings(0.2, seeds=1, videos=50, seed_points=4.0, seed=2))
    assert (few_seeds.verdict, few_seeds.more[1]) == ("undecided", "seeds")
    few_videos = compare_videos(*trainings(0.2, seeds=8, videos=8, seed_points=0.3, seed=2))
    assert (few_videos.verdict, few_videos.more[1]) == ("undecided", "folds")


def test_one_seed_holds_the_seeds_that_were_not_run():
    ours, theirs = trainings(seeds=1, videos=50)
    recipes = compare_videos(ours, theirs)
    models = compare_videos(ours, theirs, seed_deviation=0)
    # ± 2.78 · √2 · 1.9 more than nothing, were it known for sure
    assert recipes.standard_error**2 == pytest.approx(models.standard_error**2 + 2 * 1.9**2, rel=0.01)
    assert models.sample() == "50 videos"
    assert recipes.sample() == "1 seed, 50 videos"


def test_videos_of_a_subject_are_drawn_together():
    ours, theirs = trainings(seeds=1, videos=8)
    (names,) = ours.values()
    copies = [
        {f"{name}-{copy}": one for name, one in side[0, 0].items() for copy in range(4)}
        for side in (ours, theirs)
    ]
    subjects = {name: name.rpartition("-")[0] for name in copies[0]}
    plain = compare_videos(ours, theirs, seed_deviation=0)
    copied = [{(0, 0): side} for side in copies]
    grouped = compare_videos(*copied, subjects=subjects, seed_deviation=0)
    assert grouped.standard_error == pytest.approx(plain.standard_error, rel=0.1)
    assert compare_videos(*copied, seed_deviation=0).standard_error < 0.6 * grouped.standard_error
    # One subject tells nothing of others: its videos are drawn.
    assert compare_videos(ours, theirs, subjects=dict.fromkeys(names, "s")).low is not None


def test_a_single_video_has_no_interval():
    ours, theirs = trainings(seeds=2, videos=1)
    found = compare_videos(ours, theirs)
    assert (found.low, found.verdict, found.videos) == (None, "undecided", 1)
    three = [
        {(fold, seed): one for fold in range(2) for seed, one in enumerate(side.values())}
        for side in (ours, theirs)
    ]
    assert compare_videos(*three).low is None


@pytest.mark.parametrize(
    ("seeds", "folds", "videos"), [(1, 1, 8), (2, 1, 20), (5, 1, 8), (1, 5, 8), (3, 2, 20), (10, 1, 20)]
)
def test_coverage(seeds, folds, videos):
    """The nominal coverage is 95 %; 120 repetitions measure it to ± 6 points (3 standard errors)."""
    found = coverage(seeds=seeds, folds=folds, videos=videos, repetitions=120, truth=true_difference())
    assert 89 <= found.share <= 100


def test_wrong_inputs_are_refused():
    ours, theirs = trainings(seeds=2, videos=3)
    for one, other in (({}, {}), (ours, {(0, 0): theirs[0, 0]})):
        with pytest.raises(InputError, match="the same folds and seeds"):
            compare_videos(one, other)
    lacking = {name: one for name, one in theirs[0, 1].items() if name != "0-1"}
    with pytest.raises(InputError, match=r"the same videos .* fold 0, .* differ in 0-1\.$"):
        compare_videos(ours, theirs | {(0, 1): lacking})
    with pytest.raises(InputError, match=r"^`metric` must be one of f1, .*, but is 'mof'"):
        compare_videos(ours, theirs, metric="mof")
