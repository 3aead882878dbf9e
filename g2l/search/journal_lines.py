"""Reading a journal: which lines are whole, and what they say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from g2l.errors import InputError, OperationalError, at, brief
from g2l.evaluation import Evaluation, EvaluationTask
from g2l.search.records import evaluation_from_json


@dataclass(frozen=True)
class RecordedGeneration:
    """A generation line: where it is and what it says."""

    line: int
    value: Mapping[str, Any]


@dataclass
class JournalContent:
    """What a journal held when it was opened.

    Attributes:
        header: Its first line, or None when not even that is whole.
        evaluations: By task: the evaluation, and whether it came from another run.
        generations: By number.
        ended: Whether the search had ended.
        length: Bytes of the whole lines.
    """

    header: Mapping[str, Any] | None = None
    evaluations: dict[EvaluationTask, tuple[Evaluation, bool]] = field(default_factory=dict)
    generations: dict[int, RecordedGeneration] = field(default_factory=dict)
    ended: bool = False
    length: int = 0


def parse_journal(path: Path) -> JournalContent:
    """Read a journal.

    A last line that is torn (no newline, or not JSON, as a power cut leaves it) is left out.

    Raises:
        InputError: Any other line is damaged; it is named.
        OperationalError: The file cannot be read.
    """
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise OperationalError(f"{path}: cannot be read ({error.strerror}).") from error
    content = JournalContent()
    for number, line in enumerate(lines, start=1):
        last = number == len(lines)
        if last and not line.endswith(b"\n"):
            break
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            if last and number > 1:
                break
            raise InputError(
                f"{at(path, number)}: expected one line of JSON; the journal is damaged."
            ) from None
        try:
            _take(value, number, content)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise InputError(f"{at(path, number)}: the journal is damaged ({brief(error)}).") from None
        content.length += len(line)
    return content


def _take(value: Any, number: int, content: JournalContent) -> None:
    event = value["event"] if isinstance(value, dict) and "event" in value else None
    if (event == "header") != (number == 1):
        raise ValueError("expected its header in line 1 and nowhere else")
    if event == "header":
        content.header = value
    elif event == "evaluation":
        evaluation = evaluation_from_json(value.get("evaluation"))
        content.evaluations[evaluation.task] = (evaluation, value.get("cached") is True)
    elif event == "generation":
        content.generations[int(value["generation"])] = RecordedGeneration(number, value)
    elif event == "end":
        content.ended = True
    else:
        raise ValueError(f"expected `event` to be evaluation, generation or end, but found {event!r}")
