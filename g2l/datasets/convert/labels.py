"""The labels of a conversion, whichever kind of file they are in: text, ELAN's `.eaf` or MATLAB."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np

from g2l.datasets.arrays import open_arrays
from g2l.datasets.convert.segments import LABEL_FORMATS, LabelSettings, SegmentTable, Unit
from g2l.datasets.convert.sources import LABELS, files_below
from g2l.datasets.convert.tables import read_text_labels
from g2l.datasets.errors import DataError
from g2l.datasets.reading import is_folder, normal, open_regular, present, read_bytes, reading

_SUFFIXES = (".eaf", ".csv", ".tsv", ".txt")
_MILLISECONDS = re.compile(r"\d{1,15}", re.ASCII)
"""Thirty thousand years at most."""


def read_labels_of(
    features: Path, path: Path | None, settings: LabelSettings, issues: list[DataError]
) -> SegmentTable:
    """Return the segments of all videos in `path` (see `LABEL_FORMATS`), or else in the features' .mat files.

    DataError if there are no such files; errors within one of several files are added to `issues`.
    """
    table = SegmentTable(path or features, settings, issues)
    settings.require(table.path, Unit.FRAMES)
    if path is None:
        files = [file for file in files_below(features) if file.suffix.lower() == ".mat"]
        if not files:
            message = "has no labels, which only .mat files hold beside the features."
            raise DataError(features, None, message, hint=f"--segments names {LABEL_FORMATS}.")
        read = _read_mat_labels
    else:
        files = _files(path)
        elan = files[0].suffix.lower() == ".eaf"
        if elan:
            settings.require(path, Unit.MILLISECONDS)
        elif settings.tier is not None and not _has_tabs(files[0]):
            raise DataError(path, None, "has no tiers: --tier is for files of ELAN.")
        read = _read_eaf_labels if elan else read_text_labels
    for file in files:
        try:
            read(file, table)
        except DataError as error:
            if file == path:
                raise
            table.mention(normal(file.stem), 1, file)
            issues.append(error.with_traceback(None))
    if settings.label_fps not in (None, settings.fps) and table.label_frames:
        frames = sum(each.end - each.start for segments in table.segments.values() for each in segments)
        message = (
            f"labels resampled from {settings.label_fps:g} to {settings.fps:g} frames per second: "
            f"{table.label_frames:,} labelled frames became {frames:,}; {table.left_out} segments shorter "
            "than a frame were left out."
        )
        table.warn(table.path, None, message)
    return table


def _files(path: Path) -> list[Path]:
    """Return the file, or the files of the folder, all with the same suffix."""
    if not is_folder(path):
        if path.suffix.lower() not in _SUFFIXES and present(path):
            raise DataError(path, None, f"expected {LABEL_FORMATS}.")
        return [path]
    found: dict[str, list[Path]] = {}
    for file in files_below(path):
        if file.suffix.lower() in _SUFFIXES:
            found.setdefault(file.suffix.lower(), []).append(file)
    if len(found) > 1:
        counts = " and ".join(f"{len(files)} {suffix}" for suffix, files in sorted(found.items()))
        raise DataError(path, None, f"expected labels of one kind, but found {counts} files.")
    if not found:
        raise DataError(path, None, f"expected {LABEL_FORMATS}, but the folder holds none.")
    return next(iter(found.values()))


def _has_tabs(path: Path) -> bool:
    with os.fdopen(open_regular(path), "rb") as stream, reading(path):
        return b"\t" in stream.readline(65536)


def _read_mat_labels(path: Path, table: SegmentTable) -> None:
    with open_arrays(path) as arrays:
        if LABELS not in arrays:
            message = f"expected the labels in a variable `{LABELS}`, but there is none."
            raise DataError(path, None, message, hint=f"--segments names {LABEL_FORMATS}.")
        array = arrays[LABELS]
        numbers = np.zeros(0) if array.matrix is None else np.asarray(array.read()).ravel()
    if not len(numbers) or not (np.mod(numbers, 1) == 0).all():
        raise DataError(path, None, f"expected a whole number for each frame in {LABELS}.")
    classes: dict[Any, str] = dict(enumerate(table.settings.classes or ())) or {
        n: str(n) for n in map(int, numbers)
    }
    for frame, number in enumerate(numbers):
        if number not in classes:
            message = f"class {number:g} of frame {frame} is not in the mapping of {len(classes)} classes."
            raise DataError(path, None, message)
    table.add_every_frame(normal(path.stem), path, [classes[number] for number in numbers])


@dataclass
class _Element:
    path: Path
    line: int
    name: str
    attributes: dict[str, str]
    text: str = ""

    def attribute(self, name: str) -> str:
        if name not in self.attributes:
            raise DataError(self.path, self.line, f"expected an attribute `{name}`, but there is none.")
        return self.attributes[name]


def _read_eaf_labels(path: Path, table: SegmentTable) -> None:
    """Add the annotations of one tier of `<video>.eaf` to `table`.

    Times count from `TIME_ORIGIN` of the first medium; they are moved so that they count from its start,
    where features begin. A document type is refused: by it XML can grow without bounds or fetch other files.
    """
    video = normal(path.stem)
    table.mention(video, 1, path)
    origins: list[str] = []
    times: dict[str, str | None] = {}
    tiers: dict[str, list[_Element]] = {}
    tier: list[_Element] = []
    for element in _parse(path):
        match element.name:
            case "HEADER":
                units = element.attributes.get("TIME_UNITS", "milliseconds")
                if units != "milliseconds":
                    message = f"expected times in milliseconds, but `TIME_UNITS` is {units!r}."
                    raise DataError(path, None, message)
            case "MEDIA_DESCRIPTOR":
                origins.append(element.attributes.get("TIME_ORIGIN", "0"))
            case "TIME_SLOT":
                times[element.attribute("TIME_SLOT_ID")] = element.attributes.get("TIME_VALUE")
            case "TIER":
                tier = tiers.setdefault(element.attribute("TIER_ID"), [])
            case "ALIGNABLE_ANNOTATION" | "REF_ANNOTATION":
                element.text = ""
                tier.append(element)
            case "ANNOTATION_VALUE" if tier:
                tier[-1].text = element.text
    origin = _origin(path, origins, table)
    found = len(table.issues)
    for annotation in tiers[table.choose_tier(path, {name: len(of) for name, of in tiers.items()})]:
        label = normal(annotation.text.strip())
        line = annotation.line
        if annotation.name == "REF_ANNOTATION":
            message = f"{label!r} refers to another tier and has no time: choose that tier with --tier."
            table.error(path, line, message)
            continue
        slots = tuple(annotation.attribute(f"TIME_SLOT_REF{end}") for end in (1, 2))
        known = [int(time) for slot in slots if (time := times.get(slot)) and _MILLISECONDS.fullmatch(time)]
        if len(known) == 2:
            table.add(video, line, label, (known[0] + origin, known[1] + origin), Unit.MILLISECONDS)
        else:
            message = f"{label!r} must start and end at a time, but a time slot of {slots} has none."
            table.error(path, line, message)
    if not table.segments[video] and len(table.issues) == found:
        table.error(path, None, "has no annotation that can be used.")


def _origin(path: Path, origins: list[str], table: SegmentTable) -> int:
    if len(set(origins)) > 1:
        message = f"its media start at {', '.join(origins)} ms (`TIME_ORIGIN`); the first one's time is used."
        table.warn(path, None, message)
    if not origins:
        return 0
    if not _MILLISECONDS.fullmatch(origins[0].strip().removeprefix("-")):
        raise DataError(path, None, f"`TIME_ORIGIN` must be milliseconds, but is {origins[0]!r}.")
    return int(origins[0])


def _parse(path: Path) -> list[_Element]:
    found: list[_Element] = []
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def doctype(*_: object) -> None:
        message = "has a document type (DOCTYPE), which no EAF document needs and which is refused."
        raise DataError(path, parser.CurrentLineNumber, message)

    def start(name: str, attributes: dict[str, str]) -> None:
        line = parser.CurrentLineNumber
        if not found and name != "ANNOTATION_DOCUMENT":
            message = f"expected an EAF document (`ANNOTATION_DOCUMENT`), but found `{name}`."
            raise DataError(path, line, message)
        found.append(_Element(path, line, name, attributes))

    def text(data: str) -> None:
        found[-1].text += data

    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = start
    parser.CharacterDataHandler = text
    try:
        parser.Parse(read_bytes(path), True)
    except expat.ExpatError as error:
        message = f"is not an EAF document ({expat.ErrorString(error.code)})."
        raise DataError(path, error.lineno, message) from None
    except (LookupError, ValueError) as error:  # an encoding that is unknown to Python, or not in this use
        raise DataError(path, 1, f"is not an EAF document ({error}).") from None
    return found
