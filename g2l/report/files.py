"""Reading files of a run's folder so that a damaged one is named, and a missing one is no fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from g2l.errors import InputError
from g2l.files import read_json
from g2l.structure import DilationStructure

RECORD, RESULT, DATA, JOURNAL = "run.json", "result.json", "dataset.json", "journal.jsonl"
STRUCTURE, SUMMARY = "structure.json", "summary.json"
EVALUATION, SEGMENTS = "evaluation.json", "segments.csv"
WANTED = (RECORD, RESULT, DATA, JOURNAL, STRUCTURE, SUMMARY, EVALUATION, SEGMENTS)
"""Everything that a report reads of a run, by name of the file."""


def optional(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, or an empty one where there is no such file.

    Raises:
        InputError: The file is not JSON, or no object.
    """
    if not path.is_file():
        return {}
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object, but found a {type(value).__name__} instead.")
    return value


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Name the file where its content is not what the stages write.

    Raises:
        InputError: Something in it is missing or of another kind.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        reason = f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{path}: is not as g2l writes it ({reason}).",
            hint="make the run again, or report it with the version that wrote it.",
        ) from error


def as_structure(value: Any) -> DilationStructure:
    """Return the structure that nested lists hold."""
    return DilationStructure(tuple(tuple(stage) for stage in value))
