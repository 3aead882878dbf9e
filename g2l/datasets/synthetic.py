"""Data sets made from a seed: a kitchen with long-range grammar, and signals with planted lags.

**Kitchen.** A video is a sequence of courses. Each opens with one of two markers; more actions follow, and
some pairs of them look alike. The marker before an even pair, or after an odd one, decides its variant.
Frames are noisy: a network needs a receptive field of a course for the variants, of an action for the rest.

**Lags.** The right dilation rates are known, so a search can be checked against them. Per lag L there is one
smooth signal s and one bit of the class, which is 1 where s(t − L) + s(t + L) > 0. One layer of kernel 3 and
rate L computes that sum. Signals are zero outside the video, as a padded convolution sees them, and smooth
over about L / 4 frames, so that a rate near L already sees much of the sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from g2l.datasets.facts import write_dataset_facts
from g2l.datasets.features import Features
from g2l.datasets.labels import Labels, write_labels
from g2l.datasets.layout import new_dataset, write_index
from g2l.errors import InputError

Signal = npt.NDArray[np.float64]

SUBJECTS = 6
FOLDS = 3
"""A split tests every third subject; two splits are made."""
MIN_VIDEOS = FOLDS


@dataclass(frozen=True)
class SyntheticVideo:
    """One video; features (D, T), labels (T,)."""

    name: str
    features: Features
    labels: Labels


@dataclass(frozen=True)
class SyntheticDataset:
    """A whole data set in memory; class names are in index order, splits hold train and test names."""

    class_names: tuple[str, ...]
    videos: tuple[SyntheticVideo, ...]
    splits: dict[int, tuple[tuple[str, ...], tuple[str, ...]]]


def video_names(scene: str, count: int) -> tuple[str, ...]:
    """Return names such as `S1_Kitchen_V1`, whose first part is the subject as in GTEA's names."""
    names = [(number % SUBJECTS + 1, number // SUBJECTS + 1) for number in range(count)]
    return tuple(f"S{subject}_{scene}_V{take}" for subject, take in sorted(names))


def subject_splits(names: Sequence[str]) -> dict[int, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return two splits; no subject is on both sides of either, or tested in both."""
    splits = {}
    for split in (1, 2):
        tested = {f"S{subject}" for subject in range(split, SUBJECTS + 1, FOLDS)}
        test = tuple(name for name in names if name.partition("_")[0] in tested)
        splits[split] = (tuple(name for name in names if name not in test), test)
    return splits


def _check_sizes(**sizes: tuple[int, int]) -> None:
    """Raise InputError, naming all sizes that are too small; each is a value and its minimum."""
    small = ((name, value, least) for name, (value, least) in sizes.items() if value < least)
    if issues := [f"`{name}` must be >= {least}, but is {value} instead." for name, value, least in small]:
        raise InputError(" ".join(issues))


def write_dataset(
    root: Path, name: str, data: SyntheticDataset, source: Mapping[str, Any] | None = None
) -> Path:
    """Write a data set, all or nothing, and return its folder; `source` (how it was made) is kept."""
    with new_dataset(root, name) as folder:
        write_index(folder, data.class_names, data.splits)
        for video in data.videos:
            labels = (data.class_names[label] for label in video.labels)
            write_labels(folder.ground_truth(video.name), labels)
            np.save(folder.features(video.name), video.features, allow_pickle=False)
        write_dataset_facts(folder.path, {"source": source})
    return root / name


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


def kitchen(
    generator: np.random.Generator,
    *,
    videos: int = 24,
    frames: int = 400,
    classes: int = 10,
    feature_dim: int = 16,
) -> SyntheticDataset:
    """Return a synthetic kitchen; videos have 0.75 to 1.25 times `frames`."""
    _check_sizes(
        videos=(videos, MIN_VIDEOS),
        frames=(frames, MIN_FRAMES),
        classes=(classes, MIN_CLASSES),
        feature_dim=(feature_dim, 1),
    )
    first = len(_MARKERS) + 1
    # Each pair looks alike: the variant after marker 0, and the one after marker 1.
    pairs = [(first + 2 * pair, first + 2 * pair + 1) for pair in range((classes - first + 1) // 3)]
    prototypes = generator.standard_normal((classes, feature_dim))
    for variant, other in pairs:
        prototypes[other] = prototypes[variant]
    mean_durations = generator.uniform(*MEAN_DURATIONS, classes)
    names = video_names("Kitchen", videos)
    made = []
    for name in names:
        length = round(frames * generator.uniform(0.75, 1.25))
        actions = _draw_actions(generator, pairs, classes, max(1, round(length / FRAMES_PER_COURSE)))
        durations = mean_durations[actions] * generator.uniform(0.6, 1.4, len(actions))
        ends = np.round(np.cumsum(durations) / durations.sum() * length).astype(np.int64)
        labels = np.repeat(np.array(actions, dtype=np.int64), np.diff(ends, prepend=0))
        noise = SLOW_NOISE * autoregressive_noise(generator, feature_dim, length, SLOW_CORRELATION)
        noise += WHITE_NOISE * generator.standard_normal((feature_dim, length))
        features = SIGNAL * prototypes[labels].T + noise  # (C, D)[(T,)] -> (D, T)
        made.append(SyntheticVideo(name, features.astype(np.float32), labels))
    class_names = (*_NAMES[:classes], *(f"action_{index}" for index in range(len(_NAMES), classes)))
    return SyntheticDataset(class_names, tuple(made), subject_splits(names))


def _draw_actions(
    generator: np.random.Generator, pairs: Sequence[tuple[int, int]], classes: int, courses: int
) -> list[int]:
    """Return the classes of the segments of one video."""
    common = range(len(_MARKERS) + 1 + 2 * len(pairs), classes)
    kinds = generator.integers(2, size=courses + 1)  # the last marker closes the last course
    actions = [_BACKGROUND]
    for course in range(courses):
        actions.append(_MARKERS[kinds[course]])
        previous = -1
        for _ in range(generator.integers(*ACTIONS_PER_COURSE, endpoint=True)):
            if generator.random() < PAUSE_PROBABILITY:
                actions.append(_BACKGROUND)
            choices = [one for one in range(len(pairs) + len(common)) if one != previous]
            previous = int(generator.choice(choices)) if choices else previous
            if previous < len(pairs):  # the marker before an even pair decides, after an odd one
                actions.append(pairs[previous][kinds[course + previous % 2]])
            else:
                actions.append(common[previous - len(pairs)])
    return [*actions, _MARKERS[kinds[courses]], _BACKGROUND]


MAX_LAGS = 6
"""Of one data set: 2^6 classes."""
FRAMES_PER_LAG = 4
"""Videos are at least this many times as long as the largest lag, so that most frames see both ends."""
SMOOTHNESS = 1 / 6
"""Width of the smoothing in lags: the autocorrelation falls to 0.57 at a quarter of the lag."""
LAG_NOISE = 0.1


def lags(
    generator: np.random.Generator,
    planted: Sequence[int] = (41,),
    *,
    videos: int = 24,
    frames: int = 400,
    feature_dim: int = 8,
) -> SyntheticDataset:
    """Return a data set with 2^n classes for n planted lags (frames), the first being the lowest bit.

    Videos have 0.75 to 1.25 times `frames`. The signals, and as many others as fit, are mixed into all of
    the `feature_dim` features.
    """
    if not 1 <= len(planted) <= MAX_LAGS or len(set(planted)) < len(planted) or min(planted) < 1:
        raise InputError(
            f"`lags` must be 1 to {MAX_LAGS} different integers >= 1, but is {list(planted)} instead."
        )
    _check_sizes(
        videos=(videos, MIN_VIDEOS),
        frames=(frames, FRAMES_PER_LAG * max(planted)),
        feature_dim=(feature_dim, len(planted)),
    )
    # An orthonormal mixture: no feature shows a signal by itself, one 1x1 convolution recovers all.
    mixture, _ = np.linalg.qr(generator.standard_normal((feature_dim, feature_dim)))
    names = video_names("Lags", videos)
    made = []
    for name in names:
        length = round(frames * generator.uniform(0.75, 1.25))
        # The signal of each lag, then distracting ones as smooth as the first.
        widths = [SMOOTHNESS * lag for lag in (*planted, *[planted[0]] * (feature_dim - len(planted)))]
        signals = np.stack([smooth_noise(generator, length, width) for width in widths])
        labels = np.zeros(length, np.int64)
        for row, lag in enumerate(planted):
            padded = np.pad(signals[row], lag)
            labels |= (padded[:length] + padded[2 * lag :] > 0).astype(np.int64) << row
        features = mixture @ signals + LAG_NOISE * generator.standard_normal(signals.shape)
        made.append(SyntheticVideo(name, features.astype(np.float32), labels))
    class_names = tuple(
        "-".join(f"lag{lag}_{'high' if index >> row & 1 else 'low'}" for row, lag in enumerate(planted))
        for index in range(2 ** len(planted))
    )
    return SyntheticDataset(class_names, tuple(made), subject_splits(names))


def autoregressive_noise(
    generator: np.random.Generator, rows: int, frames: int, correlation: float
) -> Signal:
    """Return AR(1) noise (rows, frames) of unit variance; `correlation` is that of neighbouring frames."""
    noise = generator.standard_normal((rows, frames))
    noise[:, 1:] *= np.sqrt(1 - correlation**2)
    for frame in range(1, frames):
        noise[:, frame] += correlation * noise[:, frame - 1]
    return noise


def smooth_noise(generator: np.random.Generator, frames: int, width: float) -> Signal:
    """Return white noise (frames,) smoothed by a Gaussian of standard deviation `width`, of unit variance."""
    reach = int(np.ceil(4 * width))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    kernel /= np.sqrt(np.sum(kernel**2))
    return np.convolve(generator.standard_normal(frames + 2 * reach), kernel, mode="valid")
