from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from g2l.datasets import features as feature_reader
from g2l.datasets.features import FeatureFile, FeatureReader, as_matrix, feature_axis, open_features
from g2l.errors import InputError

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)


def _save(folder: Path, array: np.ndarray[Any, Any], *, allow_pickle: bool = False) -> Path:
    path = folder / "v.1.npy"
    np.save(path, array, allow_pickle=allow_pickle)
    return path


@pytest.mark.parametrize(
    ("bad", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf"), (1e300, "inf")]
)
def test_numbers_that_are_not_finite_are_named_with_their_place(
    tmp_path: Path, bad: float, shown: str
) -> None:
    values = VALUES.astype(np.float64)
    values[1, 2] = values[2, 3] = bad
    message = rf"row 1 of frame 2 is {shown} instead \(counted from 0; 2 in all\)"
    with pytest.raises(InputError, match=message):
        open_features(_save(tmp_path, values)).read()
    values[2, 3] = 0
    with pytest.raises(InputError, match=r"row 1 of frame 2 is"):  # the frame of the file, not of the sample
        open_features(_save(tmp_path, values)).read(sample_rate=2)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(4, np.float32), r"expected feature_dim × frames, but its shape is \(4,\)\."),
        (np.zeros((3, 0), np.float32), r"expected at least one frame, but its shape is \(3, 0\)\."),
        (np.array([["a"]]), r"expected numbers, but found <U1 instead\."),
        (np.array([[{}]], dtype=object), r"but found object instead\."),
    ],
)
def test_arrays_that_are_no_features_are_input_errors(
    tmp_path: Path, array: np.ndarray[Any, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        open_features(_save(tmp_path, array, allow_pickle=True))


def test_files_that_are_no_arrays_are_input_errors(tmp_path: Path) -> None:
    path = tmp_path / "v.npy"
    with pytest.raises(InputError, match=r"v\.npy: no such file\."):
        open_features(path)
    path.touch()
    with pytest.raises(InputError, match=r"v\.npy: expected a numpy array \(\.npy\), but it is empty\."):
        open_features(path)
    np.save(path, np.zeros((1, 4)))
    path.write_bytes(path.read_bytes().replace(b"(1, 4)", b"(True, 4)"))
    with pytest.raises(InputError, match="but it has no such header"):
        open_features(path)
    path.write_bytes(b"PK\x03\x04 an npz, say")
    with pytest.raises(InputError, match="but it has no such header"):
        open_features(path)
    with pytest.raises(InputError, match="cannot be read"):
        open_features(tmp_path)


def test_a_truncated_file_is_an_input_error_also_when_cut_after_opening(tmp_path: Path) -> None:
    path = _save(tmp_path, VALUES)
    file = open_features(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    message = rf"is truncated: expected {len(whole)} bytes, but found {len(whole) - 4}\."
    with pytest.raises(InputError, match=message):
        open_features(path)
    with pytest.raises(InputError, match="cannot be read"):
        file.read()


DTYPES = ("<f4", ">f4", "<f2", ">f2", "<f8", ">f8", "<i2", "|u1")


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
        assert reader.read().dtype == np.float32
        out = reader.read(first, last, buffer[:, : last - first])
    blocks.undo()
    assert out.base is buffer
    np.testing.assert_array_equal(out, expected[:, first:last])
    assert np.isnan(buffer[:, last - first :]).all()


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


def _files(*shapes: tuple[int, int]) -> dict[str, FeatureFile]:
    return {
        str(number): FeatureFile(Path(f"{number}.npy"), shape, np.dtype("<f4"), 128, False)
        for number, shape in enumerate(shapes)
    }


def test_the_length_that_most_files_share_is_feature_dim() -> None:
    assert feature_axis(_files((16, 300), (16, 210), (16, 90)), {}) == (16, False)
    assert feature_axis(_files((300, 16), (210, 16), (90, 16)), {}) == (16, True)
    assert feature_axis(_files((16, 300), (210, 16), (16, 90)), {}) == (16, False)


@pytest.mark.parametrize("shape", [(1, 3, 4), (3, 1, 1, 4), (3, 4, 1), (1, 3, 1, 4)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_axes_of_length_1_do_not_matter(tmp_path: Path, shape: tuple[int, ...], order: Any) -> None:
    file = open_features(_save(tmp_path, np.asarray(VALUES.reshape(shape), order=order)))
    np.testing.assert_array_equal(file.read(), VALUES)
    assert as_matrix((1, 1, 5)) == (1, 5)
    assert as_matrix((5, 1, 1)) == (5, 1)
    assert as_matrix((1, 1, 1)) == (1, 1)
