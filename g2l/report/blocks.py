"""Blocks of a report's sections; each template renders each kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeAlias

from g2l.report.facts import RunFacts


@dataclass(frozen=True)
class Paragraph:
    """Sentences of plain text; a lead is what a reader should not miss."""

    kind: ClassVar[str] = "paragraph"
    text: str
    lead: bool = False


@dataclass(frozen=True)
class Warnings:
    """Things to know before numbers are believed."""

    kind: ClassVar[str] = "warnings"
    items: tuple[str, ...]


@dataclass(frozen=True)
class Heading:
    """The name of a run, where a section has a part for each."""

    kind: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text; the first column names the row.

    Attributes:
        caption: What it shows.
        columns: Names of the columns.
        rows: Of the same length each.
        words: Number of columns that hold words and are aligned left.
        folded: Whether it is shown on request only.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    folded: bool = False

    def without_first(self) -> Table:
        """Return the table without its first column."""
        return replace(
            self, columns=self.columns[1:], rows=tuple(row[1:] for row in self.rows), words=self.words - 1
        )


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure: what it shows, what can be seen in it in words, and its numbers where the text lacks them.

    `draw` returns the markup of an `svg` element; it takes a second, which only a page needs.
    """

    kind: ClassVar[str] = "picture"
    caption: str
    alternative: str
    draw: Callable[[], str]
    table: Table | None = None


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """A confusion matrix: frames of each true class (outer) predicted as each class (inner).

    `numbers` are those of the classes in the legend of the strips.
    """

    kind: ClassVar[str] = "matrix"
    caption: str
    names: tuple[str, ...]
    numbers: tuple[int, ...]
    frames: tuple[tuple[int, ...], ...]

    @property
    def shares(self) -> tuple[tuple[float, ...], ...]:
        """Percent of the frames of each true class."""
        return tuple(tuple(100 * cell / max(1, sum(row)) for cell in row) for row in self.frames)

    @property
    def confusions(self) -> tuple[tuple[str, str, int, float], ...]:
        """Most frequent confusions: true class, predicted class, frames, percent of the true class."""
        cells = [
            (self.names[true], self.names[predicted], frames, self.shares[true][predicted])
            for true, row in enumerate(self.frames)
            for predicted, frames in enumerate(row)
            if frames and true != predicted
        ]
        return tuple(sorted(cells, key=lambda cell: (-cell[2], cell[:2]))[:10])


@dataclass(frozen=True)
class Bar:
    """A segment of a strip: where it is, in percent of the time axis, and what it is."""

    start: float
    width: float
    label: int
    title: str


@dataclass(frozen=True, kw_only=True)
class Strip:
    """One video, why it is shown, and what is drawn below each other by name: prediction, truth."""

    name: str
    note: str
    rows: tuple[tuple[str, tuple[Bar, ...]], ...]


@dataclass(frozen=True)
class Key:
    """How a class is drawn: number, name, colour and pattern (0 for none)."""

    number: int
    name: str
    color: str
    pattern: int


@dataclass(frozen=True, kw_only=True)
class Strips:
    """Videos on one time axis.

    Attributes:
        caption: What they show.
        key: Prefix of the ids, so that several can be on a page.
        unit: Of the axis: seconds or frames.
        ticks: (place in percent, text, level): level 0 is always shown, 1 and 2 from a zoom of 4 and 16.
        strips: The videos.
        keys: Classes that occur.
    """

    kind: ClassVar[str] = "strips"
    caption: str
    key: str
    unit: str
    ticks: tuple[tuple[float, str, int], ...]
    strips: tuple[Strip, ...]
    keys: tuple[Key, ...]

    def style(self, label: int) -> Key:
        """Return how a class is drawn."""
        return next(key for key in self.keys if key.number == label)


@dataclass(frozen=True)
class Code:
    """Text to be copied as it is."""

    kind: ClassVar[str] = "code"
    caption: str
    text: str


Block: TypeAlias = Paragraph | Warnings | Heading | Table | Picture | Matrix | Strips | Code


def of_each(
    runs: Sequence[RunFacts], build: Callable[[int, RunFacts], Sequence[Block]], nothing: str
) -> tuple[Block, ...]:
    """Return the blocks of every run, below its label if there are several, else a sentence."""
    blocks: list[Block] = []
    for number, run in enumerate(runs):
        found = build(number, run)
        blocks += [Heading(run.label), *found] if found and len(runs) > 1 else found
    return tuple(blocks) or (Paragraph(nothing),)


@dataclass(frozen=True)
class Section:
    """A part of a report by its id on the page; never empty: a section without data gives the reason."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Report:
    """The whole of it."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
