from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.tracking.state import flatten, shorten, valid_name


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("f1@10", "f1_at_10"),
        ("holdout/f1@25", "holdout/f1_at_25"),
        ("loss(%)", "loss___"),
        ("/a//b/", "a/b"),
        ("a/../b", "a/__/b"),
        ("", "_"),
        ("x" * 300, "x" * 250),
    ],
)
def test_names_become_what_mlflow_takes(given_name, expected):
    assert valid_name(given_name) == expected


@given(st.text(max_size=300))
def test_mlflow_takes_every_name(name):
    from mlflow.utils.validation import _validate_metric, _validate_param

    _validate_metric(valid_name(name), 1.0, 0, 0)
    _validate_param(valid_name(name), "1")


def test_nested_settings_become_dotted_names():
    class Kind(StrEnum):
        A = "a"

    params = {
        "data": {"root": Path("x/y"), "fps": None, "kind": Kind.A},
        "rates": [(1, 2), (4,)],
        "ok": True,
        "lr": 5e-4,
    }
    assert flatten(params) == {
        "data.root": "x/y",
        "data.fps": "None",
        "data.kind": "a",
        "rates": "[[1, 2], [4]]",
        "ok": "True",
        "lr": "0.0005",
    }


def test_long_values_are_cut():
    assert len(flatten({"rates": list(range(5000))})["rates"]) == 6000
    assert shorten("abcdef", 4) == "abc…"
    assert shorten("abcd", 4) == "abcd"
