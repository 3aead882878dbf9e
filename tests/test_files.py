from __future__ import annotations

import os
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from g2l.errors import InputError, OperationalError
from g2l.files import (
    atomic_path,
    fingerprint,
    read_json,
    read_lines,
    remove_torn,
    write_json,
    write_text,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file(tmp_path, kind):
    path = tmp_path / "b.txt"
    write_text(path, "old")

    def interrupted():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise kind

    with pytest.raises(kind):
        interrupted()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["b.txt"]


def test_what_a_kill_left_of_a_file_can_be_removed(tmp_path):
    own = [".a", ".gitignore", ".notes.tmp", "a.txt", "b.tmp"]
    for name in own:
        (tmp_path / name).touch()
    with atomic_path(tmp_path / "a.txt") as temporary:
        (tmp_path / temporary.name.replace(".a.txt.", ".line\nbreak.")).touch()
        remove_torn(tmp_path)
        assert names(tmp_path) == sorted(own)
        temporary.touch()
    remove_torn(tmp_path / "gone")


def test_the_uploader_of_a_killed_run_keeps_the_file_that_it_is_writing(tmp_path):
    with atomic_path(tmp_path / "tracking.json") as temporary:
        remove_torn(tmp_path)
        assert names(tmp_path) == [temporary.name]
        remove_torn(tmp_path, "tracking.json")
        assert names(tmp_path) == []
        temporary.touch()


def test_files_get_the_rights_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "b.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "b.txt").stat().st_mode) == 0o640


def test_a_file_in_place_of_a_folder_is_an_input_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file/x: cannot be used as an output folder") as error:
        write_text(tmp_path / "file" / "x" / "y.txt", "")
    assert "another folder" in error.value.hint


def test_a_full_disk_is_an_operational_error(tmp_path):
    def write():
        with atomic_path(tmp_path / "b.txt"):
            raise OSError(28, "No space left on device")

    with pytest.raises(OperationalError, match=r"b.txt: cannot write \(No space left on device\)"):
        write()
    assert names(tmp_path) == []


@settings(max_examples=40)
@given(value=JSON)
def test_json_is_read_as_it_was_written(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "value.json"
    write_json(path, value)
    assert read_json(path) == value
    assert path.read_bytes().endswith(b"\n")


def test_json_faults_name_line_and_column(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"a": 1,\n "b" 2}')
    with pytest.raises(InputError, match=r"x.json:2: expected JSON, but expecting ':' delimiter at column 6"):
        read_json(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}', b"1" * 5000, b"{} {}"],
)
def test_what_is_not_json_is_an_input_error_of_one_line(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x.json") as error:
        read_json(path)
    assert "\n" not in error.value.message
    assert len(error.value.message) < 400


@pytest.mark.parametrize(
    ("text", "found"), [('{"a": 1}\n{"b"', 1), ('{"a": 1}\nx\n', 1), ('{"a": 1}\nx\n{"b"', None)]
)
def test_a_kill_tears_one_line_only(tmp_path, text, found):
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    if found is None:
        with pytest.raises(InputError, match=r"x\.jsonl:2: .*damaged"):
            list(read_lines(path))
    else:
        assert len(list(read_lines(path))) == found


def test_fingerprints_are_stable_and_tell_values_apart():
    assert fingerprint({"b": [1, 2], "a": None}) == "ee743f2fa2570a1b"
    values = [1, 1.5, "1", [1], None, True, {"1": 1}, [], {}]
    assert len({fingerprint(value) for value in values}) == len(values)
