from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from g2l.datasets.features import open_features
from g2l.errors import InputError

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)


def _save(folder: Path, array: np.ndarray[Any, Any], *, allow_pickle: bool = False) -> Path:
    path = folder / "v.1.npy"
    np.save(path, array, allow_pickle=allow_pickle)
    return path


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8", "<i2", "u1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_width_byte_order_and_memory_order_is_read_as_float32(
    tmp_path: Path, dtype: str, order: Any
) -> None:
    file = open_features(_save(tmp_path, np.asarray(VALUES, dtype=dtype, order=order)))
    assert (file.feature_dim, file.num_frames, file.notice) == (3, 4, None)
    features = file.read()
    assert features.dtype == np.float32
    assert features.dtype.isnative
    assert features.flags.c_contiguous
    np.testing.assert_array_equal(features, VALUES)


@pytest.mark.parametrize("order", ["C", "F"])
def test_frames_first_files_are_turned_round_and_say_so(tmp_path: Path, order: Any) -> None:
    file = open_features(_save(tmp_path, np.asarray(VALUES.T, order=order)), feature_dim=3)
    assert (file.feature_dim, file.num_frames) == (3, 4)
    assert file.notice == "stored as 4 frames × 3 features; read as feature_dim × frames."
    features = file.read()
    assert features.flags.c_contiguous
    np.testing.assert_array_equal(features, VALUES)


@given(
    rows=st.integers(1, 4),
    frames=st.integers(1, 12),
    rate=st.integers(1, 15),
    limit=st.none() | st.integers(1, 14),
)
def test_reading_takes_every_rth_of_the_first_frames(
    rows: int, frames: int, rate: int, limit: int | None
) -> None:
    values = np.random.default_rng(0).standard_normal((rows, frames)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        read = open_features(_save(Path(folder), values)).read(rate, limit)
    np.testing.assert_array_equal(read, values[:, :limit][:, ::rate])


def test_a_square_file_is_read_as_the_caller_says(tmp_path: Path) -> None:
    file = open_features(_save(tmp_path, VALUES[:, :3]))
    assert not file.oriented(3).frames_first
    np.testing.assert_array_equal(file.oriented(3, frames_first=True).read(), VALUES[:, :3].T)


def test_another_feature_dim_is_an_input_error(tmp_path: Path) -> None:
    message = r"v\.1\.npy: expected feature_dim 5, but its shape is 3 × 4 \(feature_dim × frames\)\."
    with pytest.raises(InputError, match=message):
        open_features(_save(tmp_path, VALUES), feature_dim=5)


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
        (np.zeros((1, 2, 3), np.float32), r"its shape is \(1, 2, 3\)\."),
        (np.zeros((3, 0), np.float32), r"expected at least one frame, but its shape is \(3, 0\)\."),
        (np.zeros((0, 3), np.float32), r"its shape is \(0, 3\)\."),
        (np.array([["a"]]), r"expected floating-point numbers, but found <U1 instead\."),
        (np.zeros((2, 2), np.complex64), r"but found complex64 instead\."),
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


@settings(max_examples=200)
@given(position=st.integers(0, 127), value=st.integers(0, 255), cut=st.integers(0, 176))
def test_a_damaged_header_is_read_or_an_input_error(position: int, value: int, cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = _save(Path(folder), VALUES)
        raw = bytearray(path.read_bytes())
        raw[position] = value
        path.write_bytes(raw[:cut] if cut < 176 else raw)
        with suppress(InputError):
            file = open_features(path)
            assert file.read().shape == (file.feature_dim, file.num_frames)
