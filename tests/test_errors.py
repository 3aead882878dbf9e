from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from g2l.errors import G2LError, InputError, OperationalError, at


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
