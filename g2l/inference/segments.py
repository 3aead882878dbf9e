"""Segments, how certain the model is of each, and the files of labels that are read and written."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree as Xml

import numpy as np
import numpy.typing as npt

from g2l.datasets.labels import Labels
from g2l.datasets.reading import normal, read_lines
from g2l.errors import InputError
from g2l.files import atomic_path, write_json, write_text
from g2l.metrics.segments import Segments, segments

JSON_SCHEMA = "g2l.segments/1"
TIER = "prediction"
RECOGNITION_HEADER = "### Frame level recognition: ###"
"""First line of the files that the evaluation scripts of MS-TCN and G2L read."""
_BLOCK = 8192
"""Frames scored at a time: temporary arrays stay in the processor's cache, and a memory map on disk."""
_TINY = np.finfo(np.float32).tiny
_SCHEMA_PLACE = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold (section 2.2)."""


@dataclass(frozen=True)
class SegmentRow:
    """One line of `segments.csv`; seconds are None where fps is unknown."""

    video: str
    segment: int
    """Number within the video, from 0."""
    label: str
    start_frame: int
    end_frame: int
    """Frame after the last."""
    start_s: float | None
    end_s: float | None
    confidence: float
    """Mean probability of the class over the segment, in [0, 1]."""
    entropy: float
    """Mean entropy of the class distribution over the segment, in nats: 0 where the model is certain, ln C
    where it guesses; e^entropy is the number of classes it wavers between."""

    def cells(self) -> tuple[str, ...]:
        """Return the line: seconds with three digits, confidence and entropy with four."""
        seconds = ("" if value is None else f"{value:.3f}" for value in (self.start_s, self.end_s))
        frames = (str(self.start_frame), str(self.end_frame))
        scores = (f"{self.confidence:.4f}", f"{self.entropy:.4f}")
        return (self.video, str(self.segment), self.label, *frames, *seconds, *scores)


COLUMNS = tuple(field.name for field in fields(SegmentRow))
"""First line of `segments.csv`."""


def segment_rows(
    video: str,
    labels: Labels,
    probabilities: npt.NDArray[np.floating],
    classes: Sequence[str],
    fps: float | None,
) -> list[SegmentRow]:
    """Return the rows of one video, in order of time: its maximal runs of equal labels, background included.

    Labels are (T,), the most probable ones or smoothed; probabilities (C, T), if a memory map, are read in
    blocks. Seconds are rounded to three digits, confidence and entropy to four.
    """
    found = segments(labels)
    columns = (found.labels, found.starts, found.ends, *segment_means(found, labels, probabilities))
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [
        SegmentRow(
            video,
            number,
            classes[label],
            start,
            end,
            None if fps is None else round(start / fps, 3),
            None if fps is None else round(end / fps, 3),
            round(confidence, 4),
            round(entropy, 4),
        )
        for number, (label, start, end, confidence, entropy) in enumerate(rows)
    ]


def segment_means(
    found: Segments, labels: Labels, probabilities: npt.NDArray[np.floating]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean confidence and mean entropy of N segments, (N,) each; see `SegmentRow`."""
    sums = np.zeros((2, len(found)))
    for start in range(0, len(labels), _BLOCK):
        own, block = labels[start : start + _BLOCK], probabilities[:, start : start + _BLOCK]
        first = int(np.searchsorted(found.ends, start, side="right"))  # the segment that the block starts in
        number = np.concatenate([[0], np.cumsum(own[1:] != own[:-1])])
        for total, values in zip(sums, (block[own, np.arange(len(own))], frame_entropy(block)), strict=True):
            part = np.bincount(number, values)
            total[first : first + len(part)] += part
    confidence, entropy = sums / (found.ends - found.starts)
    return confidence, entropy


def frame_entropy(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return the entropy −Σ p·ln p of every frame in nats, (t,), of class probabilities (C, t)."""
    total = np.zeros(probabilities.shape[1], np.float32)
    for row in probabilities.astype(np.float32, copy=False):
        logarithm = np.maximum(row, _TINY)  # ln 0 would make 0 · ln 0 NaN
        np.log(logarithm, out=logarithm)
        total -= logarithm * row
    return np.maximum(total, 0, out=total)  # probabilities that add up to a bit more than 1


def write_segments(path: Path, rows: Iterable[SegmentRow]) -> None:
    """Write `segments.csv` atomically: a header, then one line per segment."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(row.cells() for row in rows)
    write_text(path, text.getvalue())


class FrameReader:
    """Reads a class name a line, or a recognition file; a class has the same number in all of them.

    `names` are in order of these numbers: those given, then others as they are met. Two Unicode forms of a
    name are one class.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names = list(names)
        self._numbers = _Numbers(self.names)

    def read(self, path: Path) -> Labels:
        """Return the class number of every frame, (T,), without blank lines; InputError if there is none."""
        lines = read_lines(path)
        first = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
        if lines[first:] and lines[first].strip() == RECOGNITION_HEADER:
            lines = " ".join(lines[first + 1 :]).split()
        # One look-up a frame, without a loop in Python: evaluation reads millions of them.
        numbers = np.fromiter(map(self._numbers.__getitem__, lines), np.int64, len(lines))
        labels: Labels = numbers[numbers >= 0]
        if not len(labels):
            raise InputError(f"{path}: expected the class name of at least one frame, but it holds none.")
        return labels


class _Numbers(dict[str, int]):
    """The number of the class that a line names, whatever spaces surround it; −1 for a blank line."""

    def __init__(self, names: list[str]) -> None:
        super().__init__((normal(name), number) for number, name in enumerate(names))
        self._names = names

    def __missing__(self, line: str) -> int:
        name = line.strip()
        if name == line and name:
            self._names.append(name)
            number = len(self._names) - 1
        else:
            number = self[name] if name else -1
        self[line] = number
        return number


def is_recognition(path: Path) -> bool:
    """Return whether a file starts as the official recognition files do."""
    header = RECOGNITION_HEADER.encode()
    try:
        with path.open("rb") as file:
            return file.read(len(header)) == header
    except OSError:
        return False


# ------------------------------------------------------------------------------------ a file per video


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
    """The segments of one video, in order of time; they cover it."""

    video: str
    rows: Sequence[SegmentRow]
    fps: float | None = None
    date: datetime = datetime(2000, 1, 1, tzinfo=UTC)


def check_formats(formats: Collection[Format], classes: Sequence[str], fps: float | None) -> None:
    """Raise InputError if a format counts time without a frame rate, or a class name does not fit one."""
    for each in (Format.EAF, Format.SRT):
        if each in formats and fps is None:
            raise InputError(
                f"format {each} needs times, but the frame rate of the model is unknown.", hint="give --fps."
            )
    for name in classes:
        if "\n" in name or "\r" in name or any("\ud800" <= character <= "\udfff" for character in name):
            raise InputError(f"class names must each fit on a line of text, but the model has {name!r}.")
        if not name.strip() or classes.count(name) > 1:
            raise InputError(f"class names must differ and not be blank, but the model has {name!r}.")
        if Format.MSTCN in formats and name.split() != [name]:
            raise InputError(
                f"recognition files separate class names by spaces, so {name!r} cannot be written.",
                hint="leave out --format mstcn.",
            )


def write_frame_names(path: Path, rows: Iterable[SegmentRow]) -> None:
    """Write one class name a line, atomically; the segments cover all frames of the video in order."""
    write_text(path, "".join(f"{row.label}\n" * (row.end_frame - row.start_frame) for row in rows))


def write_recognition(path: Path, found: Annotation) -> None:
    """Write an official recognition file, atomically; see `check_formats`."""
    names = " ".join(" ".join([row.label] * (row.end_frame - row.start_frame)) for row in found.rows)
    write_text(path, f"{RECOGNITION_HEADER}\n{names}\n")


def write_json_segments(path: Path, found: Annotation) -> None:
    """Write one JSON object atomically; seconds are null where fps is unknown."""
    segments = [{name: getattr(row, name) for name in COLUMNS[2:]} for row in found.rows]
    value = {"schema": JSON_SCHEMA, "video": found.video, "fps": found.fps, "segments": segments}
    write_json(path, value | {"frames": found.rows[-1].end_frame if found.rows else 0})


def write_eaf(path: Path, found: Annotation) -> None:
    """Write one tier for ELAN (EAF 3.0, MPI for Psycholinguistics), atomically.

    The medium is named `<video>.mp4` beside the file; ELAN prompts for another one where it is missing. Each
    annotation has two time slots of its own, so that moving an end moves no neighbour.
    """
    document = {"AUTHOR": "g2l", "DATE": found.date.isoformat(timespec="seconds"), _SCHEMA_PLACE: _SCHEMA}
    root = Xml.Element("ANNOTATION_DOCUMENT", document | {"FORMAT": "3.0", "VERSION": "3.0"})
    header = Xml.SubElement(root, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    medium = f"./{quote(found.video)}.mp4"
    media = {"MEDIA_URL": medium, "MIME_TYPE": "video/mp4", "RELATIVE_MEDIA_URL": medium}
    Xml.SubElement(header, "MEDIA_DESCRIPTOR", media)
    order = Xml.SubElement(root, "TIME_ORDER")
    tier = Xml.SubElement(root, "TIER", {"LINGUISTIC_TYPE_REF": "action", "TIER_ID": TIER})
    for number, (row, times) in enumerate(_timed(found), start=1):
        slots = (f"ts{2 * number - 1}", f"ts{2 * number}")
        for slot, time in zip(slots, times, strict=True):
            Xml.SubElement(order, "TIME_SLOT", {"TIME_SLOT_ID": slot, "TIME_VALUE": str(time)})
        attributes = {"ANNOTATION_ID": f"a{number}", "TIME_SLOT_REF1": slots[0], "TIME_SLOT_REF2": slots[1]}
        annotation = Xml.SubElement(Xml.SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION", attributes)
        Xml.SubElement(annotation, "ANNOTATION_VALUE").text = _NO_XML.sub("\ufffd", row.label)
    kind = {"GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": "action", "TIME_ALIGNABLE": "true"}
    Xml.SubElement(root, "LINGUISTIC_TYPE", kind)
    Xml.indent(root, " ")
    with atomic_path(path) as temporary:
        Xml.ElementTree(root).write(temporary, encoding="UTF-8", xml_declaration=True)


def write_srt(path: Path, found: Annotation) -> None:
    """Write one subtitle per segment, its class name, atomically.

    The format has no escapes, so names are left as they are, but a line break becomes a space: a blank line
    would end the subtitle.
    """
    cues = (
        f"{number}\n{_clock(start)} --> {_clock(end)}\n{' '.join(row.label.split())}\n\n"
        for number, (row, (start, end)) in enumerate(_timed(found), start=1)
    )
    write_text(path, "".join(cues))


def _clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},{rest:03}"


def _timed(found: Annotation) -> Iterator[tuple[SegmentRow, tuple[int, int]]]:
    """Yield each segment with its start and end in milliseconds; one ends where the next begins."""
    for row in found.rows:
        if row.start_s is None or row.end_s is None:
            raise ValueError(f"{row.video}: without a frame rate there are no milliseconds")
        yield row, (round(1000 * row.start_s), round(1000 * row.end_s))


WRITERS: dict[Format, tuple[str, Callable[[Path, Annotation], None]]] = {
    Format.JSON: (".json", write_json_segments),
    Format.MSTCN: ("", write_recognition),
    Format.EAF: (".eaf", write_eaf),
    Format.SRT: (".srt", write_srt),
}
"""Suffix and writer of each format that has a file per video."""
