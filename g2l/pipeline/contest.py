"""The contest: which structure is shipped, and how the trained networks compare on test.

Hold-outs decide, test scores are only reported. The candidates are, from simple to less simple, the
hand-designed structure, the winner of the global search, and that structure refined by the local search. Each
is trained on the same hold-outs under the same fresh seeds (`g2l.pipeline.select`), and scored after as many
epochs as its own curve chooses. A candidate that is not better than the simpler one beyond noise is kept with
its scores, and not shipped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from g2l.datasets.holdout import subjects_of
from g2l.metrics.comparison import CONFIDENCE, Comparison, Verdict, compare
from g2l.metrics.scores import MEAN_F1, metric_value
from g2l.metrics.summary import Summary
from g2l.metrics.video_comparison import Trainings, compare_videos
from g2l.pipeline.select import SelectionOutcome
from g2l.pipeline.train import TrainingOutcome
from g2l.shipping import ContestConfig, Ship
from g2l.structure import DilationStructure, LayerTopology

COMPARED = (MEAN_F1, "accuracy")
"""Metrics of the comparison: one for segments, one for frames. Of many, one would differ by luck."""
HAND_DESIGNED = "hand-designed"
LOOKS = 4
"""Times that `until_decided` looks at the scores, at most."""


@dataclass(frozen=True)
class Duel:
    """A candidate against the simpler one that would be shipped otherwise, by name.

    `comparison` is challenger minus defender on the hold-outs; None where they are the same structure.
    """

    challenger: str
    defender: str
    comparison: Comparison | None

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "challenger": self.challenger,
            "defender": self.defender,
            "comparison": None if self.comparison is None else self.comparison.as_dict(),
            "words": self.words,
        }

    @property
    def words(self) -> str:
        """The result as a sentence."""
        challenger, defender = (
            name if name == HAND_DESIGNED else f"{name} search" for name in (self.challenger, self.defender)
        )
        if self.comparison is None:
            return f"The {challenger} kept the {self.defender} structure."
        words = self.comparison.words("hold-out")
        return f"{challenger.capitalize()} against {defender} on hold-outs: {words}."


@dataclass(frozen=True, kw_only=True)
class ContestOutcome:
    """Decision of the hold-outs, and in plain words its reason.

    `searched` is the structure that is trained beside the hand-designed one: the `shipped` one, or the last
    of the searches where the hand-designed one is shipped. Selections are by name of the candidate.
    """

    shipped: str
    searched: str
    duels: tuple[Duel, ...]
    selections: Mapping[str, SelectionOutcome]
    reason: str

    @property
    def steps(self) -> int:
        """Optimiser steps of all trainings on hold-outs."""
        distinct = {one.structure: one.steps for one in self.selections.values()}
        return sum(distinct.values())

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "shipped": self.shipped,
            "searched": self.searched,
            "reason": self.reason,
            "candidates": {
                name: {
                    "structure": one.structure.as_lists(),
                    "epochs": one.epochs,
                    "trainings": len(one.trainings),
                    "holdout": {metric: vars(score) for metric, score in one.holdout.items()},
                }
                for name, one in self.selections.items()
            },
            "duels": [duel.as_dict() for duel in self.duels],
        }


def hold_contest(
    select: Callable[[str, int], SelectionOutcome],
    names: tuple[str, ...],
    config: ContestConfig,
    *,
    trainings: int,
    metric: str,
    group_pattern: str | None = None,
    shown: frozenset[str] = frozenset(),
) -> ContestOutcome:
    """Train the candidates on hold-outs and choose the one to ship.

    With `until_decided` trainings are added, at most `LOOKS` − 1 times, until every duel is decided or the
    budget is spent. Each look then uses intervals of 1 − 0.05 / `LOOKS`, so that the probability of shipping
    a structure that is not better, over all looks, stays as with one look (Bonferroni).

    Args:
        select: Returns the outcome of a candidate after so many trainings in all.
        names: Candidates, the simplest (the hand-designed) first.
        config: What is shipped, and how many trainings there may be.
        trainings: Of each candidate, at first.
        metric: Hold-out metric that decides.
        group_pattern: Finds the subject in a video name, see `DataConfig`.
        shown: Candidates that the search has shown to be cheaper and as good: they need not be better here.
    """
    counts = looks(trainings, config)
    confidence = 1 - (1 - CONFIDENCE) / len(counts)
    for count in counts:
        selections = {name: select(name, count) for name in names}
        duels = _duels(selections, metric, group_pattern, confidence, shown)
        if all(one.comparison is None or one.comparison.verdict is not Verdict.UNDECIDED for one in duels):
            break
    winners = [one.challenger for one in duels if _wins(one.challenger, one.comparison, shown)]
    best = winners[-1] if winners else HAND_DESIGNED
    searched = best if best != HAND_DESIGNED else names[-1]
    if config.ship is Ship.BEST:
        found = [duel.words for duel in duels]
        why = "no searched one was shown to be better" if best == HAND_DESIGNED else "shown to be better"
        if best in shown:
            why = "cheaper, and shown to be as good by the search"
        shipped, reason = best, f"The {best} structure is shipped: {why}. {' '.join(found)}"
    else:
        shipped = HAND_DESIGNED if config.ship is Ship.HAND_DESIGNED else searched
        reason = f"The {shipped} structure is shipped, as --ship {config.ship.value} asks for."
    return ContestOutcome(
        shipped=shipped, searched=searched, duels=tuple(duels), selections=selections, reason=reason
    )


def looks(trainings: int, config: ContestConfig) -> list[int]:
    """Return after how many trainings of a candidate the scores are compared, ascending."""
    most = max(trainings, config.most_trainings)
    if not config.until_decided or most == trainings:
        return [trainings]
    spread = [trainings + (most - trainings) * look // (LOOKS - 1) for look in range(LOOKS)]
    return sorted(set(spread))


def _wins(name: str, found: Comparison | None, shown: frozenset[str]) -> bool:
    if found is None:
        return False
    return found.verdict is Verdict.BETTER or (name in shown and found.verdict is not Verdict.WORSE)


def _duels(
    selections: Mapping[str, SelectionOutcome],
    metric: str,
    group_pattern: str | None,
    confidence: float,
    shown: frozenset[str],
) -> list[Duel]:
    duels, defender = [], HAND_DESIGNED
    for name, challenger in list(selections.items())[1:]:
        other = selections[defender]
        found = None
        if challenger.structure != other.structure:
            videos = sorted({video for scores in challenger.trainings.values() for video in scores})
            found = compare_videos(
                challenger.trainings,
                other.trainings,
                metric=metric,
                subjects=subjects_of(videos, group_pattern),
                confidence=confidence,
            )
        duels.append(Duel(name, defender, found))
        if _wins(name, found, shown):
            defender = name
    return duels


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One row of the final comparison: test metrics over the seeds, in percent.

    `training_equivalents` is what finding the structure cost, in full trainings.
    """

    structure: DilationStructure
    test: Mapping[str, Summary]
    training_equivalents: float
    epochs: int = 0

    def as_dict(self, topology: LayerTopology) -> dict[str, Any]:
        """Return the row as JSON values, with receptive field and look-ahead (`LayerTopology.report`)."""
        return {
            "structure": self.structure.as_lists(),
            **topology.report(self.structure),
            "training_equivalents": self.training_equivalents,
            "epochs": self.epochs,
            "test": {metric: vars(score) for metric, score in self.test.items()},
        }


def differences(
    folds: Mapping[int, tuple[TrainingOutcome, TrainingOutcome]], group_pattern: str | None = None
) -> dict[str, Comparison]:
    """Return searched minus hand-designed on test, by metric, paired by fold, seed and video.

    By fold: the searched and the hand-designed structure, trained under the same seeds.
    """
    pairs = [pair for both in folds.values() for pair in zip(*(one.seeds for one in both), strict=True)]
    if pairs and all(seed.videos for pair in pairs for seed in pair):
        sides: list[Trainings] = [
            {(fold, one.seed): one.videos for fold, both in folds.items() for one in both[side].seeds}
            for side in (0, 1)
        ]
        videos = {video for ours, _ in pairs for video in ours.videos}
        subjects = subjects_of(sorted(videos), group_pattern)
        return {
            metric: compare_videos(sides[0], sides[1], metric=metric, subjects=subjects)
            for metric in COMPARED
        }
    return {
        metric: compare(
            [metric_value(ours.test, metric) for ours, _ in pairs],
            [metric_value(theirs.test, metric) for _, theirs in pairs],
        )
        for metric in COMPARED
    }


def difference_metrics(found: Mapping[str, Comparison]) -> dict[str, float]:
    """Return the differences as metrics of a run; a single seed has no interval."""
    metrics = {}
    for name, one in found.items():
        metrics[f"difference/{name}"] = one.estimate
        if one.low is not None and one.high is not None:
            metrics |= {f"difference/{name}_low": one.low, f"difference/{name}_high": one.high}
    return metrics
