"""Non-dominated sorting and crowding distance as in the paper's text, one comparison at a time."""

from __future__ import annotations

import math


def dominates(first, second) -> bool:
    return all(a <= b for a, b in zip(first, second, strict=True)) and tuple(first) != tuple(second)


def fronts(rows) -> list[int]:
    """The front of a row is 1 more than the last front that holds one that dominates it."""
    known: dict[int, int] = {}

    def front(row: int) -> int:
        if row not in known:
            above = [front(other) for other in range(len(rows)) if dominates(rows[other], rows[row])]
            known[row] = 1 + max(above, default=-1)
        return known[row]

    return [front(row) for row in range(len(rows))]


def crowding(rows, numbers) -> list[float]:
    distances = [0.0] * len(rows)
    for number in set(numbers):
        points = sorted({tuple(rows[row]) for row in range(len(rows)) if numbers[row] == number})
        for point in points:
            first = next(i for i, row in enumerate(rows) if tuple(row) == point and numbers[i] == number)
            for objective in range(len(point)):
                ascending = sorted(points, key=lambda other, by=objective: other[by])
                place = ascending.index(point)
                if place in (0, len(points) - 1):
                    distances[first] = math.inf
                    continue
                span = ascending[-1][objective] - ascending[0][objective]
                gap = ascending[place + 1][objective] - ascending[place - 1][objective]
                distances[first] += gap / span if span else 0.0
    return distances
