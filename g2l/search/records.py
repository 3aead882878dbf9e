"""Evaluations as JSON values, for the journal and the store."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from g2l.errors import InputError
from g2l.evaluation import Budget, Evaluation, EvaluationStatus, EvaluationTask, Phase
from g2l.structure import DilationStructure


def evaluation_to_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return `evaluation` as a JSON value from which it can be read back exactly."""
    return task_to_json(evaluation.task) | {
        "metrics": dict(evaluation.metrics),
        "seconds": evaluation.seconds,
        "status": evaluation.status.value,
        "reason": evaluation.reason,
        "checkpoint": None if evaluation.checkpoint is None else str(evaluation.checkpoint),
    }


def evaluation_from_json(value: Any) -> Evaluation:
    """Return the evaluation that `evaluation_to_json` wrote.

    Raises:
        ValueError: The value is not such an evaluation; what is wrong is named.
    """
    try:
        return Evaluation(
            structure=DilationStructure(tuple(tuple(stage) for stage in value["structure"])),
            budget=Budget(_integer(value["budget"]["amount"]), value["budget"]["unit"]),
            seed=_integer(value["seed"]),
            lineage=tuple(_phase(phase) for phase in value.get("lineage", ())),
            metrics={str(name): _number(metric) for name, metric in value["metrics"].items()},
            seconds=_number(value["seconds"]),
            status=EvaluationStatus(value["status"]),
            reason=None if value["reason"] is None else str(value["reason"]),
            checkpoint=None if value["checkpoint"] is None else Path(value["checkpoint"]),
        )
    except KeyError as error:
        raise ValueError(f"`{error.args[0]}` is missing") from None
    except (TypeError, AttributeError, InputError) as error:
        raise ValueError(str(error)) from None


def task_to_json(task: EvaluationTask) -> dict[str, Any]:
    """Return `task` as a JSON value; a lineage appears only where there is one."""
    value = {
        "structure": task.structure.as_lists(),
        "budget": {"amount": task.budget.amount, "unit": task.budget.unit},
        "seed": task.seed,
    }
    if task.lineage:
        value["lineage"] = [
            {
                "until": phase.until,
                "structure": None if phase.structure is None else phase.structure.as_lists(),
                "rates": list(phase.rates),
            }
            for phase in task.lineage
        ]
    return value


def _phase(value: Any) -> Phase:
    stages = value["structure"]
    structure = None if stages is None else DilationStructure(tuple(tuple(stage) for stage in stages))
    return Phase(_integer(value["until"]), structure, tuple(_integer(rate) for rate in value["rates"]))


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"expected an integer, but found {value!r}")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"expected a number, but found {value!r}")
    return float(value)
