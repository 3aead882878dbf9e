"""A folder of feature files of any origin: its videos, which axis is which, and copies in our own format.

MATLAB: Lea et al. (CVPR 2017) keep features in the matrices `X`, `A` or `S` and class numbers in `Y`, one
file for each video.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from g2l.datasets.arrays import BINARY_FORMATS, TEXT_FORMATS, Arrays, open_arrays
from g2l.datasets.convert.request import Layout
from g2l.datasets.errors import DataError
from g2l.datasets.features import FeatureFile, Features, as_features, open_features
from g2l.datasets.layout import name_error
from g2l.datasets.reading import is_folder, normal, present
from g2l.errors import brief, did_you_mean

FEATURE_FORMATS = f".npy, {', '.join(BINARY_FORMATS)}, or numbers as text in {', '.join(TEXT_FORMATS)}"
LABELS = "Y"
"""Variable of a `.mat` file that holds class numbers."""
_FEATURES = "X"
"""Variable of a `.mat` file that holds features unless another one is asked for."""


@dataclass(frozen=True)
class FeatureSource:
    """One video's features, whose header was checked; `member` is its name in a file of several arrays."""

    header: FeatureFile
    member: str | None = None

    def laid_out(self, layout: Layout) -> FeatureSource:
        """Return this source with its axes known."""
        return replace(self, header=replace(self.header, frames_first=layout is Layout.TD))

    def read(self, num_frames: int | None = None) -> Features:
        """Return the first `num_frames` frames (None: all), (D, T), finite, or raise DataError."""
        if self.member is None:
            return self.header.read(1, num_frames)
        path = self.header.path
        with open_arrays(path) as arrays:
            array = np.asarray(arrays[self.member].read()).reshape(self.header.shape)
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
    Without any, DataError is raised.
    """
    if not is_folder(folder):
        what = "a file" if present(folder) else "nothing"
        raise DataError(folder, None, f"expected a folder of feature files, but found {what}.")
    files = list(files_below(folder))
    paths = [path for path in files if path.suffix.lower() in (".npy", *BINARY_FORMATS)]
    paths = paths or [path for path in files if path.suffix.lower() in TEXT_FORMATS]
    if not paths:
        counts = Counter(path.suffix.lower() or "others" for path in files)
        others = " and ".join(f"{count} {suffix}" for suffix, count in counts.items())
        message = f"expected feature files ({FEATURE_FORMATS}), but found {brief(others) or 'no files'}."
        raise DataError(folder, None, message)
    sources: dict[str, FeatureSource | None] = {}
    for path in sorted(paths):
        name = normal(path.stem)
        try:
            if (reason := name_error(path.stem)) or path.stem != path.stem.strip():
                expected = "expected a file name that is the name of a video"
                raise DataError(path, None, f"{expected}, but it {reason or 'has spaces around it'}.")
            found = open_source(path, variable)
            if other := sources.get(name):
                same = other.header.path
                message = f"video {name!r} must have one file, but has {same.relative_to(folder)} too."
                if path.stem != same.stem:
                    message = f"{message[:-1]}, whose name differs in its Unicode form alone."
                raise DataError(path, None, message)
            sources[name] = found
        except DataError as error:
            issues.append(error)
            sources.setdefault(name, None)
    return sources


def open_source(path: Path, variable: str | None) -> FeatureSource:
    """Return the features of a file: of several arrays `variable`, else the only one, of `.mat` files `X`."""
    if path.suffix.lower() == ".npy":
        return FeatureSource(open_features(path))
    with open_arrays(path) as arrays:
        name = _choose(path, arrays, variable)
        array, matrix = arrays[name], arrays[name].matrix
    if matrix is None or min(matrix) < 1:
        raise DataError(path, None, f"expected a matrix of numbers, but {name} is {array}.")
    return FeatureSource(FeatureFile(path, matrix, np.dtype(array.dtype), 0, False), name)


def find_layout(
    folder: Path, headers: Sequence[FeatureFile], layout: Layout | None, feature_dim: int | None
) -> tuple[Layout, int]:
    """Return the first axis, and D: the axis of equal length in all files, or in most, or raise DataError."""
    counts = Counter(
        (axis, length)
        for header in headers
        for axis, length in zip(Layout, header.shape, strict=True)
        if layout in (None, axis) and feature_dim in (None, length)
    )
    example = "{} × {}".format(*headers[0].shape)
    if not counts:
        side = {None: "axis", Layout.DT: "first axis", Layout.TD: "second axis"}[layout]
        message = f"expected feature_dim {feature_dim}, but the {side} of no file has this length"
        raise DataError(folder, None, f"{message} ({headers[0].path.name} is {example}).")
    if list(counts.values()).count(len(headers)) > 1:
        message = f"all files are {example}, so features and frames cannot be distinguished."
        hint = "give --layout dt (feature_dim × frames) or --layout td (frames × feature_dim)."
        raise DataError(folder, None, message, hint=hint)
    return max(counts, key=counts.__getitem__)


def _choose(path: Path, arrays: Arrays, variable: str | None) -> str:
    matrices = [name for name, array in arrays.items() if array.matrix is not None]
    # A single number beside others is a fact such as a frame rate.
    names = [name for name in matrices if max(arrays[name].shape) != 1] or matrices
    names = list(arrays) if variable is not None else names
    if not names:
        shown = brief(", ".join(f"{name}: {array}" for name, array in arrays.items())) or "nothing"
        raise DataError(path, None, f"expected a matrix of numbers, but found {shown}.")
    if variable is None and path.suffix.lower() == ".mat":
        names = [name for name in names if name != LABELS]
        variable = _FEATURES if _FEATURES in names else None
    if variable in names:
        return str(variable)
    if variable is None and len(names) == 1:
        return names[0]
    shown = brief(f"{len(names)} ({', '.join(names)})")
    if variable is not None:
        message, hint = f"expected an array {variable!r}, but found {shown}.", did_you_mean(variable, names)
        raise DataError(path, None, message, hint=hint)
    choice = f"--variable chooses one: {brief(', '.join(names))}." if names else None
    raise DataError(path, None, f"expected one array, but found {shown}.", hint=choice)
