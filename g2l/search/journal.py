"""Evaluations on disk: the journal from which a search is resumed, and the store that runs share.

`journal.jsonl` is append-only. Its lines are JSON objects with an `event`: `header` (schema and settings)
first, then `evaluation` (one per new task) and `generation` (the population and the state of the random
generator), `end` last.
"""

from __future__ import annotations

import fcntl
import json
import logging
import math
import os
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from g2l.config import Budget
from g2l.errors import InputError, OperationalError, at, brief
from g2l.evaluation import Evaluation, EvaluationStatus, EvaluationTask
from g2l.files import canonical_json, ensure_folder, fingerprint, read_json, unwritable, write_json
from g2l.records import now
from g2l.structure import DilationStructure

SCHEMA = "g2l.journal/1"
STORE_SCHEMA = "g2l.evaluation/1"

_log = logging.getLogger("g2l")


class Journal:
    """One `journal.jsonl`, held by one search.

    A search is a pure function of its settings and scores. A resumed search therefore starts again from its
    first generation and takes the scores that are recorded here. Each line is on disk before the search goes
    on: a kill loses at most the candidates that were being trained.

    Args:
        path: The file.
        resume: Continue an existing file instead of refusing it.
        identity: What the scores depend on beside the settings of the search, as JSON values: data
            fingerprint, recipe, backbone. The same as that of the `EvaluationStore`.
    """

    def __init__(self, path: Path, *, resume: bool, identity: Mapping[str, Any]) -> None:
        self._path = path
        self._resume = resume
        self._identity = dict(identity)
        self._descriptor: int | None = None
        self._content = JournalContent()

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Open the file, write or compare its header, and read it.

        Args:
            settings: All settings that the result of the search depends on, as JSON values.

        Raises:
            InputError: The file exists and `resume` is false, it is damaged, or it belongs to a search with
                other settings.
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
        self._content = read_journal(self._path)
        if self._content.header is None:
            os.ftruncate(self._descriptor, 0)
            self._append(header)
            return
        if not self._resume:
            raise InputError(
                f"{self._path}: there is a journal of a search already.",
                hint="continue it with --resume, or choose another folder with --output-dir.",
            )
        self._compare(self._content.header, header)
        os.ftruncate(self._descriptor, self._content.length)

    def find(self, task: EvaluationTask) -> tuple[Evaluation, bool] | None:
        """Return the evaluation that the file held when it was opened, and whether it was a cache hit."""
        return self._content.evaluations.get(task)

    def record_evaluation(self, evaluation: Evaluation, **facts: Any) -> None:
        """Append an evaluation, and facts as JSON values: generation, origin, phase, cached, steps."""
        self._append({"event": "evaluation", **facts, "evaluation": evaluation_to_json(evaluation)})

    def record_generation(self, summary: Mapping[str, Any]) -> None:
        """Append the summary of a generation, or compare it with the one in the file.

        Raises:
            InputError: The replay gives another result than the file holds.
        """
        number = int(summary["generation"])
        record = {"event": "generation", **summary}
        if number not in self._content.generations:
            self._append(record)
            return
        line, recorded = self._content.generations[number]
        if canonical_json({**recorded, "at": 0}) != canonical_json({**record, "at": 0}):
            raise InputError(
                f"{at(self._path, line)}: replaying generation {number} gives another result.",
                hint="the journal was edited, or written by another version of g2l or NumPy; start anew.",
            )

    def record_end(self, best: DilationStructure) -> None:
        """Append the end of the search, unless the file holds it."""
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
        line = memoryview(f"{canonical_json({**record, 'at': now()})}\n".encode())
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
            os.fsync(self._descriptor)
        except OSError as error:
            raise unwritable(self._path, error) from error

    def _compare(self, recorded: Mapping[str, Any], header: Mapping[str, Any]) -> None:
        before, current = ({"schema": one.get("schema"), **one["settings"]} for one in (recorded, header))
        if changes := changed_settings(before, current):
            raise InputError(
                f"{at(self._path, 1)}: the journal is of a search with other settings: {changes}.",
                hint="resume with the same settings, or choose another folder with --output-dir.",
            )


@dataclass
class JournalContent:
    """The whole lines of a journal, `length` bytes; no header when not even that line is whole.

    By task: evaluations and whether they came from another run; the steps charged for them (in journals of
    g2l 0.1.0 their budget). By number: line and value of the generations.
    """

    header: Mapping[str, Any] | None = None
    evaluations: dict[EvaluationTask, tuple[Evaluation, bool]] = field(default_factory=dict)
    steps: dict[EvaluationTask, int] = field(default_factory=dict)
    generations: dict[int, tuple[int, Mapping[str, Any]]] = field(default_factory=dict)
    ended: bool = False
    length: int = 0


def read_journal(path: Path) -> JournalContent:
    """Read a journal, also one that is still being written.

    A torn last line (without a newline, or not JSON after a power cut) is left out.

    Raises:
        InputError: Any other line is damaged, or repeats the evaluation of a task or a generation: the file
            was edited, or put together from several.
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
        if not isinstance(value.get("settings"), dict):
            raise ValueError("expected `settings` in its header")
        content.header = value
    elif event == "evaluation":
        if isinstance(value.get("evaluation"), dict) and value["evaluation"].get("lineage"):
            return  # scored with weights that candidates shared, by g2l 0.1.0
        evaluation = evaluation_from_json(value.get("evaluation"))
        if evaluation.task in content.evaluations:
            raise ValueError(f"the evaluation of {evaluation.structure} is recorded a second time")
        content.evaluations[evaluation.task] = (evaluation, value.get("cached") is True)
        content.steps[evaluation.task] = _integer(value.get("steps", evaluation.budget.amount))
    elif event == "generation":
        generation = int(value["generation"])
        if generation in content.generations:
            raise ValueError(f"generation {generation} is recorded a second time")
        content.generations[generation] = (number, value)
    elif event == "end":
        content.ended = True
    else:
        raise ValueError(f"expected `event` to be evaluation, generation or end, but found {event!r}")


class EvaluationStore:
    """A folder of JSON files, one per evaluation, that any number of runs may share at the same time.

    Writes are atomic and equal content has an equal name, so no locks are needed. Only evaluations that
    succeeded are kept: a failure may be the machine's.

    Args:
        folder: Where the files are; made when the first one is written.
        identity: All that a score depends on beside its task, as JSON values:
            data fingerprint, recipe, backbone.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self._folder = folder
        self._identity = dict(identity)

    def get(self, task: EvaluationTask) -> Evaluation | None:
        """Return the stored evaluation, or None. A checkpoint that is gone is left out of it.

        A damaged file counts as absent, and is overwritten when its structure has been evaluated again.
        """
        path, question = self._place(task)
        if not path.is_file():
            return None
        try:
            value = read_json(path)
            if not isinstance(value, dict) or value.get("schema") != STORE_SCHEMA:
                raise ValueError(f"its schema is not {STORE_SCHEMA}")
            if canonical_json(value.get("question")) != canonical_json(question):
                raise ValueError("it answers another question")
            evaluation = evaluation_from_json(value.get("evaluation"))
        except (InputError, ValueError) as error:
            _log.warning("%s: ignored, because it is not a stored evaluation (%s).", path, error)
            return None
        if evaluation.checkpoint is not None and not evaluation.checkpoint.exists():
            evaluation = replace(evaluation, checkpoint=None)
        return evaluation

    def put(self, evaluation: Evaluation) -> None:
        """Keep `evaluation` unless it failed.

        Raises:
            G2LError: The folder cannot be written.
        """
        if evaluation.status is EvaluationStatus.DONE:
            path, question = self._place(evaluation.task)
            value = {"schema": STORE_SCHEMA, "question": question}
            write_json(path, value | {"evaluation": evaluation_to_json(evaluation)})

    def _place(self, task: EvaluationTask) -> tuple[Path, dict[str, Any]]:
        """Return the file of a task, and the question that it answers."""
        question = _task_to_json(task) | {"identity": self._identity}
        key = fingerprint(question)
        return self._folder / key[:2] / f"{key}.json", question


def evaluation_to_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return a JSON value from which the evaluation can be read back exactly."""
    curve = {name: list(values) for name, values in evaluation.curve.items()}
    return (
        _task_to_json(evaluation.task)
        | ({"curve": curve} if curve else {})
        | {
            "metrics": dict(evaluation.metrics),
            "seconds": evaluation.seconds,
            "status": evaluation.status.value,
            "reason": evaluation.reason,
            "checkpoint": None if evaluation.checkpoint is None else str(evaluation.checkpoint),
        }
    )


def evaluation_from_json(value: Any) -> Evaluation:
    """Return the evaluation that `evaluation_to_json` wrote.

    Raises:
        ValueError: The value is not an evaluation; the message names the field.
    """
    try:
        return Evaluation(
            structure=DilationStructure(value["structure"]),
            budget=Budget(_integer(value["budget"]["amount"]), value["budget"]["unit"]),
            seed=_integer(value["seed"]),
            holdouts=tuple(map(_integer, value.get("holdouts", (0,)))),
            metrics={str(name): _number(metric) for name, metric in value["metrics"].items()},
            seconds=_number(value["seconds"]),
            status=EvaluationStatus(value["status"]),
            reason=None if value["reason"] is None else str(value["reason"]),
            checkpoint=None if value["checkpoint"] is None else Path(value["checkpoint"]),
            curve={str(name): tuple(map(_number, values)) for name, values in value.get("curve", {}).items()},
        )
    except KeyError as error:
        raise ValueError(f"`{error.args[0]}` is missing") from None
    except (TypeError, AttributeError, InputError) as error:
        raise ValueError(str(error)) from None


def _task_to_json(task: EvaluationTask) -> dict[str, Any]:
    """Return a task as a JSON value; the first hold-out alone is left out, as in journals of g2l 0.1.0."""
    value = {
        "structure": task.structure.as_lists(),
        "budget": {"amount": task.budget.amount, "unit": task.budget.unit},
        "seed": task.seed,
    }
    return value if task.holdouts == (0,) else value | {"holdouts": list(task.holdouts)}


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"expected an integer, but found {value!r}")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"expected a number, but found {value!r}")
    return float(value)


def changed_settings(before: Mapping[str, Any], now: Mapping[str, Any], ignored: Container[str] = ()) -> str:
    """Return which nested settings differ as JSON values, in words; `ignored` are last names."""
    old, new = (dict(_flatten(json.loads(json.dumps(settings)))) for settings in (before, now))
    return ", ".join(
        f"`{name}` was {old.get(name)!r} and is {new.get(name)!r}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name) and name.rpartition(".")[2] not in ignored
    )


def _flatten(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flatten(item, f"{name}.{key}" if name else str(key))
    else:
        yield name, value
