"""A folder of feature files of any origin: its videos, which axis is which, and copies in our own format."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from g2l.datasets.arrays import ARRAY_FORMATS, BINARY_FORMATS, TEXT_FORMATS, StoredArray
from g2l.datasets.convert.request import Layout
from g2l.datasets.errors import DataError
from g2l.datasets.features import FeatureFile, Features, as_features, open_features
from g2l.datasets.layout import name_error
from g2l.datasets.reading import is_folder, normal, present, reading
from g2l.errors import brief, did_you_mean

FEATURE_FORMATS = f".npy, {', '.join(BINARY_FORMATS)}, or numbers as text in {', '.join(TEXT_FORMATS)}"
LABELS = "Y"
"""Variable of a `.mat` file that holds class numbers (Lea et al.)."""
_FEATURES = "X"
"""Variable of a `.mat` file that holds features unless another one is asked for."""


@dataclass(frozen=True)
class FeatureSource:
    """One video's features, whose header was checked.

    Attributes:
        header: Its `path` is the file; offsets count in `.npy` files only.
        member: Name inside a file that can hold several arrays, or None.
    """

    header: FeatureFile
    member: str | None = None

    def laid_out(self, layout: Layout) -> FeatureSource:
        """Return this source with its axes known."""
        return replace(self, header=replace(self.header, frames_first=layout is Layout.TD))

    def read(self, num_frames: int | None = None) -> Features:
        """Return the first `num_frames` frames (None: all), C-contiguous (D, T).

        Raises:
            DataError: A number is NaN or infinite in float32, or the file cannot be read any more.
        """
        if self.member is None:
            return self.header.read(1, num_frames)
        path = self.header.path
        array = ARRAY_FORMATS[path.suffix.lower()].read_array(path, self.member)
        with reading(path):  # whose axes of length 1 are dropped
            array = array.reshape(self.header.shape)
        return as_features(path, (array.T if self.header.frames_first else array)[:, :num_frames])


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and of the folders in it, sorted; what is hidden is passed over."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))


def find_sources(
    folder: Path, variable: str | None, issues: list[DataError]
) -> dict[str, FeatureSource | None]:
    """Return the source of each video below a folder, None with an issue added where it cannot be used.

    Numbers as text are read only where there are no other feature files: text files beside those are labels.

    Raises:
        DataError: There is no such folder, or no feature file in it.
    """
    if not is_folder(folder):
        what = "a file" if present(folder) else "nothing"
        raise DataError(folder, None, f"expected a folder of feature files, but found {what}.")
    by_suffix: dict[str, list[Path]] = {}
    for path in files_below(folder):
        by_suffix.setdefault(path.suffix.lower(), []).append(path)
    paths = [path for suffix in (".npy", *BINARY_FORMATS) for path in by_suffix.get(suffix, ())]
    paths = sorted(paths or [path for suffix in TEXT_FORMATS for path in by_suffix.get(suffix, ())])
    if not paths:
        others = " and ".join(f"{len(files)} {suffix or 'others'}" for suffix, files in by_suffix.items())
        message = f"expected feature files ({FEATURE_FORMATS}), but found {brief(others) or 'no files'}."
        raise DataError(folder, None, message)
    sources: dict[str, FeatureSource | None] = {}
    origins: dict[str, Path] = {}
    for path in paths:
        name = normal(path.stem)
        try:
            if (reason := name_error(path.stem)) or path.stem != path.stem.strip():
                expected = "expected a file name that is the name of a video"
                raise DataError(path, None, f"{expected}, but it {reason or 'has spaces around it'}.")
            found = open_source(path, variable)
        except DataError as error:
            issues.append(error)
            sources.setdefault(name, None)
            continue
        if name in origins:
            other = origins[name]
            message = f"video {name!r} must have one file, but has {other.relative_to(folder)} too."
            if path.stem != other.stem:
                message = f"{message[:-1]}, whose name differs in its Unicode form alone."
            issues.append(DataError(path, None, message))
        else:
            origins[name], sources[name] = path, found
    return sources


def open_source(path: Path, variable: str | None) -> FeatureSource:
    """Return the features of a file: of several arrays `variable`, or else the only one, of `.mat` files `X`.

    Raises:
        DataError: The file cannot be read, or holds no such matrix of numbers.
    """
    if path.suffix.lower() == ".npy":
        return FeatureSource(open_features(path))
    arrays = ARRAY_FORMATS[path.suffix.lower()].list_arrays(path)
    name = _choose(path, arrays, variable)
    array, matrix = arrays[name], arrays[name].matrix
    if matrix is None or min(matrix) < 1:
        raise DataError(path, None, f"expected a matrix of numbers, but {name} is {array}.")
    return FeatureSource(FeatureFile(path, matrix, np.dtype(array.dtype), 0, False), name)


def find_layout(
    folder: Path, headers: Sequence[FeatureFile], layout: Layout | None, feature_dim: int | None
) -> tuple[Layout, int]:
    """Return which axis is first, and D: the axis that has the same length in all files, or else in most.

    Raises:
        DataError: Both axes have the same length in all files, or none has length `feature_dim`.
    """
    shapes = [header.shape for header in headers]
    counts: Counter[tuple[Layout, int]] = Counter()
    for shape in shapes:
        for axis, length in zip(Layout, shape, strict=True):
            if layout in (None, axis) and feature_dim in (None, length):
                counts[axis, length] += 1
    example = f"{shapes[0][0]} × {shapes[0][1]}"
    if not counts:
        side = {None: "axis", Layout.DT: "first axis", Layout.TD: "second axis"}[layout]
        message = f"expected feature_dim {feature_dim}, but the {side} of no file has this length"
        raise DataError(folder, None, f"{message} ({headers[0].path.name} is {example}).")
    if len([key for key, count in counts.items() if count == len(shapes)]) > 1:
        message = f"all files are {example}, so features and frames cannot be distinguished."
        hint = "give --layout dt (feature_dim × frames) or --layout td (frames × feature_dim)."
        raise DataError(folder, None, message, hint=hint)
    return max(counts, key=counts.__getitem__)


def _choose(path: Path, arrays: Mapping[str, StoredArray], variable: str | None) -> str:
    """Return the name of the variable that holds the features."""
    matrices = [item for item in arrays.items() if item[1].matrix is not None]
    # A single number beside others is a fact such as a frame rate.
    usable = [item for item in matrices if max(item[1].shape) != 1] or matrices
    usable = usable if variable is None else [*arrays.items()]
    if not usable:
        shown = brief(", ".join(f"{name}: {array}" for name, array in arrays.items())) or "nothing"
        raise DataError(path, None, f"expected a matrix of numbers, but found {shown}.")
    names = [name for name, _ in usable]
    if variable is None and path.suffix.lower() == ".mat":
        names = [name for name in names if name != LABELS]
        variable = _FEATURES if _FEATURES in names else None
    if variable is None and len(names) == 1:
        return names[0]
    if variable is not None and variable in names:
        return variable
    shown = brief(f"{len(names)} ({', '.join(names)})")
    if variable is not None:
        message, hint = f"expected an array {variable!r}, but found {shown}.", did_you_mean(variable, names)
    else:
        message = f"expected one array, but found {shown}."
        hint = f"--variable chooses one: {brief(', '.join(names))}." if names else None
    raise DataError(path, None, message, hint=hint)
