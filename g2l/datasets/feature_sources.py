"""A folder of feature files of any origin: its videos, which axis is which, and copies in our own format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from g2l.datasets.bundle import name_fault
from g2l.datasets.faults import DataError, Fault
from g2l.datasets.features import FeatureFile
from g2l.datasets.source_files import SUFFIXES, FeatureSource, Layout, open_sources, unpacked

_CHUNK_NUMBERS = 2**24
"""Copied at a time: 64 MiB of float32."""


def find_sources(folder: Path, variable: str | None, faults: list[Fault]) -> dict[str, FeatureSource | None]:
    """Return the source of each video of a folder, None with a fault added where it is of no use.

    Hidden files are passed over.

    Args:
        folder: Holds files of the formats that `SUFFIXES` lists.
        variable: As of `open_sources`.
        faults: Added to.

    Raises:
        DataError: There is no such folder, or no feature file in it.
    """
    if not folder.is_dir():
        raise DataError(Fault(folder, None, "no such folder of feature files."))
    paths = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.name[0] != ".")
    if not paths:
        message = f"expected feature files ({', '.join(SUFFIXES)}), but found none."
        raise DataError(Fault(folder, None, message))
    sources: dict[str, FeatureSource | None] = {}
    origins: dict[str, Path] = {}
    for path in paths:
        try:
            _check_name(path)
            found = open_sources(path, variable)
        except DataError as error:
            faults.append(error.fault)
            sources.setdefault(path.stem, None)
            continue
        for name, source in found.items():
            if name in origins:
                message = f"video {name!r} must have one file, but has {origins[name].name} too."
                faults.append(Fault(path, None, message))
            else:
                origins[name], sources[name] = path, source
    return sources


def find_layout(
    folder: Path, headers: Sequence[FeatureFile], layout: Layout | None, feature_dim: int | None
) -> tuple[Layout, int]:
    """Return which axis is first, and D: the axis that has the same length in all files, or else in most.

    Args:
        folder: To name in errors.
        headers: At least one.
        layout: None when it is not known.
        feature_dim: D, or None when it is not known.

    Raises:
        DataError: Both axes have the same length in all files, or none has length `feature_dim`.
    """
    shapes = [header.shape for header in headers]
    counts: Counter[tuple[Layout, int]] = Counter()
    for shape in shapes:
        for axis, length in zip(Layout, shape, strict=True):
            if layout in (None, axis) and feature_dim in (None, length):
                counts[axis, length] += 1
    if not counts:
        side = {None: "axis", Layout.DT: "first axis", Layout.TD: "second axis"}[layout]
        example = f"{headers[0].path.name} is {shapes[0][0]} × {shapes[0][1]}"
        message = (
            f"expected feature_dim {feature_dim}, but the {side} of no file has this length ({example})."
        )
        raise DataError(Fault(folder, None, message))
    common = [key for key, count in counts.items() if count == len(shapes)]
    if len(common) > 1:
        message = f"all files are {shapes[0][0]} × {shapes[0][1]}, which does not tell features from frames."
        hint = "give --layout dt (feature_dim × frames) or --layout td (frames × feature_dim)."
        raise DataError(Fault(folder, None, message, hint=hint))
    return max(counts, key=counts.__getitem__)


def copy_features(source: FeatureSource, target: Path) -> None:
    """Write features as float32, C-contiguous (D, T), a few rows at a time.

    Raises:
        DataError: A number is NaN or infinite in float32, or the file cannot be read any more.
    """
    with unpacked(source, target) as header, target.open("wb") as file:
        matrix = header.map()
        description = {"descr": "<f4", "fortran_order": False, "shape": matrix.shape}
        np.lib.format.write_array_header_1_0(file, description)
        rows = max(1, _CHUNK_NUMBERS // matrix.shape[1])
        for first in range(0, len(matrix), rows):
            with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, which is reported below
                chunk = np.array(matrix[first : first + rows], dtype="<f4", order="C")
            finite = np.isfinite(chunk)
            if not finite.all():
                row, frame = np.argwhere(~finite)[0]
                message = (
                    f"features must be finite, but feature {first + row} of frame {frame} is "
                    f"{chunk[row, frame]} instead (counted from 0)."
                )
                hint = "repair the file, or take its video out."
                raise DataError(Fault(source.header.path, None, message, hint=hint))
            file.write(chunk.data)


def _check_name(path: Path) -> None:
    if (reason := name_fault(path.stem)) or path.stem != path.stem.strip():
        message = (
            f"expected a file name that is the name of a video, but it {reason or 'has spaces around it'}."
        )
        raise DataError(Fault(path, None, message))
