"""EAF: what ELAN opens, as its schema 3.0 describes it (EAF Annotation Format, MPI for Psycholinguistics)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree as Xml

from g2l.files import atomic_path
from g2l.inference.formats.milliseconds import bounds
from g2l.inference.segment_rows import SegmentRow

TIER = "prediction"
_TYPE = "action"
_SCHEMA_PLACE = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold in any way (section 2.2)."""


def write_eaf(path: Path, video: str, rows: Sequence[SegmentRow], fps: float | None) -> None:
    """Write the segments of one video as a tier of ELAN, atomically.

    The medium is named `<video>.mp4` beside the file: ELAN asks for it where it is another one.

    Args:
        path: Ends in `.eaf`.
        video: Its name.
        rows: Its segments in order of time.
        fps: Frames per second.
    """
    root = Xml.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "g2l",
            "DATE": datetime.now(UTC).isoformat(timespec="seconds"),
            "FORMAT": "3.0",
            "VERSION": "3.0",
            _SCHEMA_PLACE: _SCHEMA,
        },
    )
    header = Xml.SubElement(root, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    medium = f"./{quote(video)}.mp4"
    media = {"MEDIA_URL": medium, "MIME_TYPE": "video/mp4", "RELATIVE_MEDIA_URL": medium}
    Xml.SubElement(header, "MEDIA_DESCRIPTOR", media)
    order = Xml.SubElement(root, "TIME_ORDER")
    tier = Xml.SubElement(root, "TIER", {"LINGUISTIC_TYPE_REF": _TYPE, "TIER_ID": TIER})
    for number, (row, times) in enumerate(zip(rows, bounds(rows), strict=True), start=1):
        _annotate(order, tier, number, row.label, times)
    kind = {"GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": _TYPE, "TIME_ALIGNABLE": "true"}
    Xml.SubElement(root, "LINGUISTIC_TYPE", kind)
    Xml.indent(root, " ")
    with atomic_path(path) as temporary:
        Xml.ElementTree(root).write(temporary, encoding="UTF-8", xml_declaration=True)


def _annotate(order: Xml.Element, tier: Xml.Element, number: int, label: str, times: tuple[int, int]) -> None:
    """Add one annotation. It has two time slots of its own, so that moving an end moves no neighbour."""
    slots = (f"ts{2 * number - 1}", f"ts{2 * number}")
    for slot, time in zip(slots, times, strict=True):
        Xml.SubElement(order, "TIME_SLOT", {"TIME_SLOT_ID": slot, "TIME_VALUE": str(time)})
    annotation = Xml.SubElement(
        Xml.SubElement(tier, "ANNOTATION"),
        "ALIGNABLE_ANNOTATION",
        {"ANNOTATION_ID": f"a{number}", "TIME_SLOT_REF1": slots[0], "TIME_SLOT_REF2": slots[1]},
    )
    Xml.SubElement(annotation, "ANNOTATION_VALUE").text = _NO_XML.sub("\N{REPLACEMENT CHARACTER}", label)
