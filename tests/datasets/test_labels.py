from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.datasets.errors import strictly
from g2l.datasets.labels import count_transitions, log_probabilities, parse_labels
from g2l.datasets.layout import ClassMapping
from g2l.errors import InputError

MAPPING = ClassMapping(("background", "cut", "pour milk"))


def _read(folder: Path, text: str) -> list[int]:
    path = folder / "video.txt"
    path.write_bytes(text.encode())
    labels = strictly(partial(parse_labels, path, MAPPING))
    assert labels.dtype == np.int64
    assert labels.ndim == 1
    return labels.tolist()


def test_a_class_outside_the_mapping_is_named_with_its_line_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"video\.txt:3: class 'cutt' is not in the mapping\.") as caught:
        _read(tmp_path, "cut\n\ncutt\ncut\n")
    assert caught.value.hint == "did you mean cut?"
    assert _read(tmp_path, "cut \r\n\n\tpour milk\n   \nbackground\n\n") == [1, 2, 0]


VIDEOS = st.lists(st.lists(st.integers(0, 3), max_size=20), max_size=5)


def arrays(videos):
    return (np.array(labels, np.int64) for labels in videos)


@given(VIDEOS)
def test_counts_are_those_of_a_loop_and_end_with_each_video(videos):
    expected = Counter(pair for labels in videos for pair in pairwise(labels))
    found = count_transitions(arrays(videos), 4)
    assert {(before, after): count for before, after, count in found} == expected
    assert list(found) == sorted(found)


def test_probabilities_add_up_and_nothing_is_impossible():
    found = log_probabilities([(0, 0, 7), (0, 1, 1), (2, 0, 1)], 3)
    assert np.exp(found).sum(axis=1) == pytest.approx(np.ones(3))
    assert np.exp(found[0]) == pytest.approx([8 / 11, 2 / 11, 1 / 11])
    assert np.exp(found[1]) == pytest.approx([1 / 3] * 3)  # a class that training never showed
    assert np.isfinite(found).all()
