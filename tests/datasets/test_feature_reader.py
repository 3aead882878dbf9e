from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from g2l.datasets import feature_reader
from g2l.datasets.feature_reader import FeatureReader
from g2l.datasets.features import open_features
from g2l.errors import InputError

DTYPES = ("<f4", ">f4", "<f2", "<f8", ">f8", "<i2", "|u1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reader")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_part_of_any_file_is_what_numpy_reads(folder: Path, data: st.DataObject) -> None:
    dim, frames, rate = (data.draw(st.integers(1, limit)) for limit in (5, 40, 4))
    values = (
        np.random.default_rng(frames)
        .integers(0, 200, (dim, frames))
        .astype(data.draw(st.sampled_from(DTYPES)))
    )
    frames_first = data.draw(st.booleans())
    stored = values.T if frames_first else values
    np.save(folder / "v.npy", np.asarray(stored, order=data.draw(st.sampled_from("CF"))))
    expected = values[:, ::rate].astype(np.float32)
    last = data.draw(st.integers(1, expected.shape[1]))
    first = data.draw(st.integers(0, last - 1))
    file = replace(open_features(folder / "v.npy"), frames_first=frames_first)
    buffer = np.full((dim, last - first + 3), np.nan, np.float32)
    blocks = pytest.MonkeyPatch()
    blocks.setattr(feature_reader, "_BLOCK_BYTES", data.draw(st.sampled_from([1, 50, 2**22])))
    with FeatureReader(file, rate) as reader, blocks.context():
        assert reader.num_frames == expected.shape[1]
        np.testing.assert_array_equal(reader.read(), expected)
        out = reader.read(first, last, buffer[:, : last - first])
    blocks.undo()
    assert out.base is buffer
    np.testing.assert_array_equal(out, expected[:, first:last])
    assert np.isnan(buffer[:, last - first :]).all()


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_place_of_a_bad_number_is_that_of_the_file(tmp_path: Path, order: str) -> None:
    values = np.zeros((3, 20))
    values[1, 14] = np.inf
    np.save(tmp_path / "v.npy", np.asarray(values, order=order))
    with FeatureReader(open_features(tmp_path / "v.npy"), 2) as reader:
        assert reader.read(0, 7).shape == (3, 7)
        with pytest.raises(InputError, match=r"row 1 of frame 14 is inf instead"):
            reader.read(5, 9)


def test_numbers_whose_sum_is_beyond_float32_are_finite(tmp_path: Path) -> None:
    largest = np.full((2, 3), np.finfo(np.float32).max)
    np.save(tmp_path / "v.npy", largest)
    np.testing.assert_array_equal(open_features(tmp_path / "v.npy").read(), largest)


def test_a_file_that_is_written_to_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "v.npy"
    np.save(path, np.zeros((2, 3), np.float32))
    with FeatureReader(open_features(path)) as reader:
        reader.require_unchanged()
        os.utime(path, ns=(1, 1))
        with pytest.raises(InputError, match=r"v\.npy: changed while it was read\."):
            reader.require_unchanged()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_file_cut_short_while_it_is_read_is_an_input_error(tmp_path: Path, order: str, dtype: type) -> None:
    path = tmp_path / "v.npy"
    np.save(path, np.zeros((40, 300), dtype, order=order))
    with FeatureReader(open_features(path)) as reader:
        reader.read(0, 10)
        os.truncate(path, 5000)
        with pytest.raises(InputError, match=r"v\.npy: cannot be read \(it was cut short meanwhile\)\."):
            reader.read(200, 300)
