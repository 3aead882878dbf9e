from __future__ import annotations

import pickle
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from g2l.datasets.arrays import open_arrays
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


NUMBERS = np.arange(12, dtype=np.float32).reshape(3, 4)  # 3 features, 4 frames


def save_v73(path: Path, **variables: np.ndarray[Any, Any]) -> None:
    """Write what MATLAB writes with -v7.3: HDF5 behind some text, columns as rows."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            file.create_dataset(name, data=value.T)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512))


def write(path: Path, numbers: np.ndarray[Any, Any]) -> None:
    if path.suffix in (".pt", ".pth"):
        torch.save(torch.from_numpy(numbers.copy()), path)
    elif path.suffix in (".h5", ".hdf5"):
        with h5py.File(path, "w") as file:
            file["deep/features"] = numbers
    elif path.suffix == ".npz":
        np.savez(path, numbers)
    elif path.stem.startswith("new"):
        save_v73(path, features=numbers)
    else:
        savemat(path, {"features": numbers})


@pytest.mark.parametrize("name", ["a.pt", "a.pth", "a.h5", "a.hdf5", "a.mat", "new.mat"])
@pytest.mark.parametrize("layout", list(Layout))
def test_each_format_gives_the_same_numbers(tmp_path: Path, name: str, layout: Layout) -> None:
    write(tmp_path / name, NUMBERS if layout is Layout.DT else np.ascontiguousarray(NUMBERS.T))
    issues: list[DataError] = []
    ((video, source),) = find_sources(tmp_path, None, issues).items()
    assert (video, issues) == (name.split(".")[0], [])
    assert source is not None
    assert source.laid_out(layout).header.num_frames == 4
    np.testing.assert_array_equal(source.laid_out(layout).read(), NUMBERS)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int32])
def test_tensors_of_any_number_type(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.save(torch.from_numpy(NUMBERS).to(dtype), tmp_path / "a.pt")
    source = open_source(tmp_path / "a.pt", None)
    np.testing.assert_array_equal(source.read(), NUMBERS)


def test_several_arrays_ask_for_the_variable(tmp_path: Path) -> None:
    other = np.ones((5, 6), np.float32)
    torch.save({"rgb": torch.from_numpy(NUMBERS), "flow": torch.from_numpy(other)}, tmp_path / "a.pt")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["rgb"], file["flow"] = NUMBERS, other
    savemat(tmp_path / "c.mat", {"rgb": NUMBERS, "flow": other, "Y": np.zeros((1, 4))})
    np.savez(tmp_path / "d.npz", rgb=NUMBERS, flow=other)
    issues: list[DataError] = []
    find_sources(tmp_path, None, issues)
    assert all(issue.reason.startswith("expected one array, but found 2 (") for issue in issues)
    assert [(issue.hint or "").startswith("--variable chooses one: ") for issue in issues] == [True] * 4
    sources = find_sources(tmp_path, "rgb", [])
    assert {name: source and source.header.shape for name, source in sources.items()} == dict.fromkeys(
        "abcd", (3, 4)
    )
    find_sources(tmp_path, "flo", misspelt := [])
    assert {issue.hint for issue in misspelt} == {"did you mean flow?"}


def test_lea_files_have_features_in_x_and_labels_in_y(tmp_path: Path) -> None:
    labels = np.zeros((4, 1))
    savemat(tmp_path / "a.mat", {"X": NUMBERS.T, "S": np.ones((4, 9)), "A": np.ones((4, 2)), "Y": labels})
    assert open_source(tmp_path / "a.mat", None).header.shape == (4, 3)
    assert open_source(tmp_path / "a.mat", "S").header.shape == (4, 9)


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("unpickled",))


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    torch.save({"features": Trap()}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Trap()))
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file.create_dataset("texts", data=["a", "b"], dtype=h5py.string_dtype())
    savemat(tmp_path / "d.mat", {"X": {"a": 1}, "name": "text"})
    torch.save(["no", "tensors"], tmp_path / "e.pt")
    torch.save({"names": "none"}, tmp_path / "f.pt")
    np.save(tmp_path / "g.npy", np.array([[Trap()]], dtype=object))
    np.savez(tmp_path / "h.npz", np.array([[Trap()]], dtype=object))
    issues: list[DataError] = []
    assert set(find_sources(tmp_path, None, issues).values()) == {None}
    found = {issue.path.name: issue.reason for issue in issues}
    for name in ("a.pt", "b.pt"):
        assert "other objects are never unpickled" in found[name]
    assert "names" in found["c.h5"] or "texts: object" in found["c.h5"]
    assert "X: a struct" in found["d.mat"]
    assert "but found a list." in found["e.pt"]
    assert "object" in found["g.npy"]
    assert "object" in found["h.npz"]
    assert "found nothing" in found["f.pt"]


def test_hdf5_does_not_reach_into_other_files(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = NUMBERS
    (tmp_path / "raw.bin").write_bytes(NUMBERS.tobytes())
    (tmp_path / "in").mkdir()
    with h5py.File(tmp_path / "in" / "a.h5", "w") as file:
        file["link"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "secret")
        file.create_dataset("outside", (3, 4), "f4", external=[(str(tmp_path / "raw.bin"), 0, 48)])
        virtual = h5py.VirtualLayout((3, 4), "f4")
        virtual[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "secret", (3, 4))
        file.create_virtual_dataset("virtual", virtual)
        file["own"] = NUMBERS
    source = open_source(tmp_path / "in" / "a.h5", None)
    assert source.member == "own"


def test_a_matlab_file_follows_no_links(tmp_path: Path) -> None:
    save_v73(tmp_path / "secret.mat", X=NUMBERS)
    save_v73(tmp_path / "a.mat")
    with h5py.File(tmp_path / "a.mat", "r+") as file:
        file["X"] = h5py.ExternalLink(str(tmp_path / "secret.mat"), "X")
        file["Y"] = h5py.SoftLink("/X")
    with pytest.raises(DataError, match=r"a\.mat: .*links and data in other files are not followed"):
        open_source(tmp_path / "a.mat", None)


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.h5", NUMBERS)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match=r"a\.h5: cannot be read without the package h5py") as caught:
        open_source(tmp_path / "a.h5", None)
    assert caught.value.hint == "pip install 'g2l[hdf5]'."


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(6, 60).to(torch.float8_e4m3fn),
        torch.zeros(6, 60, dtype=torch.complex64).conj(),
        torch.zeros(6, 60).to_sparse(),
        torch.zeros(1).expand(2**40, 4),
    ],
)
def test_tensors_without_plain_numbers_are_one_line(tmp_path: Path, tensor: torch.Tensor) -> None:
    torch.save(tensor, tmp_path / "a.pt")
    with pytest.raises(DataError, match=r"a\.pt: (expected a matrix of numbers|cannot be read as)"):
        open_source(tmp_path / "a.pt", None).read()


def test_arrays_larger_than_their_file_are_refused_before_they_are_made(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (2**20, 2**22), "f4", chunks=(64, 64))
    with pytest.raises(DataError, match="x: more numbers than the file holds"):
        open_source(tmp_path / "a.h5", None)
    savemat(tmp_path / "a.mat", {"X": np.zeros((2, 3))})
    raw = (tmp_path / "a.mat").read_bytes()
    (tmp_path / "a.mat").write_bytes(raw.replace(struct.pack("<ii", 2, 3), struct.pack("<ii", 2**30, 3)))
    with pytest.raises(DataError, match="claims more numbers than the file holds"):
        open_source(tmp_path / "a.mat", None)
    savemat(tmp_path / "b.mat", {"X": scipy.sparse.eye(3), "Z": {"a": 1}})
    with pytest.raises(DataError, match="X: a sparse"):
        open_source(tmp_path / "b.mat", None)


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3\n4,5,6\n",
        "a,b,c\n1,2,3\n4,5,6\n",
        "1.0 2 3\n4 5e0 6",
        "1,0;2,0;3;\n4;5;6;\n",
        "x\ty\tz\n1\t2\t3\n\n4\t5\t6\n",
        ",0,1,2\n0,1.0,2.0,3.0\n1,4.0,5.0,6.0\n",
        '"1","2","3"\n"4","5","6"\n',
    ],
)
def test_numbers_as_text(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    issues: list[DataError] = []
    source = find_sources(tmp_path, None, issues)["a"]
    assert source is not None
    np.testing.assert_array_equal(source.read(), np.arange(1, 7).reshape(2, 3))


@pytest.mark.parametrize("text", ["", "a,b\n", "1,2\n3\n", "1,x\n2,3\n4,y\n", "1,,3\n4,5,6\n"])
def test_text_that_is_no_matrix_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=r"a\.csv(:\d)?: .*a table of numbers"):
        open_source(tmp_path / "a.csv", None)


def test_a_corrupted_mat_file_never_ends_the_process(tmp_path: Path) -> None:
    savemat(tmp_path / "whole.mat", {"X": np.arange(12.0).reshape(3, 4)})
    whole = (tmp_path / "whole.mat").read_bytes()
    refused: dict[Path, DataError] = {}
    for place in range(128, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path = tmp_path / f"{place}.mat"
        path.write_bytes(damaged)
        try:
            with open_arrays(path) as arrays:
                for array in arrays.values():
                    array.read()
        except DataError as error:
            refused[path] = error
    assert refused
    assert all(str(path) in str(error) for path, error in refused.items())
