"""Features in the files of torch, HDF5 and MATLAB, and what is refused in them."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from scipy.io import savemat

from g2l.datasets.array_files.formats import ARRAY_FORMATS
from g2l.datasets.array_files.torch_arrays import list_arrays
from g2l.datasets.faults import DataError, Fault
from g2l.datasets.feature_sources import copy_features, find_sources
from g2l.datasets.source_files import Layout, open_sources

NUMBERS = np.arange(12, dtype=np.float32).reshape(3, 4)  # 3 features, 4 frames


def save_v73(path: Path, **variables: np.ndarray[Any, Any] | list[np.ndarray[Any, Any]]) -> None:
    """Write what MATLAB writes with -v7.3: HDF5 behind some text, columns as rows, cells asreferences."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            if isinstance(value, list):
                refs = file.create_dataset(name, (1, len(value)), dtype=h5py.ref_dtype)
                for number, array in enumerate(value):
                    cell = file.create_dataset(f"#refs#/{name}{number}", data=array.T)
                    refs[0, number] = cell.ref
            else:
                file.create_dataset(name, data=value.T)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512))


def cells(*arrays: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    row = np.empty((1, len(arrays)), dtype=object)
    for number, array in enumerate(arrays):
        row[0, number] = array
    return row


def write(path: Path, numbers: np.ndarray[Any, Any]) -> None:
    if path.suffix in (".pt", ".pth"):
        torch.save(torch.from_numpy(numbers.copy()), path)
    elif path.suffix in (".h5", ".hdf5"):
        with h5py.File(path, "w") as file:
            file["deep/features"] = numbers
    elif path.stem.startswith("new"):
        save_v73(path, features=numbers)
    else:
        savemat(path, {"features": numbers})


def copied(source: Any, layout: Layout, folder: Path) -> np.ndarray[Any, Any]:
    folder.mkdir(exist_ok=True)
    copy_features(source.laid_out(layout), folder / "copy.npy")
    assert [path.name for path in folder.iterdir()] == ["copy.npy"]
    return np.load(folder / "copy.npy", allow_pickle=False)


@pytest.mark.parametrize("name", ["a.pt", "a.pth", "a.h5", "a.hdf5", "a.mat", "new.mat"])
@pytest.mark.parametrize("layout", list(Layout))
def test_each_format_gives_the_same_numbers(tmp_path: Path, name: str, layout: Layout) -> None:
    write(tmp_path / name, NUMBERS if layout is Layout.DT else np.ascontiguousarray(NUMBERS.T))
    faults: list[Fault] = []
    ((video, source),) = find_sources(tmp_path, None, faults).items()
    assert (video, faults) == (name.split(".")[0], [])
    assert source is not None
    assert source.laid_out(layout).header.num_frames == 4
    np.testing.assert_array_equal(copied(source, layout, tmp_path / "out"), NUMBERS)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int32])
def test_tensors_of_any_number_type(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.save(torch.from_numpy(NUMBERS).to(dtype), tmp_path / "a.pt")
    (source,) = open_sources(tmp_path / "a.pt", None).values()
    np.testing.assert_array_equal(copied(source, Layout.DT, tmp_path / "out"), NUMBERS)


def test_old_files_of_torch(tmp_path: Path) -> None:
    torch.save(torch.ones(2, 3), tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    (source,) = open_sources(tmp_path / "a.pt", None).values()
    assert source.header.shape == (2, 3)


def test_several_arrays_ask_for_the_variable(tmp_path: Path) -> None:
    other = np.ones((5, 6), np.float32)
    torch.save({"rgb": torch.from_numpy(NUMBERS), "flow": torch.from_numpy(other)}, tmp_path / "a.pt")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["rgb"], file["flow"] = NUMBERS, other
    savemat(tmp_path / "c.mat", {"rgb": NUMBERS, "flow": other, "Y": np.zeros((1, 4))})
    np.savez(tmp_path / "d.npz", rgb=NUMBERS, flow=other)
    faults: list[Fault] = []
    find_sources(tmp_path, None, faults)
    assert all(fault.message.startswith("expected one array, but found 2 (") for fault in faults)
    assert [(fault.hint or "").startswith("--variable chooses one: ") for fault in faults] == [True] * 4
    sources = find_sources(tmp_path, "rgb", [])
    assert {name: source and source.header.shape for name, source in sources.items()} == dict.fromkeys(
        "abcd", (3, 4)
    )
    find_sources(tmp_path, "flo", misspelt := [])
    assert {fault.hint for fault in misspelt} == {"did you mean flow?"}


def test_lea_files_have_features_in_x_and_labels_in_y(tmp_path: Path) -> None:
    labels = np.zeros((4, 1))
    savemat(tmp_path / "a.mat", {"X": NUMBERS.T, "S": np.ones((4, 9)), "A": np.ones((4, 2)), "Y": labels})
    assert open_sources(tmp_path / "a.mat", None)["a"].header.shape == (4, 3)
    assert open_sources(tmp_path / "a.mat", "S")["a"].header.shape == (4, 9)


@pytest.mark.parametrize("version", ["old", "new"])
def test_each_cell_is_a_video(tmp_path: Path, version: str) -> None:
    parts = [NUMBERS, NUMBERS[:, :2] + 20]
    if version == "old":
        savemat(tmp_path / "1.mat", {"X": cells(*parts), "Y": cells(np.zeros(4), np.zeros(2))})
    else:
        save_v73(tmp_path / "1.mat", X=parts, Y=[np.zeros((4, 1)), np.zeros((2, 1))])
    sources = open_sources(tmp_path / "1.mat", None)
    assert list(sources) == ["1_1", "1_2"]
    for source, part in zip(sources.values(), parts, strict=True):
        np.testing.assert_array_equal(copied(source, Layout.DT, tmp_path / "out"), part)


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
    faults: list[Fault] = []
    assert set(find_sources(tmp_path, None, faults).values()) == {None}
    refusal = "expected a tensor or a dictionary of tensors, "
    assert {fault.path.name: fault.message for fault in faults} == {
        "a.pt": refusal + "and other objects are never unpickled.",
        "b.pt": refusal + "and other objects are never unpickled.",
        "c.h5": "expected one array, but found 0 ().",
        "d.mat": "expected one array, but found 0 ().",
        "e.pt": refusal + "but found a list.",
        "f.pt": "expected one array, but found 0 ().",
    }


def test_numbers_that_are_no_matrix(tmp_path: Path) -> None:
    torch.save(torch.zeros(2, 3, 4), tmp_path / "a.pt")
    savemat(tmp_path / "b.mat", {"X": cells(NUMBERS, np.zeros((0, 3)))})
    faults: list[Fault] = []
    find_sources(tmp_path, None, faults)
    assert [fault.message for fault in faults] == [
        "expected one array, but found 0 ().",
        "expected a matrix of numbers, but X{2} is float64 of shape (0, 3).",
    ]


@pytest.mark.parametrize("suffix", list(ARRAY_FORMATS))
@pytest.mark.parametrize("content", [b"", b"no such format" * 50, None])
def test_damaged_files_are_one_clear_line(tmp_path: Path, suffix: str, content: bytes | None) -> None:
    path = tmp_path / f"a{suffix}"
    write(path, np.ones((40, 50), np.float32))
    path.write_bytes(path.read_bytes()[:700] if content is None else content)
    with pytest.raises(DataError, match=r"cannot be read as|never unpickled") as caught:
        copied(open_sources(path, None)["a"], Layout.DT, tmp_path / "out")
    assert caught.value.fault.path == path
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("value", [0, 14])
def test_no_byte_of_a_matlab_file_makes_scipy_crash(tmp_path: Path, value: int) -> None:
    savemat(tmp_path / "a.mat", {"X": NUMBERS, "Y": cells(np.zeros(4)), "text": "a", "more": {"b": 1}})
    whole = (tmp_path / "a.mat").read_bytes()
    refused = 0
    for place in range(124, len(whole)):
        (tmp_path / "a.mat").write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
        try:
            copied(open_sources(tmp_path / "a.mat", None)["a"], Layout.DT, tmp_path / "out")
        except (DataError, KeyError):
            refused += 1
    assert 20 < refused < len(whole) - 200


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
    (source,) = open_sources(tmp_path / "in" / "a.h5", None).values()
    assert source.member == "own"


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.h5", NUMBERS)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match=r"a\.h5: cannot be read without the package h5py") as caught:
        open_sources(tmp_path / "a.h5", None)
    assert caught.value.hint == "pip install 'g2l[hdf5]'."


def test_scalars_beside_the_features_do_not_matter(tmp_path: Path) -> None:
    torch.save({"fps": torch.tensor(15.0), "features": torch.ones(2, 3)}, tmp_path / "a.pt")
    assert list(list_arrays(tmp_path / "a.pt")) == ["fps", "features"]
    assert open_sources(tmp_path / "a.pt", None)["a"].member == "features"
