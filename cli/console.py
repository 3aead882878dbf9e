"""All output: the only module that uses rich. Data goes to stdout, the rest to stderr."""

from __future__ import annotations

import codecs
import json
import logging
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.control import Control
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import ControlType, Segment
from rich.table import Table
from rich.text import Text

from g2l.progress import duration

SEPARATOR = " · "

ASCII = {"−": "-", "±": "+/-", "×": "x", "…": "...", "·": "-", "–": "-", "≥": ">=", "≤": "<=", "ρ": "rho"}
"""Replacements of characters that the encoding of a stream lacks; `?` for all others."""

PLAIN_INTERVAL_S = 10.0
"""Where stderr is not a terminal, a line of progress at most this often."""

UNLIMITED = 10_000

_quiet = False


def _replacement(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(ASCII.get(character, "?") for character in text), error.end


codecs.register_error("g2l", _replacement)


def tolerate_encodings() -> None:
    """Never fail on a character that stdout or stderr cannot encode, such as in cp1252."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="g2l")


def configure(*, quiet: bool) -> None:
    """Choose how much is printed and send the library's log to stderr."""
    global _quiet
    _quiet = quiet
    logger = logging.getLogger("g2l")
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    logger.propagate = False
    logger.handlers = [_LogHandler()]


class _LogHandler(logging.Handler):
    """One line per record, however long, so that it can be searched for."""

    def emit(self, record: logging.LogRecord) -> None:
        text = escape(one_line(record.getMessage()))
        warning = record.levelno >= logging.WARNING
        _stderr().print(f"[yellow]warning:[/] {text}" if warning else text)


def one_line(text: str) -> str:
    """Return the text without line breaks."""
    return " ".join(text.splitlines())


def _stderr() -> Console:
    # Made anew each time, so that a stream replaced by a test or a caller is respected.
    return Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def error(message: str, hint: str | None = None) -> None:
    """Print one line for what is wrong and one for what to do about it."""
    console = _stderr()
    console.print(f"[bold red]error:[/] {escape(one_line(message))}")
    if hint:
        console.print(f"[cyan]hint:[/] {escape(hint)}")


def say(text: str) -> None:
    """Print a line about what happens, unless --quiet."""
    if not _quiet:
        _stderr().print(escape(text))


def data(text: str) -> None:
    """Print what the user asked for to stdout, as it is."""
    sys.stdout.write(f"{text}\n")


def data_json(value: Any) -> None:
    """Print a JSON value to stdout."""
    data(json.dumps(value, indent=2, sort_keys=True))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table to stdout: the first column left-aligned, the others right-aligned.

    Where it is wider than the terminal, or than `COLUMNS`, each row becomes a paragraph.
    """
    view = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        view.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
    for row in rows:
        view.add_row(*map(escape, row))
    console = Console(highlight=False, soft_wrap=True, emoji=False)
    needed = Measurement.get(console, console.options.update(width=UNLIMITED), view).maximum
    if needed <= console.width or not (sys.stdout.isatty() or "COLUMNS" in os.environ):
        Console(highlight=False, width=needed, emoji=False).print(view)
    else:
        data("\n".join(_paragraphs(title, columns, rows)))


def _paragraphs(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table whose rows are too long to be lines."""
    names = [one_line(column) for column in columns[1:]]
    width = max(map(len, names), default=0)
    yield title
    for row in rows:
        yield ", ".join(row[0].splitlines())
        for name, value in zip(names, row[1:], strict=True):
            first, *more = value.splitlines() or [""]
            yield f"  {name.ljust(width)}  {first}".rstrip()
            yield from (f"  {' ' * width}  {line}" for line in more)


def facts(title: str, values: Mapping[str, str]) -> None:
    """Print names and values below a title to stderr, unless --quiet."""
    if _quiet:
        return
    console = _stderr()
    console.print(f"[bold]{escape(title)}[/]")
    width = max(map(len, values), default=0)
    for name, value in values.items():
        console.print(f"  {escape(name.ljust(width))}  {escape(value)}")


def count(number: int, what: str) -> str:
    """Return such as `1 seed` or `2 seeds`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def wrapped(fields: Sequence[str], width: int) -> list[str]:
    """Return fields as lines of at most `width` characters, broken between fields where there is one."""
    lines: list[str] = []
    for field in fields:
        if lines and len(lines[-1]) + len(SEPARATOR) + len(field) <= width:
            lines[-1] += SEPARATOR + field
        else:
            lines.append(field)
    return lines


@dataclass(frozen=True)
class _Stage:
    """A stage of a longer job, and when the job may end on the monotonic clock."""

    title: str
    end: float | None

    def __str__(self) -> str:
        left = 0.0 if self.end is None else self.end - time.monotonic()
        return self.title + (f"{SEPARATOR}about {duration(left)} left in all stages" if left > 0 else "")


class _Bars(Progress):
    """Bars below the stage of the job, with a few lines below them."""

    stage: _Stage | None = None
    status: Sequence[str] = ()

    def __init__(self, *columns: ProgressColumn, console: Console) -> None:
        self._output = console
        self._shown: tuple[int, Sequence[RenderableType]] = (0, ())
        super().__init__(*columns, console=console, transient=True)

    def get_renderables(self) -> Iterator[RenderableType]:
        """Yield the stage, the bars, then the lines."""
        width = self._output.width
        self._erase_wrapped(width)
        parts: list[RenderableType] = [] if self.stage is None else [Text(str(self.stage))]
        parts.append(self.make_tasks_table(self.tasks))
        if self.status:
            parts.append(Text("\n".join(wrapped(self.status, width))))
        self._shown = (width, parts)
        yield from parts

    def _erase_wrapped(self, width: int) -> None:
        """Erase the lines that a terminal adds when it becomes too narrow for what was shown last.

        Rich erases as many lines as it wrote; terminals that became narrower have wrapped some of them.
        """
        before, parts = self._shown
        if width >= before:
            return
        options = self._output.options.update(width=before)
        lines = self._output.render_lines(Group(*parts), options, pad=False)
        added = sum((max(Segment.get_line_length(line), 1) - 1) // width for line in lines)
        erase = ((ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1))
        self._output.control(Control(ControlType.CARRIAGE_RETURN, *erase * added))


class _RichTask:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self, count: int = 1, note: str | None = None) -> None:
        if note is not None:
            self._progress.update(self._task, note=escape(note))
        self._progress.advance(self._task, count)


class _PlainTask:
    """Progress as lines, for logs and pipes."""

    def __init__(self, description: str, total: int | None) -> None:
        self._description, self._total, self._done = description, total, 0
        self._said = time.monotonic()

    def advance(self, count: int = 1, note: str | None = None) -> None:
        self._done += count
        finished = self._total is not None and self._done >= self._total
        if finished or time.monotonic() - self._said >= PLAIN_INTERVAL_S:
            self._said = time.monotonic()
            total = "" if self._total is None else f"/{self._total}"
            say(f"{self._description}: {self._done}{total}{f' · {note}' if note else ''}")


class ConsoleProgress:
    """Bars on a terminal, lines elsewhere, nothing with --quiet. Implements `g2l.progress.Progress`."""

    def __init__(self) -> None:
        self._live: _Bars | None = None
        self._depth = 0
        self._status: Sequence[str] = ()
        self._stage: _Stage | None = None
        self._said = -math.inf

    @contextmanager
    def task(self, description: str, total: int | None) -> Iterator[_RichTask | _PlainTask]:
        """Yield a task; nested tasks share one display."""
        console = _stderr()
        if _quiet or not console.is_terminal:
            yield _PlainTask(description, total)
            return
        with self._display(console) as live:
            task = live.add_task(escape(description), total=total, note="")
            try:
                yield _RichTask(live, task)
            finally:
                live.remove_task(task)

    def show(self, fields: Sequence[str]) -> None:
        """Show short facts below the bars until others are shown; a line of them now and then elsewhere."""
        self._status = fields
        if self._live is not None:
            self._live.status = fields
        elif fields and not _stderr().is_terminal and time.monotonic() - self._said >= PLAIN_INTERVAL_S:
            self._said = time.monotonic()
            say(SEPARATOR.join(fields))

    def stage(self, title: str, seconds_left: float | None) -> None:
        """Show which stage of a job is running, and how long the whole job may still take."""
        end = None if seconds_left is None else time.monotonic() + seconds_left
        self._stage = _Stage(title, end)
        if self._live is not None:
            self._live.stage = self._stage
        elif not _stderr().is_terminal:
            say(str(self._stage))

    @contextmanager
    def _display(self, console: Console) -> Iterator[Progress]:
        if self._live is None:
            self._live = _Bars(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=console,
            )
            self._live.status, self._live.stage = self._status, self._stage
            self._live.start()
        self._depth += 1
        try:
            yield self._live
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._live.stop()
                self._live = None
