"""Structures and calls that the tests of the fitness share."""

from __future__ import annotations

from g2l.evaluation import EvaluationTask
from g2l.structure import DilationStructure

SMALL = DilationStructure(((1, 1), (1, 1)))
LARGE = DilationStructure(((1, 4), (2, 8)))


def evaluate(fitness, structure, budget, seed, holdouts=(0,)):
    """Return the evaluation of one task."""
    return fitness(EvaluationTask(structure, budget, seed, holdouts))
