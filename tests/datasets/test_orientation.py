from __future__ import annotations

from pathlib import Path

import numpy as np

from g2l.datasets.features import FeatureFile
from g2l.datasets.orientation import feature_axis


def _files(*shapes: tuple[int, int]) -> dict[str, FeatureFile]:
    return {
        str(number): FeatureFile(Path(f"{number}.npy"), shape, np.dtype("<f4"), 128, False)
        for number, shape in enumerate(shapes)
    }


def test_the_length_that_most_files_share_is_feature_dim() -> None:
    assert feature_axis(_files((16, 300), (16, 210), (16, 90)), {}) == (16, False)
    assert feature_axis(_files((300, 16), (210, 16), (90, 16)), {}) == (16, True)
    assert feature_axis(_files((16, 300), (210, 16), (16, 90)), {}) == (16, False)


def test_labels_decide_when_all_videos_are_equally_long() -> None:
    files = _files((300, 16), (300, 16))
    assert feature_axis(files, {"0": 299, "1": 300}) == (16, True)
    assert feature_axis(files, {"0": 17, "1": 16}) == (300, False)


def test_a_single_file_without_labels_is_feature_dim_by_frames() -> None:
    assert feature_axis(_files((300, 16)), {}) == (300, False)


def test_square_files_follow_the_others() -> None:
    assert feature_axis(_files((16, 16), (300, 16), (200, 16)), {}) == (16, True)
    assert feature_axis(_files((16, 16)), {"0": 16}) == (16, False)
