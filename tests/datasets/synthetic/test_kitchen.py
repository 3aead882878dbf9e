from __future__ import annotations

import numpy as np
import pytest

from g2l.datasets.synthetic.kitchen import kitchen
from g2l.errors import InputError

MARKERS = (1, 2)


def _segments(labels: np.ndarray) -> list[int]:
    starts = np.flatnonzero(np.diff(labels, prepend=-1))
    return labels[starts].tolist()


def test_sizes_names_and_splits() -> None:
    data = kitchen(np.random.default_rng(0))
    assert len(data.videos) == 24
    assert len(data.class_names) == len(set(data.class_names)) == 10
    names = [video.name for video in data.videos]
    assert names[0] == "S1_Kitchen_V1"
    for video in data.videos:
        assert 300 <= len(video.labels) <= 500
        assert video.features.shape == (16, len(video.labels))
        assert video.features.dtype == np.float32
    assert set(data.splits) == {1, 2}
    for train, test in data.splits.values():
        assert sorted(train + test) == sorted(names)
        assert not {name[:2] for name in train} & {name[:2] for name in test}
        assert (len(train), len(test)) == (16, 8)
    assert not set(data.splits[1][1]) & set(data.splits[2][1])
    assert set(np.unique(np.concatenate([v.labels for v in data.videos]))) == set(range(10))


def test_a_seed_fixes_everything() -> None:
    first, again = (kitchen(np.random.default_rng(5), videos=3) for _ in range(2))
    other = kitchen(np.random.default_rng(6), videos=3)
    for a, b in zip(first.videos, again.videos, strict=True):
        np.testing.assert_array_equal(a.features, b.features)
        np.testing.assert_array_equal(a.labels, b.labels)
    assert not np.array_equal(first.videos[0].labels, other.videos[0].labels)


def test_a_marker_far_away_decides_the_variant_of_an_ambiguous_action() -> None:
    data = kitchen(np.random.default_rng(1), videos=12)
    seen: set[int] = set()
    for video in data.videos:
        actions = _segments(video.labels)
        assert actions[0] == actions[-1] == 0
        for position, action in enumerate(actions):
            before = next((a for a in reversed(actions[:position]) if a in MARKERS), None)
            after = next((a for a in actions[position + 1 :] if a in MARKERS), None)
            if action in (3, 4):
                assert before == MARKERS[action - 3]
            if action in (5, 6):
                assert after == MARKERS[action - 5]
            seen.add(action)
    assert {3, 4, 5, 6} <= seen


def test_the_variants_look_alike_and_other_classes_do_not() -> None:
    data = kitchen(np.random.default_rng(2), videos=60)
    labels = np.concatenate([video.labels for video in data.videos])
    features = np.concatenate([video.features for video in data.videos], axis=1)
    means = np.stack([features[:, labels == index].mean(axis=1) for index in range(10)])
    assert np.linalg.norm(means[3] - means[4]) < 1
    assert np.linalg.norm(means[1] - means[2]) > 3


@pytest.mark.parametrize("classes", [5, 6, 8, 11, 25])
def test_any_number_of_classes_is_used(classes: int) -> None:
    data = kitchen(np.random.default_rng(0), videos=30, classes=classes, feature_dim=1, frames=600)
    assert len(set(data.class_names)) == classes
    assert set(np.unique(np.concatenate([v.labels for v in data.videos]))) == set(range(classes))


def test_sizes_that_are_too_small_are_all_named() -> None:
    message = r"`videos` must be >= 3, but is 1 instead\. .*`classes` must be >= 5, but is 2 instead\."
    with pytest.raises(InputError, match=message):
        kitchen(np.random.default_rng(0), videos=1, classes=2)
    data = kitchen(np.random.default_rng(0), videos=3, classes=5, frames=32, feature_dim=1)
    assert all(train and test for train, test in data.splits.values())
