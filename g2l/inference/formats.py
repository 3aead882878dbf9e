"""Segments of one video for annotators and scripts: JSON, recognition files, ELAN, subtitles."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree as Xml

from g2l.errors import InputError
from g2l.files import atomic_path, write_json, write_text
from g2l.inference.frame_names import check_recognition_names, write_recognition
from g2l.inference.segments import SegmentRow

JSON_SCHEMA = "g2l.segments/1"
TIER = "prediction"
_TYPE = "action"
_SCHEMA_PLACE = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold (section 2.2)."""


class Format(StrEnum):
    """Formats of segments."""

    CSV = "csv"
    """`segments.csv`, one table of all videos, which is always written."""
    JSON = "json"
    """`<video>.json`."""
    MSTCN = "mstcn"
    """`<video>`, as the evaluation scripts of MS-TCN and G2L read it."""
    EAF = "eaf"
    """`<video>.eaf` for ELAN."""
    SRT = "srt"
    """`<video>.srt`, subtitles."""


@dataclass(frozen=True)
class Annotation:
    """The segments of one video.

    Attributes:
        video: Name of the video.
        rows: Segments that cover the video, in order of time.
        fps: Frames per second, or None where unknown.
        date: When they were made.
    """

    video: str
    rows: Sequence[SegmentRow]
    fps: float | None = None
    date: datetime = datetime(2000, 1, 1, tzinfo=UTC)


_TIMED = (Format.EAF, Format.SRT)


def check_formats(formats: Collection[Format], classes: Sequence[str], fps: float | None) -> None:
    """Return if all formats can be written; to be called before anything is predicted.

    Args:
        formats: The requested ones.
        classes: All class names.
        fps: Frames per second, or None.

    Raises:
        InputError: A format counts time, but the frame rate is unknown, or a class name does not fit one.
    """
    for each in _TIMED:
        if each in formats and fps is None:
            raise InputError(
                f"format {each} counts time, but the model does not know the frame rate.", hint="give --fps."
            )
    if Format.MSTCN in formats:
        check_recognition_names(classes)


def write_json_segments(path: Path, found: Annotation) -> None:
    """Write one JSON object atomically; seconds are null where fps is unknown."""
    segments = [
        {
            "label": row.label,
            "start_frame": row.start_frame,
            "end_frame": row.end_frame,
            "start_s": _rounded(row.start_s, 3),
            "end_s": _rounded(row.end_s, 3),
            "confidence": round(row.confidence, 4),
            "entropy": round(row.entropy, 4),
        }
        for row in found.rows
    ]
    value = {"schema": JSON_SCHEMA, "video": found.video, "fps": found.fps, "segments": segments}
    write_json(path, value | {"frames": found.rows[-1].end_frame if found.rows else 0})


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def write_eaf(path: Path, found: Annotation) -> None:
    """Write one tier for ELAN (EAF 3.0, MPI for Psycholinguistics), atomically.

    The medium is named `<video>.mp4` beside the file; ELAN asks for another one where it is missing.
    """
    root = Xml.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "g2l",
            "DATE": found.date.isoformat(timespec="seconds"),
            "FORMAT": "3.0",
            "VERSION": "3.0",
            _SCHEMA_PLACE: _SCHEMA,
        },
    )
    header = Xml.SubElement(root, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    medium = f"./{quote(found.video)}.mp4"
    media = {"MEDIA_URL": medium, "MIME_TYPE": "video/mp4", "RELATIVE_MEDIA_URL": medium}
    Xml.SubElement(header, "MEDIA_DESCRIPTOR", media)
    order = Xml.SubElement(root, "TIME_ORDER")
    tier = Xml.SubElement(root, "TIER", {"LINGUISTIC_TYPE_REF": _TYPE, "TIER_ID": TIER})
    for number, (row, times) in enumerate(zip(found.rows, _bounds(found.rows), strict=True), start=1):
        _annotate(order, tier, number, row.label, times)
    kind = {"GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": _TYPE, "TIME_ALIGNABLE": "true"}
    Xml.SubElement(root, "LINGUISTIC_TYPE", kind)
    Xml.indent(root, " ")
    with atomic_path(path) as temporary:
        Xml.ElementTree(root).write(temporary, encoding="UTF-8", xml_declaration=True)


def _annotate(order: Xml.Element, tier: Xml.Element, number: int, label: str, times: tuple[int, int]) -> None:
    """Add one annotation with two time slots of its own, so that moving an end moves no neighbour."""
    slots = (f"ts{2 * number - 1}", f"ts{2 * number}")
    for slot, time in zip(slots, times, strict=True):
        Xml.SubElement(order, "TIME_SLOT", {"TIME_SLOT_ID": slot, "TIME_VALUE": str(time)})
    annotation = Xml.SubElement(
        Xml.SubElement(tier, "ANNOTATION"),
        "ALIGNABLE_ANNOTATION",
        {"ANNOTATION_ID": f"a{number}", "TIME_SLOT_REF1": slots[0], "TIME_SLOT_REF2": slots[1]},
    )
    Xml.SubElement(annotation, "ANNOTATION_VALUE").text = _NO_XML.sub("\N{REPLACEMENT CHARACTER}", label)


def write_srt(path: Path, found: Annotation) -> None:
    """Write one subtitle per segment, its class name, atomically.

    The format has no escapes, so names are left as they are, but a line break becomes a space: a blank line
    would end the subtitle.
    """
    cues = (
        f"{number}\n{_clock(start)} --> {_clock(end)}\n{' '.join(row.label.split())}\n\n"
        for number, (row, (start, end)) in enumerate(
            zip(found.rows, _bounds(found.rows), strict=True), start=1
        )
    )
    write_text(path, "".join(cues))


def _clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},{rest:03}"


def _bounds(rows: Sequence[SegmentRow]) -> Iterator[tuple[int, int]]:
    """Yield start and end of each segment in milliseconds; one ends where the next begins.

    Raises:
        ValueError: The frame rate is unknown.
    """
    for row in rows:
        if row.start_s is None or row.end_s is None:
            raise ValueError(f"{row.video}: without a frame rate there are no milliseconds")
        yield round(1000 * row.start_s), round(1000 * row.end_s)


WRITERS: dict[Format, tuple[str, Callable[[Path, Annotation], None]]] = {
    Format.JSON: (".json", write_json_segments),
    Format.MSTCN: ("", lambda path, found: write_recognition(path, found.rows)),
    Format.EAF: (".eaf", write_eaf),
    Format.SRT: (".srt", write_srt),
}
"""Suffix and writer of each format that has a file per video."""
