from __future__ import annotations

import threading
import time

import pytest

from g2l.tracking import persistence
from g2l.tracking.persistence import GaveUpError, Persistence, is_temporary


class StoreError(Exception):
    def __init__(self, code):
        super().__init__(f"the store says {code}\nand more")
        self.error_code = code


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(persistence, "_FIRST_WAIT", 0.001)


class Flaky:
    """Fails `failures` times."""

    def __init__(self, error, failures=10**9):
        self.error, self.failures, self.calls = error, failures, 0

    def __call__(self):
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error


def answers():
    pass


def test_an_outage_is_waited_for_and_told_once():
    notices = []
    keeper = Persistence(0, notices.append)
    operation = Flaky(ConnectionError("refused"), failures=4)
    assert keeper.run("x", operation, Flaky(ConnectionError("refused")))
    assert operation.calls == 5
    assert len(notices) == 1
    assert not keeper.away


@pytest.mark.parametrize(
    "error", [StoreError("INVALID_PARAMETER_VALUE"), ValueError("odd"), FileNotFoundError("gone")]
)
def test_what_is_refused_for_good_is_told_once_and_not_repeated(error, caplog):
    keeper = Persistence(0, lambda error: None)
    operation = Flaky(error)
    assert not keeper.run("param 'a'", operation, answers)
    assert not keeper.run("param 'b'", operation, answers)
    assert operation.calls == 2
    assert len(caplog.records) == 1
    assert "MLflow refuses param 'a', which is left out" in caplog.text
    assert "and more" not in caplog.text


def test_what_a_server_in_good_health_never_takes_is_dropped(caplog):
    keeper = Persistence(0, lambda error: None)
    operation = Flaky(StoreError("INTERNAL_ERROR"))
    assert not keeper.run("metric 'a'", operation, answers)
    assert 1 < operation.calls < 10
    assert "metric 'a'" in caplog.text


def test_closing_ends_the_waiting(monkeypatch):
    monkeypatch.setattr(persistence, "_FIRST_WAIT", 5.0)
    keeper = Persistence(0, lambda error: None)
    outcome = []

    def work():
        try:
            keeper.run("x", Flaky(ConnectionError("refused")), Flaky(ConnectionError("refused")))
        except GaveUpError:
            outcome.append("gave up")

    thread = threading.Thread(target=work)
    thread.start()
    while not keeper.away:
        time.sleep(0.001)
    keeper.close()
    thread.join(4)
    assert outcome == ["gave up"]


def test_a_server_that_is_back_at_closing_gets_everything():
    keeper = Persistence(5, lambda error: None)
    keeper.close()
    assert keeper.run("x", Flaky(ConnectionError("refused"), failures=2), answers)


def test_a_missing_token_may_be_renewed():
    assert is_temporary(StoreError("UNAUTHENTICATED"))
    assert not is_temporary(StoreError("RESOURCE_DOES_NOT_EXIST"))
