"""Blocks of a report's sections; each template renders each kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from g2l.report.facts import RunFacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    """A figure.

    Attributes:
        key: Id on the page, and name of its file.
        caption: What it shows.
        alternative: What can be seen in it, in words.
        draw: Draws it, which takes a moment.
        table: Its numbers where the text lacks them, or None.
    """

    kind: ClassVar[str] = "picture"
    key: str
    caption: str
    alternative: str
    draw: Callable[[], Figure]
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
class Code:
    """Text to be copied as it is."""

    kind: ClassVar[str] = "code"
    caption: str
    text: str


Block: TypeAlias = Paragraph | Warnings | Heading | Table | Picture | Matrix | Code


def of_each(runs: Sequence[RunFacts], build: Callable[[int, RunFacts], Sequence[Block]]) -> tuple[Block, ...]:
    """Return the blocks of every run, below its label if there are several."""
    blocks: list[Block] = []
    for number, run in enumerate(runs):
        found = build(number, run)
        blocks += [Heading(run.label), *found] if found and len(runs) > 1 else found
    return tuple(blocks)


@dataclass(frozen=True)
class Section:
    """A part of a report by its id on the page; one without blocks is left out."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Report:
    """The whole of it."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
