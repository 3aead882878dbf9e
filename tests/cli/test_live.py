"""What a person sees while a search runs: on a terminal, in a pipe, with --quiet."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from cli import console
from cli.tables import SearchView, status_fields
from g2l.search.candidates import SearchPhase, SearchStatus

FIELDS = [
    "generation 3",
    "best 71.2, median 64.0",
    "2,400 of 10,000 steps (1.2 of 5.0 trainings)",
    "at most 3 min left",
    "34 evaluations",
    "12 cached",
    "2 workers",
]
STATUS = SearchStatus(
    phase=SearchPhase.SEARCH,
    generation=3,
    best=71.23,
    median=64.0,
    evaluations=34,
    cache_hits=12,
    failures=0,
    steps=2600,
    completed_steps=2400,
    trained_steps=1200,
    planned_steps=10000,
    limited=True,
    full_steps=2000,
    workers=2,
)


def status(**changes):
    return SearchStatus(**vars(STATUS) | changes)


def test_the_fields_say_where_the_search_stands():
    assert status_fields(STATUS, 200.0) == FIELDS
    fields = status_fields(status(limited=False, failures=1, workers=1, phase=SearchPhase.RACE), 5400.0)
    assert fields[0] == "race"
    assert fields[2] == "2,400 of about 10,000 steps (1.2 of 5.0 trainings)"
    assert fields[3] == "about 1.5 h left"
    assert fields[-2:] == ["1 failed", "1 worker"]


def test_what_was_replayed_does_not_spoil_the_remaining_time():
    now, shown = [0.0], []
    view = SearchView(shown.append, clock=lambda: now[0])
    now[0] += 0.1  # a journal is replayed in no time
    view.on_evaluation(SimpleNamespace(status=status(completed_steps=2000, trained_steps=0)))
    assert not any("left" in field for field in shown[-1])
    now[0] += 100.0
    after = status(completed_steps=3000, trained_steps=1000, steps=4000)
    view.on_evaluation(SimpleNamespace(status=after))
    assert "at most 12 min left" in shown[-1]  # 7,000 steps at 10 a second
    view.on_end()
    assert shown[-1] == ()
    now[0] += 1000.0  # then the search of the next fold
    view.on_evaluation(SimpleNamespace(status=status(completed_steps=100, trained_steps=100)))
    now[0] += 10.0
    view.on_evaluation(SimpleNamespace(status=status(completed_steps=200, trained_steps=200)))
    assert "at most 8 min left" in shown[-1]  # 9,800 steps at 20 a second


@pytest.fixture
def terminal(monkeypatch):
    """Make stderr a terminal of some width, and return what is written to it."""

    def make(width):
        stream = io.StringIO()
        found = Console(file=stream, force_terminal=True, width=width, highlight=False, soft_wrap=True)
        monkeypatch.setattr(console, "_stderr", lambda: found)
        return stream

    return make


@pytest.mark.parametrize("width", [60, 200])
def test_a_terminal_shows_the_stage_the_bars_and_the_fields(terminal, width):
    stream = terminal(width)
    progress = console.ConsoleProgress()
    progress.stage("stage 2 of 5: global search", 240.0)
    with progress.task("search", 7), progress.task("candidates", 12) as task:
        progress.show(FIELDS)
        task.advance(note="f1 70.00")
        progress._bars.refresh()
    shown = stream.getvalue()
    for text in (
        "stage 2 of 5: global search · about 4 min left in all stages",
        "candidates",
        "f1 70.00",
        *FIELDS,
    ):
        assert text in shown
    progress.stage("stage 5 of 5: export", None)
    progress.show(())
    with progress.task("opset", 1):
        pass
    later = stream.getvalue().removeprefix(shown)
    assert "stage 5 of 5: export" in later
    assert "left in all stages" not in later
    assert FIELDS[0] not in later


def test_elsewhere_a_line_now_and_then(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    progress = console.ConsoleProgress()
    progress.stage("stage 2 of 5: local search", 240.0)
    with progress.task("epochs", 30) as task:
        for _ in range(25):
            now[0] += 1.0
            progress.show(FIELDS)
            task.advance(note="loss 1")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "stage 2 of 5: local search · about 4 min left in all stages"
    assert lines.count(" · ".join(FIELDS)) == 3
    assert [line for line in lines if line.startswith("epochs")] == [
        *("epochs: 10/30 · loss 1", "epochs: 20/30 · loss 1")
    ]


def test_quiet_shows_nothing(capsys, terminal):
    stream = terminal(80)
    console.configure(quiet=True)
    progress = console.ConsoleProgress()
    with progress.task("generation 3", 12):
        progress.show(FIELDS)
    assert (stream.getvalue(), capsys.readouterr().err) == ("", "")
