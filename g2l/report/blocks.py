"""Blocks of a report's sections; each template renders each kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from g2l.report.facts import RunFacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Text:
    """Plain text: a `paragraph`, a `lead` that no reader should miss, a `heading`, or `code` to be copied."""

    text: str
    kind: str = "paragraph"


@dataclass(frozen=True)
class Warnings:
    """Things to know before numbers are believed."""

    kind: ClassVar[str] = "warnings"
    items: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text; the first column names the row, the first `words` columns are aligned left."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, ...]]
    words: int = 1
    folded: bool = False

    def without_first(self) -> Table:
        """Return the table without its first column."""
        rows = [row[1:] for row in self.rows]
        return replace(self, columns=self.columns[1:], rows=rows, words=self.words - 1)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure, with what can be seen in it in words, and its numbers where the text lacks them.

    `key` is its id on the page and the name of its file.
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
    names: Sequence[str]
    numbers: Sequence[int]
    frames: Sequence[Sequence[int]]

    @property
    def shares(self) -> list[list[float]]:
        """Percent of the frames of each true class."""
        return [[100 * cell / max(1, sum(row)) for cell in row] for row in self.frames]

    @property
    def confusions(self) -> list[tuple[str, str, int, float]]:
        """Most frequent confusions: true class, predicted class, frames, percent of the true class."""
        cells = [
            (self.names[true], self.names[predicted], frames, self.shares[true][predicted])
            for true, row in enumerate(self.frames)
            for predicted, frames in enumerate(row)
            if frames and true != predicted
        ]
        return sorted(cells, key=lambda cell: (-cell[2], cell[:2]))[:10]


Block: TypeAlias = Text | Warnings | Table | Picture | Matrix
Section: TypeAlias = Callable[[Sequence[RunFacts]], Sequence[Block]]


def of_each(build: Callable[[int, RunFacts], Sequence[Block]]) -> Section:
    """Make a section of the blocks of one run: those of every run, below its label if there are several."""

    @wraps(build)
    def section(runs: Sequence[RunFacts]) -> list[Block]:
        blocks: list[Block] = []
        for number, run in enumerate(runs):
            found = build(number, run)
            blocks += [Text(run.label, "heading"), *found] if found and len(runs) > 1 else found
        return blocks

    return section
