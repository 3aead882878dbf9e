"""Several objectives: non-dominated sorting and crowding (NSGA-II, Deb et al. 2002, section III).

Everything is minimised. A row dominates another that it is nowhere worse than and somewhere better.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
"""One row per structure, one column per objective; shape (n, m), finite."""


def fronts(values: Values) -> NDArray[np.intp]:
    """Return the front of each row, shape (n,): 0 where nothing dominates it, 1 where only front 0 does, ….

    Equal rows do not dominate each other, so they share a front.

    Args:
        values: Shape (n, m).
    """
    no_worse = np.all(values[:, None] <= values[None], axis=2)
    better = np.any(values[:, None] < values[None], axis=2)
    dominates = no_worse & better  # (n, n): row over column
    front = np.zeros(len(values), dtype=np.intp)
    left = np.ones(len(values), dtype=np.bool_)
    number = 0
    while left.any():
        members = left & ~dominates[left].any(axis=0)
        front[members] = number
        left &= ~members
        number += 1
    return front


def crowding(values: Values, front: NDArray[np.intp]) -> Values:
    """Return how far the neighbours of each row are in its front, shape (n,); the ends have none: infinite.

    Of equal rows the first has the distance and the others 0 (deviation: in the paper it depends on the
    sorting which of them count as ends), so that a front of few distinct points is not filled with copies.

    Args:
        values: Shape (n, m).
        front: Of each row, shape (n,).
    """
    distance = np.zeros(len(values))
    for number in np.unique(front):
        members = np.flatnonzero(front == number)
        distinct, first = np.unique(values[members], axis=0, return_index=True)
        distance[members[first]] = sum(_gaps(column) for column in distinct.T)
    return distance


def _gaps(column: Values) -> Values:
    """Return the distance between the neighbours of each value in units of the span, infinite at the ends."""
    order = np.argsort(column, kind="stable")
    ascending = column[order]
    gaps = np.full(len(column), np.inf)
    span = ascending[-1] - ascending[0]
    gaps[order[1:-1]] = (ascending[2:] - ascending[:-2]) / span if span else 0.0
    return gaps
