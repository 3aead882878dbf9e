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
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.control import Control
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
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


def table(title: str, rows: Sequence[Mapping[str, str]]) -> None:
    """Print a table of rows by column to stdout: the first column left-aligned, the others right-aligned.

    Where it is wider than the terminal, or than `COLUMNS`, each row becomes a paragraph.
    """
    view = Table(title=title, title_justify="left")
    for number, column in enumerate(rows[0]):
        view.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
    for row in rows:
        view.add_row(*map(escape, row.values()))
    console = Console(highlight=False, soft_wrap=True, emoji=False)
    needed = Measurement.get(console, console.options.update(width=UNLIMITED), view).maximum
    if needed <= console.width or not (sys.stdout.isatty() or "COLUMNS" in os.environ):
        Console(highlight=False, width=needed, emoji=False).print(view)
        return
    data(title)
    width = max(len(one_line(column)) for column in rows[0])
    for row in rows:
        first, *others = row.items()
        data(", ".join(first[1].splitlines()))
        for column, value in others:
            lines = value.replace("\n", f"\n  {' ' * width}  ")
            data(f"  {one_line(column).ljust(width)}  {lines}".rstrip())


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


class _Bars(Progress):
    """Bars below the stage of the job, with a few lines below them."""

    def __init__(self, owner: ConsoleProgress, console: Console) -> None:
        self._owner, self._output = owner, console
        self._shown: tuple[int, Sequence[RenderableType]] = (0, ())
        super().__init__(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
        )

    def get_renderables(self) -> Iterator[RenderableType]:
        """Yield the stage, the bars, then the lines."""
        width = self._output.width
        self._erase_wrapped(width)
        stage, status = self._owner.stage_line(), self._owner.status
        parts: list[RenderableType] = [Text(stage)] if stage else []
        parts.append(self.make_tasks_table(self.tasks))
        if status:
            parts.append(Text("\n".join(wrapped(status, width))))
        self._shown = (width, parts)
        yield from parts

    def _erase_wrapped(self, width: int) -> None:
        """Erase the lines that a terminal adds when it becomes too narrow for the last display.

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


class _Task:
    """A bar, or without bars a line now and then, for logs and pipes."""

    def __init__(self, bars: Progress | None, description: str, total: int | None) -> None:
        self._bars, self._description, self._total, self._done = bars, description, total, 0
        self._said = time.monotonic()
        if bars is not None:
            self._bar = bars.add_task(escape(description), total=total, note="")

    def advance(self, count: int = 1, note: str | None = None) -> None:
        self._done += count
        if self._bars is not None:
            if note is not None:
                self._bars.update(self._bar, note=escape(note))
            self._bars.advance(self._bar, count)
            return
        finished = self._total is not None and self._done >= self._total
        if finished or time.monotonic() - self._said >= PLAIN_INTERVAL_S:
            self._said = time.monotonic()
            total = "" if self._total is None else f"/{self._total}"
            say(f"{self._description}: {self._done}{total}{f' · {note}' if note else ''}")

    def close(self) -> None:
        if self._bars is not None:
            self._bars.remove_task(self._bar)


class ConsoleProgress:
    """Bars on a terminal, lines elsewhere, nothing with --quiet. Implements `g2l.progress.Progress`."""

    def __init__(self) -> None:
        self.status: Sequence[str] = ()
        self._bars: _Bars | None = None
        self._stage, self._end = "", 0.0
        self._said = -math.inf

    @contextmanager
    def task(self, description: str, total: int | None) -> Iterator[_Task]:
        """Yield a task; nested tasks share one display."""
        console = _stderr()
        if self._bars is None and not _quiet and console.is_terminal:
            self._bars = _Bars(self, console)
            self._bars.start()
        task = _Task(self._bars, description, total)
        try:
            yield task
        finally:
            task.close()
            if self._bars is not None and not self._bars.tasks:
                self._bars.stop()
                self._bars = None

    def show(self, fields: Sequence[str]) -> None:
        """Show short facts below the bars until others are shown; a line of them now and then elsewhere."""
        self.status = fields
        if fields and not _stderr().is_terminal and time.monotonic() - self._said >= PLAIN_INTERVAL_S:
            self._said = time.monotonic()
            say(SEPARATOR.join(fields))

    def stage(self, title: str, seconds_left: float | None) -> None:
        """Show which stage of a job is running, and how long the whole job may still take."""
        self._stage, self._end = title, time.monotonic() + (seconds_left or 0.0)
        if not _stderr().is_terminal:
            say(self.stage_line())

    def stage_line(self) -> str:
        """Return the stage and the time that is left of the job, or nothing."""
        left = self._end - time.monotonic()
        return self._stage + (f"{SEPARATOR}about {duration(left)} left in all stages" if left > 0 else "")
