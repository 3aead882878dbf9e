from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from g2l.config import Normalization
from g2l.datasets.normalize import BLOCK_FRAMES, RunningStatistics, normalize, pooled_statistics
from g2l.errors import InputError


def _features(frames: int = 50, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    generator = np.random.default_rng(seed)
    return (generator.standard_normal((3, frames)) * [[1], [9], [0.01]] + [[0], [100], [-5]]).astype(
        np.float32
    )


def test_video_gives_each_row_zero_mean_and_unit_deviation() -> None:
    features = _features()
    before = features.copy()
    result = normalize(features, Normalization.VIDEO)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result.mean(axis=1), 0, atol=1e-3)
    np.testing.assert_allclose(result.std(axis=1), 1, rtol=1e-4)
    np.testing.assert_array_equal(features, before)


def test_constant_rows_and_one_frame_become_zero() -> None:
    constant = np.full((2, 7), 0.1, np.float32)
    np.testing.assert_array_equal(normalize(constant, Normalization.VIDEO), 0)
    np.testing.assert_array_equal(normalize(_features(1), Normalization.VIDEO), 0)
    result = normalize(_features(), Normalization.TRAIN, [0.0, 0.0, 0.0], [0.0, 1e-9, 1.0])
    np.testing.assert_array_equal(result[:2], 0)


def test_train_uses_the_given_statistics() -> None:
    features = _features()
    result = normalize(features, Normalization.TRAIN, [1.0, 2.0, 3.0], [2.0, 4.0, 0.5])
    expected = (features - [[1], [2], [3]]) / [[2], [4], [0.5]]
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_train_without_statistics_or_of_another_length_is_an_input_error() -> None:
    with pytest.raises(InputError, match="needs the mean and std of the training frames, but has none"):
        normalize(_features(), Normalization.TRAIN)
    with pytest.raises(InputError, match="must hold 3 values, one per feature, but hold 2 and 3 instead"):
        normalize(_features(), Normalization.TRAIN, [0.0, 0.0], [1.0, 1.0, 1.0])


@given(blocks=st.lists(st.integers(1, 3), min_size=1, max_size=3), rest=st.integers(0, BLOCK_FRAMES))
@settings(max_examples=20, deadline=None)
def test_statistics_have_the_same_bits_however_a_video_is_cut_between_blocks(
    blocks: list[int], rest: int
) -> None:
    features = _features(sum(blocks) * BLOCK_FRAMES + rest)
    running, first = RunningStatistics(), 0
    for count in (*blocks, 1):
        last = first + count * BLOCK_FRAMES
        running.add(features[:, first:last].copy())
        first = last
    whole, parts = pooled_statistics([features]), running.compute()
    np.testing.assert_array_equal(parts.mean, whole.mean)
    np.testing.assert_array_equal(parts.std, whole.std)
    by_parts = np.concatenate(
        [
            normalize(part, Normalization.TRAIN, parts.mean, parts.std)
            for part in np.array_split(features, 7, axis=1)
        ],
        axis=1,
    )
    np.testing.assert_array_equal(by_parts, normalize(features, Normalization.VIDEO))


@pytest.mark.filterwarnings("error")
def test_damaged_statistics_raise_no_warning() -> None:
    result = normalize(_features(), Normalization.TRAIN, [1e300, 1e38, 0.0], [1e-8, 1e-8, float("nan")])
    assert not np.isfinite(result[:2]).any()
    np.testing.assert_array_equal(result[2], 0)
