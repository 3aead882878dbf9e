"""A model of the scores so far, by which children are chosen before they cost anything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from g2l.search.population import Candidate
from g2l.structure import DilationStructure, LayerTopology

OPTIMISM = 2.0
"""Standard deviations of the prediction that are added to its mean."""


def features(structures: Sequence[DilationStructure], topology: LayerTopology) -> NDArray[np.float64]:
    """Return log2 of the rates, of every stage's receptive field and of the whole network's.

    Args:
        structures: One or more.
        topology: Of their network.

    Returns:
        Shape (structures, genes + stages + 1).
    """
    rows = []
    for structure in structures:
        reaches = (*topology.stage_receptive_fields(structure), topology.receptive_field(structure))
        rows.append([*structure.rates, *(reach.frames for reach in reaches)])
    return np.log2(np.array(rows, dtype=np.float64))


def optimistic_scores(
    known: Sequence[Candidate], structures: Sequence[DilationStructure], topology: LayerTopology
) -> NDArray[np.float64]:
    """Return what each structure might score: the prediction plus twice its standard deviation.

    The model is a Bayesian linear regression (MacKay 1992) on the features and their squares: a rate may
    have a best value, neither of the extremes, and it weighs its own noise. In simulations with
    tens of scores on 40 layers it did about as well as a Gaussian process and better than randomised trees;
    without the deviation all of them found less: what is certain to be good is near what is known.

    Args:
        known: Scores of one budget and seed, none of them failed, two or more.
        structures: What is asked for, one or more.
        topology: Of their network.

    Returns:
        Points of fitness, shape (structures,).
    """
    from sklearn.linear_model import BayesianRidge

    seen = features([candidate.structure for candidate in known], topology)
    asked = features(structures, topology)
    mean, spread = seen.mean(axis=0), seen.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    inputs, questions = (seen - mean) / scale, (asked - mean) / scale
    model = BayesianRidge().fit(
        np.hstack([inputs, inputs**2]), np.array([candidate.fitness for candidate in known])
    )
    expected, deviation = model.predict(np.hstack([questions, questions**2]), return_std=True)
    return np.asarray(expected + OPTIMISM * deviation, dtype=np.float64)
