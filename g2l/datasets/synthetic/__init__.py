"""Data sets made from a seed: a kitchen with long-range grammar, and signals with planted lags."""
