from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.errors import InputError
from g2l.tracking.events import Action, Event, Header, RunRef
from g2l.tracking.spool import Spool

HEADER = Header("sqlite:///x.db", None, "g2l")


def event(run="r", action=Action.PARAMS, **data):
    return Event(action, run, {"values": {"a": "1"}, **data})


def abandon(spool):
    """End as a killed process does: the lock is gone, the files stay."""
    spool.release()


@given(st.text(), st.dictionaries(st.text(), st.floats() | st.text() | st.none()))
def test_events_survive_as_lines(run, values):
    written = Event(Action.METRICS, run, {"values": values, "step": 1})
    line = written.to_line()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert repr(Event.from_line(line)) == repr(written)  # NaN differs from itself


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b"1", b'{"action":"jump","run":"r","data":{}}', b'{"run":"r"}']
)
def test_damaged_lines_are_refused(line):
    with pytest.raises(ValueError):  # noqa: PT011
        Event.from_line(line)


def test_events_come_back_in_order(tmp_path):
    spool = Spool.create(tmp_path / "new" / "spool", HEADER)
    for index in range(5):
        spool.append(event(step=index))
    assert spool.header == HEADER
    assert [read.data["step"] for read, _ in spool.read(0)] == [0, 1, 2, 3, 4]
    assert spool.read(0)[-1][1] == spool.size
    spool.acknowledge(spool.read(0)[2][1])
    assert [read.data["step"] for read, _ in spool.read(spool.sent)] == [3, 4]
    assert spool.count_unsent() == 2


def test_long_events_are_read_whole(tmp_path):
    spool = Spool.create(tmp_path, HEADER)
    spool.append(event())
    spool.append(event(text="x" * 1_000_000))
    assert spool.count_unsent() == 2


def test_a_spool_is_adopted_once_its_process_is_gone(tmp_path):
    spool = Spool.create(tmp_path, HEADER)
    spool.append(event(step=0))
    spool.append(event(step=1))
    spool.remember("r", RunRef("abc", "7"))
    spool.acknowledge(spool.read(0)[0][1])
    assert Spool.adopt(tmp_path) == []
    abandon(spool)
    (adopted,) = Spool.adopt(tmp_path)
    assert adopted.runs == {"r": RunRef("abc", "7")}
    assert adopted.header == HEADER
    assert [read.data["step"] for read, _ in adopted.read(adopted.sent)] == [1]
    assert Spool.adopt(tmp_path) == []
    adopted.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_line_torn_by_a_kill_costs_nothing_else(tmp_path, caplog):
    spool = Spool.create(tmp_path, HEADER)
    spool.append(event(step=0))
    abandon(spool)
    with spool.path.open("ab") as file:
        file.write(b'{"action":"par')
    spool.path.with_suffix(".sent").write_text('{"run": "r", "run_id": "a", "experiment_id": "1"}\n{"se')
    (adopted,) = Spool.adopt(tmp_path)
    adopted.append(event(step=1))
    adopted.remember("s", RunRef("b", "1"))
    read = [read and read.data["step"] for read, _ in adopted.read(0)]
    assert read == [0, None, 1]
    assert "damaged tracking event" in caplog.text
    adopted.release()
    (again,) = Spool.adopt(tmp_path)
    assert set(again.runs) == {"r", "s"}


@pytest.mark.parametrize("content", ["", "{}\n", "not json\n", '{"uri": 1}\n'])
def test_a_foreign_file_is_left_alone(tmp_path, caplog, content):
    (tmp_path / "notes.jsonl").write_text(content)
    assert Spool.adopt(tmp_path) == []
    assert "cannot be read as tracking events" in caplog.text
    assert (tmp_path / "notes.jsonl").read_text() == content


def test_open_runs_are_told_youngest_first(tmp_path):
    spool = Spool.create(tmp_path, HEADER)
    for run in "abc":
        spool.append(event(run, Action.OPEN))
    spool.append(event("b", Action.FINISH))
    assert spool.open_runs() == ["c", "a"]


def test_files_are_kept_apart_and_let_go(tmp_path):
    spool = Spool.create(tmp_path, HEADER)
    first, second = spool.new_file("plots/x.png"), spool.new_file("x.png")
    for path in (first, second):
        path.write_bytes(b"1")
    assert first != second
    assert first.name == "x.png"
    spool.discard(spool.relative(first))
    assert not first.exists()
    assert spool.file(spool.relative(second)) == second
    assert second.exists()


def test_only_the_owner_reads_a_spool(tmp_path):
    assert Spool.create(tmp_path, HEADER).path.stat().st_mode & 0o077 == 0


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be used as an output folder"):
        Spool.create(tmp_path / "file", HEADER)
