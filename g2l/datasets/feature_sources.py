"""Feature files of any origin: `.npy` or `.npz`, either way round, of any number type."""

from __future__ import annotations

import shutil
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from lzma import LZMAError
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from g2l.datasets.bundle import name_fault
from g2l.datasets.faults import DataError, Fault
from g2l.datasets.features import FeatureFile, open_features, parse_header

_CHUNK_NUMBERS = 2**24
"""Copied at a time: 64 MiB of float32."""
_ZIP_ERRORS = (BadZipFile, zlib.error, LZMAError, EOFError, NotImplementedError, RuntimeError)
"""What `zipfile` raises of a damaged, an encrypted and a strangely compressed archive."""


class Layout(StrEnum):
    """Which axis comes first in a file."""

    DT = "dt"
    TD = "td"


@dataclass(frozen=True)
class FeatureSource:
    """One video's features, whose header was checked.

    Attributes:
        header: Its `path` is the `.npy` or `.npz` file.
        member: Name inside the `.npz` file, or None.
    """

    header: FeatureFile
    member: str | None = None

    def laid_out(self, layout: Layout) -> FeatureSource:
        """Return this source with its axes known."""
        return replace(self, header=replace(self.header, frames_first=layout is Layout.TD))


def find_sources(folder: Path, faults: list[Fault]) -> dict[str, FeatureSource | None]:
    """Return the source of each video of a folder, None with a fault added where it is of no use.

    Hidden files are passed over.

    Raises:
        DataError: There is no such folder, or no feature file in it.
    """
    if not folder.is_dir():
        raise DataError(Fault(folder, None, "no such folder of feature files."))
    paths = sorted(
        path for path in folder.iterdir() if path.suffix in (".npy", ".npz") and path.name[0] != "."
    )
    if not paths:
        raise DataError(Fault(folder, None, "expected one .npy or .npz file per video, but found none."))
    sources: dict[str, FeatureSource | None] = {}
    for path in paths:
        try:
            source = _open_source(path, taken=path.stem in sources)
        except DataError as error:
            faults.append(error.fault)
            sources.setdefault(path.stem, None)
        else:
            sources[path.stem] = source
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
    with _unpacked(source, target) as header, target.open("wb") as file:
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


def _open_source(path: Path, *, taken: bool) -> FeatureSource:
    if (reason := name_fault(path.stem)) or path.stem != path.stem.strip():
        message = (
            f"expected a file name that is the name of a video, but it {reason or 'has spaces around it'}."
        )
        raise DataError(Fault(path, None, message))
    if taken:
        raise DataError(
            Fault(path, None, f"video {path.stem!r} must have one file, but has a .npy file too.")
        )
    if path.suffix == ".npy":
        return FeatureSource(open_features(path))
    try:
        with ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) != 1:
                names = ", ".join(member.filename.removesuffix(".npy") for member in members)
                raise DataError(Fault(path, None, f"expected one array, but found {len(members)} ({names})."))
            with archive.open(members[0]) as stream:
                return FeatureSource(parse_header(path, stream, members[0].file_size), members[0].filename)
    except (*_ZIP_ERRORS, OSError) as error:
        raise DataError(Fault(path, None, f"cannot be read as a numpy archive (.npz): {error}.")) from None


@contextmanager
def _unpacked(source: FeatureSource, target: Path) -> Iterator[FeatureFile]:
    """Yield a header whose path can be memory-mapped: an archive is unpacked beside `target`."""
    if source.member is None:
        yield source.header
        return
    unpacked = target.with_name(f"{target.name}.unpacked")
    try:
        try:
            with (
                ZipFile(source.header.path) as archive,
                archive.open(source.member) as packed,
                unpacked.open("wb") as file,
            ):
                shutil.copyfileobj(packed, file)
        except (*_ZIP_ERRORS, KeyError) as error:
            message = f"cannot be read as a numpy archive (.npz): {error}."
            raise DataError(Fault(source.header.path, None, message)) from None
        yield replace(source.header, path=unpacked)
    finally:
        unpacked.unlink(missing_ok=True)
