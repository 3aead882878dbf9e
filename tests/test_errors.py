from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from g2l.errors import G2LError, InputError, OperationalError, at, brief, no_such_file


@pytest.mark.parametrize("kind", [G2LError, InputError, OperationalError])
def test_errors_cross_processes_with_their_hint(kind):
    error = pickle.loads(pickle.dumps(kind("x.txt:3: wrong.", hint="mend it.")))  # noqa: S301
    assert type(error) is kind
    assert (str(error), error.message, error.hint) == ("x.txt:3: wrong.", "x.txt:3: wrong.", "mend it.")


def test_a_hint_is_optional():
    assert InputError("wrong.").hint is None


def test_both_kinds_are_caught_as_one():
    assert issubclass(InputError, G2LError)
    assert issubclass(OperationalError, G2LError)
    assert not issubclass(InputError, OperationalError)


def test_places():
    assert at(Path("a/b.txt"), 7) == "a/b.txt:7"
    assert at("b.txt") == "b.txt"


def test_a_file_that_is_not_there_is_told_with_those_of_a_similar_name(tmp_path):
    for name in ("kitchen.json", "weights.onnx", "notes.txt"):
        (tmp_path / name).touch()
    error = no_such_file(tmp_path / "kitchen2.json")
    assert error.message == f"{tmp_path}/kitchen2.json: no such file."
    assert error.hint == "did you mean kitchen.json?"


def test_a_file_of_a_fold_is_named_where_the_run_has_none(tmp_path):
    (tmp_path / "fold-1").mkdir()
    (tmp_path / "fold-1" / "model.onnx").touch()
    assert no_such_file(tmp_path / "model.onnx").hint == f"did you mean {tmp_path}/fold-1/model.onnx?"


def test_where_nothing_is_similar_there_is_no_hint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").touch()
    assert no_such_file("weights.onnx").hint is None


def test_a_folder_that_is_not_there_is_named(tmp_path):
    assert (
        no_such_file(tmp_path / "gone" / "model.onnx").hint == f"{tmp_path}/gone is not a readable directory."
    )


def test_what_is_repeated_of_a_file_stays_short_and_on_the_line():
    assert brief("a\n  b\tc") == "a b c"
    assert brief(ValueError("x" * 300)) == "x" * 300
    assert brief("x" * 301) == "x" * 300 + "…"


def test_a_folder_in_place_of_a_file_is_not_called_missing(tmp_path: Path) -> None:
    assert "expected a regular file" in no_such_file(tmp_path).message
