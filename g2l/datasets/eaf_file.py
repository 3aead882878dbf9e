"""ELAN's `.eaf` files, read by a parser that knows nothing but elements: no entities, no other files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from g2l.datasets.faults import DataError, Fault


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
        origins: The `TIME_ORIGIN` of each medium that has one: the time in the medium at which 0 is.
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
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError(Fault(path, None, "no such file.")) from None
    except OSError as error:
        raise DataError(Fault(path, None, f"cannot be read ({error.strerror}).")) from None
    reader = _Reader(path)
    try:
        reader.parser.Parse(raw, True)
    except expat.ExpatError as error:
        message = f"is no EAF document ({expat.ErrorString(error.code)})."
        raise DataError(Fault(path, error.lineno, message)) from None
    except (LookupError, ValueError) as error:  # an encoding that Python does not know, or not that way
        raise DataError(Fault(path, 1, f"is no EAF document ({error}).")) from None
    return reader.found


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

    def _fault(self, message: str) -> DataError:
        return DataError(Fault(self._path, self.parser.CurrentLineNumber, message))

    def _doctype(self, name: str, *_: object) -> None:
        raise self._fault("has a document type (DOCTYPE), which no EAF document needs and which is refused.")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._root and name != "ANNOTATION_DOCUMENT":
            raise self._fault(f"expected an EAF document (`ANNOTATION_DOCUMENT`), but found `{name}`.")
        self._root = True
        if name == "HEADER":
            self.found.units = attributes.get("TIME_UNITS", self.found.units)
        elif name == "MEDIA_DESCRIPTOR" and "TIME_ORIGIN" in attributes:
            self.found.origins.append(attributes["TIME_ORIGIN"])
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
            raise self._fault(f"expected an attribute `{name}`, but there is none.")
        return attributes[name]

    def _end(self, name: str) -> None:
        self._value = False

    def _text(self, text: str) -> None:
        if self._value and self._annotation is not None:
            self._annotation.value += text
