"""What a person sees while a search runs: on terminals of several widths, in a pipe, with --quiet."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from cli import console
from cli.tables import SearchView, status_fields
from g2l.search.candidates import SearchPhase, SearchStatus

ESCAPE = "\x1b"
FIELDS = [
    "generation 3",
    "best 71.2, median 64.0",
    "2,400 of 10,000 steps (1.2 of 5.0 trainings)",
    "at most 3 min left",
    "34 evaluations",
    "12 cached",
    "2 workers",
]


def status(**changes):
    fields = {
        "phase": SearchPhase.SEARCH,
        "generation": 3,
        "best": 71.23,
        "median": 64.0,
        "evaluations": 34,
        "cache_hits": 12,
        "failures": 0,
        "steps": 2600,
        "completed_steps": 2400,
        "trained_steps": 1200,
        "planned_steps": 10000,
        "limited": True,
        "full_steps": 2000,
        "workers": 2,
    }
    return SearchStatus(**fields | changes)


def test_the_fields_say_where_the_search_stands():
    assert status_fields(status(), 200.0) == FIELDS


def test_an_estimate_is_no_limit_and_failures_are_told():
    fields = status_fields(status(limited=False, failures=1, workers=1, phase=SearchPhase.RACE), 5400.0)
    assert fields[0] == "race"
    assert fields[2] == "2,400 of about 10,000 steps (1.2 of 5.0 trainings)"
    assert fields[3] == "about 1.5 h left"
    assert fields[-2:] == ["1 failed", "1 worker"]


def event(**changes):
    return SimpleNamespace(status=status(**changes))


def test_what_was_replayed_does_not_spoil_the_remaining_time():
    now, shown = [0.0], []
    view = SearchView(shown.append, clock=lambda: now[0])
    for evaluations in range(1, 4):  # a journal is replayed in no time
        now[0] += 0.1
        view.on_evaluation(event(evaluations=evaluations, completed_steps=2000, trained_steps=0))
        assert not any("left" in field for field in shown[-1])
    now[0] += 100.0
    view.on_evaluation(event(completed_steps=3000, trained_steps=1000, steps=4000))
    assert "at most 12 min left" in shown[-1]  # 7,000 steps at 10 a second
    view.on_end()
    assert shown[-1] == ()


@pytest.fixture
def terminal(monkeypatch):
    """Make stderr a terminal of some width, and return what is written to it."""

    def make(width, **options):
        stream = io.StringIO()
        found = Console(
            file=stream, force_terminal=True, width=width, highlight=False, soft_wrap=True, **options
        )
        monkeypatch.setattr(console, "_stderr", lambda: found)
        return stream

    return make


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_terminal_shows_the_fields_below_the_bars(terminal, width):
    stream = terminal(width)
    progress = console.ConsoleProgress()
    with progress.task("global search", 7), progress.task("generation 3", 12) as task:
        progress.show(FIELDS)
        task.advance(note="f1 70.00")
        progress._live.refresh()
        assert "generation 3" in stream.getvalue()
        for field in FIELDS:
            assert field in stream.getvalue()
    with progress.task("generation 4", 12):
        assert progress._live.status == FIELDS  # until the next evaluation there is nothing newer
        progress.show(())
        assert progress._live.status == ()


def test_elsewhere_a_line_now_and_then(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    progress = console.ConsoleProgress()
    for _ in range(25):
        now[0] += 1.0
        progress.show(FIELDS)
    progress.show(())
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [" · ".join(FIELDS)] * 3


def test_quiet_shows_nothing(capsys, terminal):
    stream = terminal(80)
    console.configure(quiet=True)
    progress = console.ConsoleProgress()
    with progress.task("generation 3", 12):
        progress.show(FIELDS)
    assert (stream.getvalue(), capsys.readouterr().err) == ("", "")


def test_the_stage_of_a_job_and_the_time_left(capsys, terminal, monkeypatch):
    progress = console.ConsoleProgress()
    progress.stage("stage 2 of 5: local search", 240.0)
    assert capsys.readouterr().err.splitlines() == [
        "stage 2 of 5: local search · about 4 min left in all stages"
    ]
    stream = terminal(80)
    with progress.task("epoch", 7):
        progress._live.refresh()
        assert "stage 2 of 5: local search · about 4 min left in all stages" in stream.getvalue()
        progress.stage("stage 5 of 5: export", 0.0)
        progress._live.refresh()
        assert stream.getvalue().count("left in all stages") < stream.getvalue().count("stage ")
