from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from g2l.datasets.convert.request import Layout
from g2l.datasets.convert.sources import find_layout, find_sources, open_source
from g2l.datasets.errors import DataError
from g2l.datasets.features import FeatureFile


def headers(*shapes: tuple[int, int]) -> list[FeatureFile]:
    return [
        FeatureFile(Path(f"{n}.npy"), shape, np.dtype("f4"), 128, False) for n, shape in enumerate(shapes)
    ]


def only(folder: Path) -> tuple[Any, list[DataError]]:
    issues: list[DataError] = []
    (source,) = find_sources(folder, None, issues).values()
    return source, issues


@pytest.mark.parametrize(
    ("shapes", "layout", "feature_dim", "expected"),
    [
        ([(8, 50), (8, 60)], None, None, (Layout.DT, 8)),
        ([(50, 8), (60, 8)], None, None, (Layout.TD, 8)),
        ([(8, 8), (60, 8)], None, None, (Layout.TD, 8)),
        ([(8, 50), (8, 60), (9, 70)], None, None, (Layout.DT, 8)),  # the odd one out is refused later
        ([(50, 8), (50, 8)], None, 8, (Layout.TD, 8)),
        ([(8, 8)], Layout.TD, 8, (Layout.TD, 8)),
    ],
)
def test_the_axis_that_is_equal_over_all_files_is_the_feature_dim(
    shapes: list[tuple[int, int]],
    layout: Layout | None,
    feature_dim: int | None,
    expected: tuple[Layout, int],
) -> None:
    assert find_layout(Path("f"), headers(*shapes), layout, feature_dim) == expected


@pytest.mark.parametrize(
    ("shapes", "feature_dim"),
    [([(8, 50)], None), ([(8, 50), (8, 50)], None), ([(8, 8)], None), ([(8, 8)], 8)],
)
def test_shapes_that_do_not_tell_ask_for_the_layout(
    shapes: list[tuple[int, int]], feature_dim: int | None
) -> None:
    with pytest.raises(DataError, match="features and frames cannot be distinguished") as caught:
        find_layout(Path("f"), headers(*shapes), None, feature_dim)
    assert "give --layout dt" in (caught.value.hint or "")


@given(
    frames_first=st.booleans(),
    fortran=st.booleans(),
    dtype=st.sampled_from(["<f2", ">f4", "<f8", ">f8", "i2", "u1"]),
    container=st.sampled_from(["npy", "npz", "compressed"]),
    dim=st.integers(1, 9),
    frames=st.integers(1, 9),
)
def test_every_way_of_storing_is_copied_to_the_same_numbers(
    tmp_path_factory: pytest.TempPathFactory,
    frames_first: bool,
    fortran: bool,
    dtype: str,
    container: str,
    dim: int,
    frames: int,
) -> None:
    folder = tmp_path_factory.mktemp("copy")
    numbers = np.arange(dim * frames).reshape(dim, frames)
    stored = np.asarray(numbers.T if frames_first else numbers, dtype, order="F" if fortran else "C")
    if container == "npy":
        np.save(folder / "a.npy", stored)
    else:
        (np.savez if container == "npz" else np.savez_compressed)(folder / "a.npz", anything=stored)
    source, issues = only(folder)
    assert issues == []
    read = source.laid_out(Layout.TD if frames_first else Layout.DT).read()
    assert read.dtype == np.float32
    assert read.flags.c_contiguous
    np.testing.assert_array_equal(read, numbers)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_numbers_that_are_not_finite_are_named(tmp_path: Path, value: float, suffix: str) -> None:
    features = np.zeros((9, 4))
    features[7, 2] = value
    (np.save if suffix == "npy" else np.savez)(tmp_path / f"a.{suffix}", features)
    source, _ = only(tmp_path)
    message = rf"a\.{suffix}: features must be finite, but row 2 of frame 7 is (nan|inf) instead"
    with pytest.raises(DataError, match=message):
        source.laid_out(Layout.TD).read()


def test_archives_that_hold_not_one_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", rgb=np.zeros((2, 3)), flow=np.zeros((2, 3)))
    (tmp_path / "b.npz").write_bytes(b"no archive")
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("notes.txt", "no array")
    with zipfile.ZipFile(tmp_path / "d.npz", "w"):
        pass
    issues: list[DataError] = []
    find_sources(tmp_path, None, issues)
    assert [str(issue).removeprefix(f"{tmp_path}/") for issue in issues] == [
        "a.npz: expected one array, but found 2 (rgb, flow).",
        "b.npz: cannot be read as a numpy archive (.npz) (File is not a zip file).",
        "c.npz: expected a matrix of numbers, but found nothing.",
        "d.npz: expected a matrix of numbers, but found nothing.",
    ]


def test_facts_beside_the_features_are_passed_over(tmp_path: Path) -> None:
    numbers = np.arange(12, dtype=np.float32).reshape(3, 4)
    others = (np.float64(25), np.array("a"), np.array({}), np.zeros((2, 3, 4)))
    np.savez(tmp_path / "a.npz", *others, features=numbers)
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr("README", "no array")
    savemat(tmp_path / "b.mat", {"features": numbers, "fps": 25.0})
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["features"], file["empty"] = numbers, h5py.Empty("f4")
    for path in tmp_path.iterdir():
        source = open_source(path, None)
        np.testing.assert_array_equal(source.read(), numbers)


def test_two_files_of_one_name_in_two_unicode_forms(tmp_path: Path) -> None:
    for name in ("\u00e9", "e\u0301"):
        np.save(tmp_path / name, np.zeros((2, 3)))
    find_sources(tmp_path, None, issues := [])
    assert issues[0].reason.endswith("whose name differs in its Unicode form alone.")


def test_names_of_files(tmp_path: Path) -> None:
    for name in ("a.1.npy", "._a.npy", " b.npy", "c\n.npy", "notes.txt"):
        np.save(tmp_path / "x", np.zeros((2, 3)))
        (tmp_path / "x.npy").rename(tmp_path / name)
    np.savez(tmp_path / "a.1.npz", np.zeros((2, 3)))
    issues: list[DataError] = []
    sources = find_sources(tmp_path, None, issues)
    assert {name for name, source in sources.items() if source} == {"a.1"}
    assert sorted(issue.path.name for issue in issues) == [" b.npy", "a.1.npz", "c\n.npy"]
    assert any("must have one file, but has a.1.npy too" in issue.reason for issue in issues)
