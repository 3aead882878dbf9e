"""Segment metrics the slow way: segments as sets of frames, exact fractions, textbook recursions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction
from functools import cache


def frame_sets(
    labels: Sequence[int], background: Collection[int] = (), drop_last_frame: bool = False
) -> list[tuple[int, frozenset[int]]]:
    """Return (label, frames) of every run that is not background."""
    runs: list[tuple[int, set[int]]] = []
    for frame, label in enumerate(labels):
        if not runs or runs[-1][0] != label:
            runs.append((label, set()))
        runs[-1][1].add(frame)
    if drop_last_frame and runs:
        runs[-1][1].discard(len(labels) - 1)
    return [(label, frozenset(frames)) for label, frames in runs if label not in background]


def distance(first: Sequence[int], second: Sequence[int]) -> int:
    """Return the Levenshtein distance by its recursive definition."""

    @cache
    def between(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        return min(
            between(i - 1, j) + 1,
            between(i, j - 1) + 1,
            between(i - 1, j - 1) + (first[i - 1] != second[j - 1]),
        )

    return between(len(first), len(second))


def edit(predicted: Sequence[int], truth: Sequence[int], background: Collection[int] = ()) -> Fraction:
    """Return the edit score of one video in percent."""
    ours = [label for label, _ in frame_sets(predicted, background)]
    theirs = [label for label, _ in frame_sets(truth, background)]
    if not ours and not theirs:
        return Fraction(100)
    return 100 * (1 - Fraction(distance(ours, theirs), max(len(ours), len(theirs))))


def counts(
    predicted: Sequence[int],
    truth: Sequence[int],
    percent: int,
    background: Collection[int] = (),
    drop_last_frame: bool = False,
) -> tuple[int, int, int]:
    """Return true positives, false positives and false negatives by greedy matching in order."""
    ours = frame_sets(predicted, background, drop_last_frame)
    theirs = frame_sets(truth, background, drop_last_frame)
    taken = [False] * len(theirs)
    hits = 0
    for label, frames in ours:
        best, best_overlap = None, Fraction(-1)
        for number, (true_label, true_frames) in enumerate(theirs):
            if true_label != label:
                continue
            union = len(frames | true_frames)
            overlap = Fraction(len(frames & true_frames), union) if union else Fraction(0)
            if overlap > best_overlap:
                best, best_overlap = number, overlap
        if best is not None and best_overlap >= Fraction(percent, 100) and not taken[best]:
            taken[best] = True
            hits += 1
    return hits, len(ours) - hits, len(theirs) - hits


def f1(hits: int, false_positives: int, false_negatives: int) -> Fraction:
    """Return F1 in percent as the harmonic mean of precision and recall."""
    if hits == 0:
        return Fraction(0)
    precision = Fraction(hits, hits + false_positives)
    recall = Fraction(hits, hits + false_negatives)
    return 100 * 2 * precision * recall / (precision + recall)


def all_metrics(
    videos: Sequence[tuple[Sequence[int], Sequence[int]]],
    background: Collection[int] = (),
    drop_last_frame: bool = False,
) -> dict[str, Fraction]:
    """Return every metric over (predicted, truth) pairs."""
    frames = sum(len(truth) for _, truth in videos)
    correct = sum(a == b for predicted, truth in videos for a, b in zip(predicted, truth, strict=True))
    result = {
        "videos": Fraction(len(videos)),
        "frames": Fraction(frames),
        "accuracy": Fraction(100 * correct, frames) if frames else Fraction(0),
        "edit": Fraction(0),
    }
    if videos:
        result["edit"] = sum((edit(p, t, background) for p, t in videos), Fraction(0)) / len(videos)
    for percent in (10, 25, 50):
        each = [counts(p, t, percent, background, drop_last_frame) for p, t in videos]
        result[f"f1@{percent}"] = (
            f1(*(sum(column) for column in zip(*each, strict=True))) if each else Fraction(0)
        )
    return result
