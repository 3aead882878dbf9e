"""A synthetic kitchen, where some actions can be told apart only by what happened long before or after.

A video is a sequence of courses. Each opens with one of two markers, actions that look like no other; more
actions follow, and some pairs of them look alike. Which variant of a pair an action is, is decided by the
marker before it (even pairs) or by the marker after it (odd pairs). Single frames are noisy, so that local
evidence has to be averaged too: a network needs a receptive field of a course to know the variants, and of an
action to know the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from g2l.datasets.labels import Labels
from g2l.datasets.synthetic.content import (
    MIN_VIDEOS,
    SyntheticDataset,
    SyntheticVideo,
    autoregressive_noise,
    check_sizes,
    subject_splits,
    video_names,
)

MIN_CLASSES = 5
"""Background, two markers and one ambiguous pair."""
MIN_FRAMES = 32
FRAMES_PER_COURSE = 70
ACTIONS_PER_COURSE = (2, 4)
PAUSE_PROBABILITY = 0.25
MEAN_DURATIONS = (10.0, 18.0)
"""Shortest and longest mean duration of a class, in frames."""
SIGNAL = 1.0
SLOW_NOISE = 0.6
SLOW_CORRELATION = 0.9
WHITE_NOISE = 1.8

_BACKGROUND = 0
_MARKERS = (1, 2)
_NAMES = (
    "background", "take_bowl", "take_plate",
    "pour_dressing", "pour_sauce", "cut_lettuce", "cut_bread", "spread_butter", "spread_cheese",
    "stir", "peel_cucumber", "add_salt", "wash_knife", "open_jar", "crack_egg", "grate_carrot",
)  # fmt: skip


@dataclass(frozen=True)
class _Kitchen:
    """What all videos of one data set share.

    Attributes:
        pairs: Classes of the ambiguous actions: the variant after marker 0 and after marker 1.
        common: Classes of the other actions.
        durations: Mean frames of each class, (C,).
        prototypes: Mean features of each class, (C, D); the two of a pair are equal.
    """

    pairs: tuple[tuple[int, int], ...]
    common: tuple[int, ...]
    durations: npt.NDArray[np.float64]
    prototypes: npt.NDArray[np.float64]


def kitchen(
    generator: np.random.Generator,
    *,
    videos: int = 24,
    frames: int = 400,
    classes: int = 10,
    feature_dim: int = 16,
) -> SyntheticDataset:
    """Return a synthetic kitchen.

    Args:
        generator: Source of randomness.
        videos: Number of videos, six subjects taking turns.
        frames: Mean T; videos have 0.75 to 1.25 times as many.
        classes: C.
        feature_dim: D.

    Raises:
        InputError: A size is too small.
    """
    check_sizes(
        videos=(videos, MIN_VIDEOS),
        frames=(frames, MIN_FRAMES),
        classes=(classes, MIN_CLASSES),
        feature_dim=(feature_dim, 1),
    )
    shared = _draw_kitchen(generator, classes, feature_dim)
    names = video_names("Kitchen", videos)
    made = []
    for name in names:
        length = round(frames * generator.uniform(0.75, 1.25))
        labels = _draw_labels(generator, shared, length)
        noise = SLOW_NOISE * autoregressive_noise(generator, feature_dim, length, SLOW_CORRELATION)
        noise += WHITE_NOISE * generator.standard_normal((feature_dim, length))
        features = SIGNAL * shared.prototypes[labels].T + noise  # (C, D)[(T,)] -> (D, T)
        made.append(SyntheticVideo(name, features.astype(np.float32), labels))
    return SyntheticDataset(_class_names(classes), tuple(made), subject_splits(names))


def _draw_kitchen(generator: np.random.Generator, classes: int, feature_dim: int) -> _Kitchen:
    first = len(_MARKERS) + 1
    pairs = tuple((first + 2 * pair, first + 2 * pair + 1) for pair in range((classes - first + 1) // 3))
    prototypes = generator.standard_normal((classes, feature_dim))
    for variant, other in pairs:
        prototypes[other] = prototypes[variant]
    durations = generator.uniform(*MEAN_DURATIONS, classes)
    return _Kitchen(pairs, tuple(range(first + 2 * len(pairs), classes)), durations, prototypes)


def _draw_labels(generator: np.random.Generator, shared: _Kitchen, length: int) -> Labels:
    """Return the classes of all frames, (T,): the drawn durations, scaled to fill the video exactly."""
    actions = _draw_actions(generator, shared, max(1, round(length / FRAMES_PER_COURSE)))
    durations = shared.durations[actions] * generator.uniform(0.6, 1.4, len(actions))
    ends = np.round(np.cumsum(durations) / durations.sum() * length).astype(np.int64)
    return np.repeat(np.array(actions, dtype=np.int64), np.diff(ends, prepend=0))


def _draw_actions(generator: np.random.Generator, shared: _Kitchen, courses: int) -> list[int]:
    """Return the classes of the segments of one video."""
    kinds = generator.integers(2, size=courses + 1)  # the last marker closes the last course
    actions = [_BACKGROUND]
    for course in range(courses):
        actions.append(_MARKERS[kinds[course]])
        previous = -1
        for _ in range(generator.integers(*ACTIONS_PER_COURSE, endpoint=True)):
            if generator.random() < PAUSE_PROBABILITY:
                actions.append(_BACKGROUND)
            choices = [one for one in range(len(shared.pairs) + len(shared.common)) if one != previous]
            previous = int(generator.choice(choices)) if choices else previous
            actions.append(_variant(shared, previous, kinds[course], kinds[course + 1]))
    return [*actions, _MARKERS[kinds[courses]], _BACKGROUND]


def _variant(shared: _Kitchen, action: int, before: int, after: int) -> int:
    """Return the class of an action between two markers."""
    if action >= len(shared.pairs):
        return shared.common[action - len(shared.pairs)]
    return shared.pairs[action][before if action % 2 == 0 else after]


def _class_names(classes: int) -> tuple[str, ...]:
    return (*_NAMES[:classes], *(f"action_{index}" for index in range(len(_NAMES), classes)))
