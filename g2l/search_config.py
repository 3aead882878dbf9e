"""Moved to `g2l.config`."""

from g2l.config import (
    CandidateCheckpoints,
    ExecutorKind,
    GlobalSearchConfig,
    LocalSearchConfig,
    ProxyChoice,
    Strategy,
)

__all__ = [
    "CandidateCheckpoints",
    "ExecutorKind",
    "GlobalSearchConfig",
    "LocalSearchConfig",
    "ProxyChoice",
    "Strategy",
]
