from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from g2l.config import Normalization
from g2l.datasets.facts import resolve_config, write_dataset_facts
from g2l.datasets.validation import validate_dataset
from g2l.errors import InputError
from tests.datasets.conftest import TinyDataset

FACTS: dict[str, Any] = {
    "fps": 12.5,
    "group_pattern": "^(S.)",
    "background": ["stir"],
    "normalize": "video",
    "sample_rate": 2,
}


def test_what_is_not_given_comes_from_the_data_set(tiny: TinyDataset) -> None:
    write_dataset_facts(tiny.path, FACTS | {"source": {"kind": "test"}})
    dataset = tiny.open()
    assert (dataset.fps, dataset.sample_rate, dataset.normalize) == (12.5, 2, Normalization.VIDEO)
    assert (dataset.background, dataset.background_indices) == (("stir",), (2,))
    assert dataset.config.group_pattern == "^(S.)"
    assert dataset.load("S1_A").features.shape == (4, 10)
    assert resolve_config(dataset.config) == dataset.config
    explicit = tiny.open(
        sample_rate=2, normalize=Normalization.VIDEO, background=("stir",), group_pattern="^(S.)"
    )
    assert dataset.fingerprint == explicit.fingerprint


def test_what_is_given_wins_and_one_line_says_so(tiny: TinyDataset, caplog: pytest.LogCaptureFixture) -> None:
    write_dataset_facts(tiny.path, FACTS)
    with caplog.at_level(logging.WARNING, "g2l"):
        for _ in range(2):
            dataset = tiny.open(fps=25.0, sample_rate=2, background=(), group_pattern="")
        tiny.open(fps=30.0, quiet=True)
    assert (dataset.fps, dataset.background) == (25.0, ())
    told = [record.getMessage() for record in caplog.records]
    assert [message.partition(": ")[2].partition("`")[2].partition("`")[0] for message in told] == [
        "fps",
        "group_pattern",
        "background",
    ]
    assert told[0].endswith("tiny/dataset.json: `fps` is 12.5; 25.0 was given and is used instead.")


def test_extracted_features_know_their_rate(tiny: TinyDataset) -> None:
    tiny.write("features.json", json.dumps({"schema": "g2l.features/1", "fps": 15}))
    assert tiny.open().fps == 15.0
    write_dataset_facts(tiny.path, {"fps": 30})
    assert tiny.open().fps == 30


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"^[^:]*dataset\.json:1: expected JSON"),
        (f'{{"schema": "g2l.dataset/1", "fps": {"9" * 400}}}', "`fps` must be a number > 0"),
        ('{"schema": "g2l.dataset/2"}', "expected the schema 'g2l.dataset/1'"),
        ('{"schema": "g2l.dataset/1", "fps": 0}', "`fps` must be a number > 0, but is 0 instead"),
        ('{"schema": "g2l.dataset/1", "sample_rate": 1.5}', "`sample_rate` must be a whole number >= 1"),
        ('{"schema": "g2l.dataset/1", "normalize": "max"}', "`normalize` must be none, video or train"),
        ('{"schema": "g2l.dataset/1", "background": "stir"}', "`background` must be a list of class names"),
        (
            '{"schema": "g2l.dataset/1", "group_pattern": 3}',
            "`group_pattern` must be a regular expression with a group",
        ),
        ('{"schema": "g2l.dataset/1", "background": ["chop"]}', "must name classes of the data set"),
    ],
)
def test_invalid_facts_are_one_line(tiny: TinyDataset, text: str, message: str) -> None:
    tiny.write("dataset.json", text)
    with pytest.raises(InputError, match=message) as caught:
        _ = tiny.open().fingerprint
    assert "\n" not in caught.value.message
    assert "dataset.json" in caught.value.message
    (error,) = validate_dataset(tiny.config()).errors
    assert error.message == caught.value.message
