"""Which seeds a run uses for what, so that no seed that helped to choose a structure judges it.

A run has one seed. The trainings of each purpose take theirs from a block of its own, and the blocks have no
seed in common. The hold-outs are cut by the seed of the run itself.
"""

from __future__ import annotations

from dataclasses import dataclass

BLOCK = 2**24
"""Seeds of each purpose."""
LARGEST = 2**31 - 1
"""Largest seed that torch, numpy and scikit-learn accept."""


@dataclass(frozen=True)
class SeedPlan:
    """The seeds of a run: `seed` is that of its first final training, as users expect of `--seed`."""

    seed: int

    def final(self, number: int) -> int:
        """Return the seed of a training whose test scores are reported."""
        return self._seed(0, number)

    @property
    def search(self) -> int:
        """Seed of a global search; its trainings, with those of its race, use this one and the next ones."""
        return self._seed(1, 0)

    def selection(self, number: int) -> int:
        """Return the seed of a training on a hold-out that chooses epochs and structure."""
        return self._seed(2, number)

    @property
    def local(self) -> int:
        """Seed of a local search."""
        return self._seed(3, 0)

    def _seed(self, block: int, number: int) -> int:
        if not 0 <= number < BLOCK:
            raise ValueError(f"`number` must be in 0 … {BLOCK - 1}, but is {number} instead.")
        return (self.seed + block * BLOCK + number) % (LARGEST + 1)
