"""Smoothing the slow way: lists of runs, every window counted, every path tried."""

from __future__ import annotations

import math
from collections import Counter
from itertools import groupby, pairwise, product


def runs_of(labels):
    return [(label, len(list(run))) for label, run in groupby(labels)]


def without_short(labels, frames):
    """Give the shortest segment to its longer neighbour until none is too short."""
    runs = runs_of(labels)
    while len(runs) > 1 and min(length for _, length in runs) < frames:
        shortest = min(range(len(runs)), key=lambda number: (runs[number][1], number))
        neighbours = [number for number in (shortest - 1, shortest + 1) if 0 <= number < len(runs)]
        heir = max(neighbours, key=lambda number: (runs[number][1], -number))
        frames_of_all = [label for label, length in runs for _ in range(length)]
        start = sum(length for _, length in runs[:shortest])
        frames_of_all[start : start + runs[shortest][1]] = [runs[heir][0]] * runs[shortest][1]
        runs = runs_of(frames_of_all)
    return [label for label, length in runs for _ in range(length)]


def majority(labels, window):
    """Count the labels of every window."""
    half = window // 2
    smooth = []
    for frame, own in enumerate(labels):
        counts = Counter(labels[max(0, frame - half) : frame + half + 1])
        smooth.append(min(counts, key=lambda label: (-counts[label], label != own, label)))
    return smooth


def score(path, probabilities, transitions):
    """Return the sum that Viterbi maximises."""
    frames = [math.log(probabilities[label][frame]) for frame, label in enumerate(path)]
    steps = [transitions[before][after] for before, after in pairwise(path)]
    return math.fsum([*frames, *steps])


def best_path(probabilities, transitions):
    """Try all paths."""
    classes, frames = range(len(probabilities)), len(probabilities[0])
    return max(product(classes, repeat=frames), key=lambda path: score(path, probabilities, transitions))
