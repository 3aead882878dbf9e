"""Moved to `g2l.config`."""

from g2l.config import (
    CONTINUED,
    CandidateCheckpoints,
    ExecutorKind,
    GlobalSearchConfig,
    LocalSearchConfig,
    ProxyChoice,
    SecondObjective,
    Strategy,
)

__all__ = [
    "CONTINUED",
    "CandidateCheckpoints",
    "ExecutorKind",
    "GlobalSearchConfig",
    "LocalSearchConfig",
    "ProxyChoice",
    "SecondObjective",
    "Strategy",
]
