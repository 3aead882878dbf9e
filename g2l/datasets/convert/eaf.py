"""Annotations in ELAN's `.eaf` files; the XML parser resolves no entities and opens no other files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from g2l.datasets.convert.segments import SegmentTable, Unit
from g2l.datasets.errors import DataError
from g2l.datasets.reading import normal, read_bytes

_MILLISECONDS = re.compile(r"\d{1,15}", re.ASCII)
"""Thirty thousand years at most."""


@dataclass
class _Element:
    """The start of an XML element, and the text before the next one."""

    path: Path
    line: int
    name: str
    attributes: dict[str, str]
    text: str = ""

    def attribute(self, name: str) -> str:
        if name not in self.attributes:
            raise DataError(self.path, self.line, f"expected an attribute `{name}`, but there is none.")
        return self.attributes[name]


def read_eaf_labels(path: Path, table: SegmentTable) -> None:
    """Add the annotations of one tier of `<video>.eaf` to `table`.

    Times count from `TIME_ORIGIN` of the first medium; they are moved so that they count from its start,
    where features begin.

    Raises:
        DataError: The file is not an EAF document, has a document type (by which XML can grow without bounds
            or fetch other files), or has no such tier.
    """
    video = normal(path.stem)
    table.mention(video, 1, path)
    origins: list[str] = []
    times: dict[str, str | None] = {}
    tiers: dict[str, list[_Element]] = {}
    tier: list[_Element] = []
    for element in _parse(path):
        match element.name:
            case "HEADER" if (
                units := element.attributes.get("TIME_UNITS", "milliseconds")
            ) != "milliseconds":
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
        if annotation.name == "REF_ANNOTATION":
            message = f"{label!r} refers to another tier and has no time: choose that tier with --tier."
            table.error(path, annotation.line, message)
            continue
        slots = tuple(annotation.attribute(f"TIME_SLOT_REF{end}") for end in (1, 2))
        known = [int(time) for slot in slots if (time := times.get(slot)) and _MILLISECONDS.fullmatch(time)]
        if len(known) < 2:
            message = f"{label!r} must start and end at a time, but a time slot of {slots} has none."
            table.error(path, annotation.line, message)
        else:
            table.add(
                video, annotation.line, label, (known[0] + origin, known[1] + origin), Unit.MILLISECONDS
            )
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
    """Return all elements in the order of their starts."""
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
