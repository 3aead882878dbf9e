"""The labels of a conversion, whichever kind of file they are in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from g2l.datasets.conversion_request import ConversionRequest
from g2l.datasets.eaf_segments import read_eaf_segments
from g2l.datasets.faults import DataError, Fault
from g2l.datasets.frame_lists import read_frame_lists, read_mat_labels
from g2l.datasets.segment_table import SegmentTable, read_segments

_KINDS = (
    "a table of segments (.csv, .tsv), an .eaf file, or a folder of <video>.eaf or of <video>.txt with a "
    "class name a line"
)


def read_label_source(
    request: ConversionRequest,
    known_fps: float | None,
    classes: Sequence[str] | None,
    faults: list[Fault],
) -> SegmentTable:
    """Return the segments of all videos, appending what is wrong with them to `faults`.

    Args:
        request: Names the files.
        known_fps: The rate of the features as far as the request or their facts tell.
        classes: Names of the classes by number, or None.
        faults: Added to.

    Raises:
        DataError: There is no such file, or it is of no known kind.
    """
    path = request.segments
    if path is None:
        paths = sorted(request.features.glob("*.mat"))
        if not paths:
            message = "has no labels, which only .mat files hold beside the features."
            raise DataError(Fault(request.features, None, message, hint=f"--segments names {_KINDS}."))
        return read_mat_labels(request.features, paths, classes, faults)
    eaf, lists = _files(path)
    if eaf:
        if known_fps is None:
            hint = "give --fps, the frames per second of the features."
            raise DataError(Fault(path, None, "counts time in milliseconds, not in frames.", hint=hint))
        return read_eaf_segments(path, eaf, known_fps, request.tier, faults)
    if request.tier is not None:
        raise DataError(Fault(path, None, "has no tiers: --tier is for .eaf files."))
    if lists:
        return read_frame_lists(path, lists, faults)
    return read_segments(path, request.fps, faults)


def _files(path: Path) -> tuple[list[Path], list[Path]]:
    """Return the `.eaf` files and the lists of labels that are meant; neither where it is a table."""
    if not path.is_dir():
        if path.suffix.lower() not in (".csv", ".tsv", ".eaf") and path.exists():
            raise DataError(Fault(path, None, f"expected {_KINDS}."))
        return [path] if path.suffix.lower() == ".eaf" else [], []
    eaf, lists = (
        sorted(item for item in path.iterdir() if item.suffix.lower() == suffix and item.name[0] != ".")
        for suffix in (".eaf", ".txt")
    )
    if eaf and lists:
        message = f"expected labels of one kind, but found {len(eaf)} .eaf and {len(lists)} .txt files."
        raise DataError(Fault(path, None, message))
    if not eaf and not lists:
        raise DataError(Fault(path, None, f"expected {_KINDS}, but the folder holds none."))
    return eaf, lists
