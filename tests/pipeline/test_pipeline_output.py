from __future__ import annotations

import multiprocessing
import os
import signal
import time

import pytest

from g2l.errors import InputError
from g2l.files import write_json
from g2l.pipeline.context import open_run
from g2l.pipeline.output import (
    LOCK,
    link_or_copy,
    locked,
    read_manifest,
    refuse_foreign_file,
    refuse_foreign_names,
    remove_files,
    write_manifest,
)

REFUSED = r"expected an output outside of data sets"


@pytest.fixture
def data(tmp_path):
    """A data set with labels and without splits."""
    (tmp_path / "k" / "groundTruth").mkdir(parents=True)
    (tmp_path / "k" / "mapping.txt").write_text("0 a\n")
    (tmp_path / "k" / "groundTruth" / "v.txt").write_text("a\n")
    return tmp_path / "k"


def test_a_folder_of_a_data_set_is_refused_also_behind_a_link(data, tmp_path):
    for name in ("features", "splits"):
        (tmp_path / "other" / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to(data / "groundTruth")
    before = sorted(tmp_path.rglob("*"))
    for folder in (data, data / "groundTruth" / "new", tmp_path / "other" / "features", tmp_path / "link"):
        with pytest.raises(InputError, match=REFUSED), open_run(folder):
            pass
    assert sorted(tmp_path.rglob("*")) == before


def test_a_data_set_below_the_output_folder_is_none_of_it(data):
    write_json(data.parent / "run.json", {})
    with open_run(data.parent):
        pass


def test_a_folder_with_other_files_is_refused_and_left_as_it_is(tmp_path):
    for name in "abcd":
        (tmp_path / name).write_text(name)
    with pytest.raises(InputError, match=r"it holds a, b, c and 1 more"), open_run(tmp_path, resume=True):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == list("abcd")


def test_a_folder_of_a_run_that_was_killed_early_is_ours(tmp_path):
    (tmp_path / LOCK).write_text("{}")
    (tmp_path / "data").mkdir()
    with open_run(tmp_path, resume=True):
        pass


def test_an_output_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="cannot be used as an output folder"), open_run(tmp_path / "out"):
        pass


def _hold(folder, ready):
    with locked(folder):
        ready.set()
        time.sleep(60)


def test_a_second_process_is_told_who_holds_the_folder_until_that_one_dies(tmp_path):
    fork = multiprocessing.get_context("fork")
    ready = fork.Event()
    process = fork.Process(target=_hold, args=(tmp_path, ready), daemon=True)
    process.start()
    assert ready.wait(60)
    with (
        pytest.raises(InputError, match=rf"in use by process {process.pid} on \S+ since 20"),
        locked(tmp_path),
    ):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with locked(tmp_path):
        assert (tmp_path / LOCK).exists()
    assert not (tmp_path / LOCK).exists()


def test_a_foreign_file_is_not_replaced(data, tmp_path):
    path = tmp_path / "metrics.json"
    refuse_foreign_file(path, lambda path: False)
    path.write_text("mine")
    with pytest.raises(InputError, match="exists, and was not written by this command"):
        refuse_foreign_file(path, lambda path: False)
    refuse_foreign_file(path, lambda path: True)
    with pytest.raises(InputError, match=REFUSED):
        refuse_foreign_file(data / "metrics.json", lambda path: True)
    with pytest.raises(InputError, match="is a directory"):
        refuse_foreign_file(tmp_path, lambda path: True)


def test_only_files_of_the_manifest_are_replaced(tmp_path):
    assert read_manifest(tmp_path) == set()
    write_manifest(tmp_path, ["a.txt", "unsmoothed/a.txt"])
    ours = read_manifest(tmp_path)
    (tmp_path / "unsmoothed").mkdir()
    for name in ("a.txt", "b.txt", "unsmoothed/a.txt"):
        (tmp_path / name).write_text("")
    refuse_foreign_names(tmp_path, ["a.txt", "c.txt"], ours)
    with pytest.raises(InputError, match=r"would be replaced, but not written by g2l: b\.txt"):
        refuse_foreign_names(tmp_path, ["a.txt", "b.txt"], ours)
    remove_files(tmp_path, ours)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.txt", "manifest.json"]


@pytest.mark.parametrize("names", [["../a"], ["/etc/passwd"], [""], [3], None])
def test_a_manifest_names_no_file_outside_its_folder(tmp_path, names):
    write_json(tmp_path / "manifest.json", {"files": names})
    with pytest.raises(InputError, match=r"manifest\.json: expected .*file"):
        read_manifest(tmp_path)


def test_a_link_has_the_content_even_where_there_are_no_links(tmp_path, monkeypatch):
    source, target = tmp_path / "a", tmp_path / "deep" / "b"
    source.write_bytes(b"weights")
    for _ in range(2):  # onto itself as well
        link_or_copy(source, target)
        assert target.samefile(source)

    def refuse(*arguments):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    link_or_copy(source, target)
    assert (target.read_bytes(), target.samefile(source)) == (b"weights", False)
    assert [path.name for path in target.parent.iterdir()] == ["b"]
