"""Measures what one candidate costs, so that a search can say beforehand what it will."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from g2l.config import Selection
from g2l.datasets.dataset import SegmentationDataset
from g2l.errors import OperationalError
from g2l.evaluation import Budget, EvaluationTask
from g2l.models.registry import build_backbone
from g2l.structure import DilationStructure
from g2l.training.fitness import ShortTrainingFitness

PROBE_STEPS = 4

logger = logging.getLogger("g2l")


@dataclass(frozen=True)
class CandidateCost:
    """What one candidate takes: wall-clock seconds, None when it cannot be measured, and bytes of weights."""

    seconds: float | None
    checkpoint_bytes: int


def measure_candidate(
    fitness: ShortTrainingFitness, structure: DilationStructure, budget: Budget, seed: int
) -> CandidateCost:
    """Return the estimated cost of one candidate after training one for a few steps.

    The probe keeps no weights and its score is not used.

    Args:
        fitness: How candidates are trained.
        structure: Any structure of the space; rates hardly change the time of a step.
        budget: Training of a candidate.
        seed: Seed of the candidates.
    """
    dataset = SegmentationDataset.open(fitness.data)
    videos = len(dataset.partitions(Selection.BEST).train)
    steps = budget.amount * (-(-videos // fitness.recipe.batch_size) if budget.unit == "epochs" else 1)
    network = build_backbone(
        fitness.backbone, structure, feature_dim=dataset.feature_dim, num_classes=len(dataset.mapping.names)
    )
    weights = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    try:
        seconds = _seconds(replace(fitness, checkpoint_folder=None), structure, steps, seed)
    except OperationalError as error:  # a candidate that fails ends no search
        logger.warning("the time of a candidate cannot be measured: %s", error)
        seconds = None
    return CandidateCost(seconds=seconds, checkpoint_bytes=weights)


def _seconds(probe: ShortTrainingFitness, structure: DilationStructure, steps: int, seed: int) -> float:
    _group_seconds(probe, structure, 1, seed)  # the first call also opens the data
    short = _group_seconds(probe, structure, 1, seed)
    longer = _group_seconds(probe, structure, 1 + PROBE_STEPS, seed)
    step = max(longer - short, 0.0) / PROBE_STEPS
    return short + step * (steps - 1)


def _group_seconds(probe: ShortTrainingFitness, structure: DilationStructure, steps: int, seed: int) -> float:
    """Return the seconds of each candidate of a full group, whose members differ in a search but not here."""
    task = EvaluationTask(structure, Budget(steps, "steps"), seed)
    group = [task] * probe.group_size
    return sum(evaluation.seconds for evaluation in probe(group)) / len(group)
