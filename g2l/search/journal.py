"""The append-only record of a search, from which it is resumed by replay."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from g2l.errors import InputError, OperationalError, at
from g2l.evaluation import Evaluation, EvaluationTask
from g2l.files import canonical_json, ensure_folder, unwritable
from g2l.search.journal_lines import JournalContent, parse_journal
from g2l.search.records import evaluation_to_json
from g2l.structure import DilationStructure

SCHEMA = "g2l.journal/1"


class Journal:
    """One `journal.jsonl`: a header, every evaluation and generation, an end. One search owns it.

    A search is a pure function of its settings and of the scores it is told, so a resumed search starts
    again from its first generation and takes the scores that it finds here. Each line is on disk before
    the search goes on: a kill loses at most the candidates that were being trained.

    Args:
        path: The file.
        resume: Continue the file if there is one, instead of refusing to.
        identity: What the scores depend on beside the search's own settings, as JSON values: data
            fingerprint, recipe, backbone. Give the `EvaluationStore` the same.
    """

    def __init__(self, path: Path, *, resume: bool, identity: Mapping[str, Any]) -> None:
        self._path = path
        self._resume = resume
        self._identity = dict(identity)
        self._descriptor: int | None = None
        self._content = JournalContent()

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Open the file, compare its header or write one, and read what it holds.

        Args:
            settings: All settings of the search that its result depends on, as JSON values.

        Raises:
            InputError: There is a journal and `resume` is false, it is damaged, or it belongs to a search
                with other settings.
            OperationalError: It cannot be opened, or another process is using it.
        """
        ensure_folder(self._path.parent)
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OperationalError(f"{self._path}: another search is using this journal.") from None
        except OSError as error:
            raise OperationalError(f"{self._path}: cannot be opened ({error.strerror}).") from error
        header = {"event": "header", "schema": SCHEMA, "settings": {**settings, "identity": self._identity}}
        header = json.loads(canonical_json(header))
        self._content = parse_journal(self._path)
        if self._content.header is None:
            self._truncate(0)
            self._append(header)
            return
        if not self._resume:
            raise InputError(
                f"{self._path}: there is a journal of a search already.",
                hint="continue it with --resume, or choose another folder with --output-dir.",
            )
        self._compare(self._content.header, header)
        self._truncate(self._content.length)

    def find(self, task: EvaluationTask) -> tuple[Evaluation, bool] | None:
        """Return the evaluation that the file held when it was opened, and whether it was a cache hit."""
        return self._content.evaluations.get(task)

    def record_evaluation(self, evaluation: Evaluation, generation: int, *, cached: bool) -> None:
        """Append an evaluation; `cached` says that it came from another run."""
        record = {"event": "evaluation", "generation": generation, "cached": cached}
        self._append(record | {"evaluation": evaluation_to_json(evaluation)})

    def record_generation(self, summary: Mapping[str, Any]) -> None:
        """Append the summary of a generation, or compare it with the one in the file.

        Raises:
            InputError: The replay has come to another result than the file holds.
        """
        number = int(summary["generation"])
        recorded = self._content.generations.get(number)
        record = {"event": "generation", **summary}
        if recorded is None:
            self._append(record)
        elif canonical_json(recorded.value) != canonical_json(record):
            raise InputError(
                f"{at(self._path, recorded.line)}: replaying generation {number} gives another result.",
                hint="the journal was edited, or written by another version of g2l or NumPy; start anew.",
            )

    def record_end(self, best: DilationStructure) -> None:
        """Append that the search has ended, unless the file says so."""
        if not self._content.ended:
            self._append({"event": "end", "best": best.as_lists()})

    def close(self) -> None:
        """Release the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _append(self, record: Mapping[str, Any]) -> None:
        if self._descriptor is None:
            raise OperationalError(f"{self._path}: the journal is not open.")
        line = memoryview(f"{canonical_json(record)}\n".encode())
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
            os.fsync(self._descriptor)
        except OSError as error:
            raise unwritable(self._path, error) from error

    def _truncate(self, length: int) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, length)

    def _compare(self, recorded: Mapping[str, Any], header: Mapping[str, Any]) -> None:
        before, now = dict(_flatten(recorded)), dict(_flatten(header))
        names = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
        if names:
            fields = ", ".join(
                f"`{name.removeprefix('settings.')}` ({before.get(name)!r} there, {now.get(name)!r} now)"
                for name in names
            )
            raise InputError(
                f"{at(self._path, 1)}: the journal is of a search with other settings: {fields}.",
                hint="resume with the same settings, or choose another folder with --output-dir.",
            )


def _flatten(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flatten(item, f"{name}.{key}" if name else str(key))
    else:
        yield name, value
