"""Evaluations kept by content, so that no run ever computes one twice."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from g2l.errors import InputError
from g2l.evaluation import Evaluation, EvaluationStatus, EvaluationTask
from g2l.files import canonical_json, fingerprint, read_json, write_json
from g2l.search.journal import evaluation_from_json, evaluation_to_json, task_to_json

SCHEMA = "g2l.evaluation/1"

_log = logging.getLogger("g2l")


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
        question = self._question(task)
        path = self._path(question)
        if not path.is_file():
            return None
        try:
            value = read_json(path)
            if not isinstance(value, dict) or value.get("schema") != SCHEMA:
                raise ValueError(f"its schema is not {SCHEMA}")
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
        if evaluation.status is not EvaluationStatus.DONE:
            return
        question = self._question(evaluation.task)
        value = {"schema": SCHEMA, "question": question, "evaluation": evaluation_to_json(evaluation)}
        write_json(self._path(question), value)

    def _question(self, task: EvaluationTask) -> dict[str, Any]:
        return task_to_json(task) | {"identity": self._identity}

    def _path(self, question: Mapping[str, Any]) -> Path:
        key = fingerprint(question)
        return self._folder / key[:2] / f"{key}.json"
