"""Decoded videos kept in RAM, the least recently used ones leaving first."""

from __future__ import annotations

from collections import OrderedDict

from g2l.datasets.features import Features


class FeatureCache:
    """Features by video name, within a budget. Not safe for several threads.

    Args:
        budget_mb: MiB that all entries together may take; 0 keeps nothing.
    """

    def __init__(self, budget_mb: int) -> None:
        self._budget = budget_mb * 2**20
        self._used = 0
        self._entries: OrderedDict[str, Features] = OrderedDict()

    def get(self, name: str) -> Features | None:
        """Return the features of `name` and count them as used, or None."""
        if name in self._entries:
            self._entries.move_to_end(name)
        return self._entries.get(name)

    def put(self, name: str, features: Features) -> Features:
        """Keep and return `features`, dropping others until they fit; too large ones are not kept."""
        if features.nbytes > self._budget:
            return features
        while self._used + features.nbytes > self._budget:
            _, dropped = self._entries.popitem(last=False)
            self._used -= dropped.nbytes
        self._entries[name] = features
        self._used += features.nbytes
        return features
