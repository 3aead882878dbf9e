"""ELAN's `.eaf` files, read by a parser that knows nothing but elements: no entities, no other files."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from g2l.datasets.convert.segments import LabelSettings, SegmentTable, Unit, choose_tier
from g2l.datasets.errors import DataError, DataWarning
from g2l.datasets.reading import normal, read_bytes

_MILLISECONDS = re.compile(r"\d{1,15}", re.ASCII)
"""Thirty thousand years at most."""


@dataclass
class Annotation:
    """One annotation as it stands in the file.

    Attributes:
        line: Where it starts.
        slots: Names of its two time slots, or None: it refers to another annotation and has no time.
        value: Its text.
    """

    line: int
    slots: tuple[str, str] | None
    value: str = ""


@dataclass
class EafFile:
    """What a file holds.

    Attributes:
        units: Of its times; ELAN writes `milliseconds`.
        origins: The `TIME_ORIGIN` of each medium, 0 by default: the time in the medium at which 0 is.
        times: Of each time slot; None where it has none.
        tiers: Annotations of each tier.
    """

    units: str = "milliseconds"
    origins: list[str] = field(default_factory=list)
    times: dict[str, str | None] = field(default_factory=dict)
    tiers: dict[str, list[Annotation]] = field(default_factory=dict)


def read_eaf(path: Path) -> EafFile:
    """Read a file.

    Raises:
        DataError: It is missing, not well-formed or no annotation document, or has a document type, by which
            XML can be made to grow without bounds or to fetch other files.
    """
    reader = _Reader(path)
    try:
        reader.parser.Parse(read_bytes(path), True)
    except expat.ExpatError as error:
        message = f"is not an EAF document ({expat.ErrorString(error.code)})."
        raise DataError(path, error.lineno, message) from None
    except (LookupError, ValueError) as error:  # an encoding that Python does not know, or not that way
        raise DataError(path, 1, f"is not an EAF document ({error}).") from None
    return reader.found


def read_eaf_labels(
    path: Path, table: SegmentTable, settings: LabelSettings, issues: list[DataError]
) -> None:
    """Add the annotations of one tier of `<video>.eaf` to `table` and what is wrong to `issues`.

    Times count from `TIME_ORIGIN` of the first medium on; they are moved so that they count from its start,
    where features begin.

    Args:
        path: The file.
        table: Added to.
        settings: How labels are read; the tier is needed where several have annotations.
        issues: Added to.

    Raises:
        DataError: The file cannot be read, or has no such tier.
    """
    video = normal(path.stem)
    table.mention(video, 1, path)
    file = read_eaf(path)
    if file.units != "milliseconds":
        message = f"expected times in milliseconds, but `TIME_UNITS` is {file.units!r}."
        raise DataError(path, None, message)
    origin = _origin(path, file, issues)
    counts = {name: len(annotations) for name, annotations in file.tiers.items()}
    found = len(issues)
    for annotation in file.tiers[choose_tier(path, counts, settings.tier)]:
        label = normal(annotation.value.strip())
        times = [file.times.get(slot) for slot in annotation.slots or ()]
        known = [int(time) for time in times if time is not None and _MILLISECONDS.fullmatch(time)]
        if annotation.slots is None:
            message = f"{label!r} refers to another tier and has no time: choose that tier with --tier."
            issues.append(DataError(path, annotation.line, message))
        elif len(known) < 2:
            message = (
                f"{label!r} must start and end at a time, but a time slot of {annotation.slots} has none."
            )
            issues.append(DataError(path, annotation.line, message))
        else:
            span = (known[0] + origin, known[1] + origin)
            table.add(video, annotation.line, label, span, Unit.MILLISECONDS, issues)
    if not table.segments[video] and len(issues) == found:
        issues.append(DataError(path, None, "has no annotation that can be used."))


def _origin(path: Path, file: EafFile, issues: list[DataError]) -> int:
    origins = list(file.origins)
    if len(set(origins)) > 1:
        message = f"its media start at {', '.join(origins)} ms (`TIME_ORIGIN`); the first one's time is used."
        issues.append(DataWarning(path, None, message))
    if not origins:
        return 0
    if not _MILLISECONDS.fullmatch(origins[0].strip().removeprefix("-")):
        raise DataError(path, None, f"`TIME_ORIGIN` must be milliseconds, but is {origins[0]!r}.")
    return int(origins[0])


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._tier: list[Annotation] = []
        self._annotation: Annotation | None = None
        self._value = False
        self._root = False
        self.found = EafFile()
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text

    def _error(self, message: str) -> DataError:
        return DataError(self._path, self.parser.CurrentLineNumber, message)

    def _doctype(self, name: str, *_: object) -> None:
        raise self._error("has a document type (DOCTYPE), which no EAF document needs and which is refused.")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._root and name != "ANNOTATION_DOCUMENT":
            raise self._error(f"expected an EAF document (`ANNOTATION_DOCUMENT`), but found `{name}`.")
        self._root = True
        if name == "HEADER":
            self.found.units = attributes.get("TIME_UNITS", self.found.units)
        elif name == "MEDIA_DESCRIPTOR":
            self.found.origins.append(attributes.get("TIME_ORIGIN", "0"))
        elif name == "TIME_SLOT":
            self.found.times[self._attribute(attributes, "TIME_SLOT_ID")] = attributes.get("TIME_VALUE")
        elif name == "TIER":
            self._tier = self.found.tiers.setdefault(self._attribute(attributes, "TIER_ID"), [])
        elif name in ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION"):
            self._annotation = self._annotate(attributes, timed=name == "ALIGNABLE_ANNOTATION")
            self._tier.append(self._annotation)
        self._value = name == "ANNOTATION_VALUE"

    def _annotate(self, attributes: dict[str, str], *, timed: bool) -> Annotation:
        names = ("TIME_SLOT_REF1", "TIME_SLOT_REF2")
        first, second = (self._attribute(attributes, name) if timed else "" for name in names)
        return Annotation(self.parser.CurrentLineNumber, (first, second) if timed else None)

    def _attribute(self, attributes: dict[str, str], name: str) -> str:
        if name not in attributes:
            raise self._error(f"expected an attribute `{name}`, but there is none.")
        return attributes[name]

    def _end(self, name: str) -> None:
        self._value = False

    def _text(self, text: str) -> None:
        if self._value and self._annotation is not None:
            self._annotation.value += text
