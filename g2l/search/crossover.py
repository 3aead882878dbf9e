"""Two-point crossover (G2L, section 3.2)."""

from __future__ import annotations

import numpy as np

from g2l.structure import DilationStructure


def two_point_crossover(
    first: DilationStructure, second: DilationStructure, generator: np.random.Generator
) -> tuple[DilationStructure, DilationStructure]:
    """Return two children: the parents with one run of genes exchanged.

    The two cuts are drawn from the n boundaries of the genome closed to a ring, so that every run is
    as likely as any other, and never all of the genome (which would only swap the parents).
    Deviation (METHOD, section 3, fix 5): the caller crosses every pair; the released code skips the last.

    Args:
        first: One parent.
        second: The other, of the same shape.
        generator: Source of randomness.
    """
    genes = len(first.rates)
    if genes < 2:
        return first, second
    start, stop = np.sort(generator.choice(genes, size=2, replace=False))
    a, b = first.rates, second.rates
    return (
        DilationStructure.from_rates(a[:start] + b[start:stop] + a[stop:], first.shape),
        DilationStructure.from_rates(b[:start] + a[start:stop] + b[stop:], first.shape),
    )
