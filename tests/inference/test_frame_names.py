from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from g2l.datasets.reading import normal
from g2l.errors import InputError
from g2l.inference.segments import (
    Annotation,
    FrameReader,
    SegmentRow,
    is_recognition,
    write_frame_names,
    write_recognition,
)

names = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1, max_size=6),
    min_size=1,
    max_size=20,
).filter(lambda found: " ".join(found) != "### Frame level recognition: ###")


def rows_of(names):
    """Return a segment for every frame."""
    return [SegmentRow("v", n, name, n, n + 1, None, None, 1, 0) for n, name in enumerate(names)]


def read(path):
    reader = FrameReader()
    labels = reader.read(path)
    return [reader.names[label] for label in labels]


@settings(max_examples=25)  # each writes files
@given(names)
def test_both_formats_give_back_what_was_written(tmp_path_factory, found):
    folder = tmp_path_factory.mktemp("names")
    write_frame_names(folder / "video.txt", rows_of(found))
    write_recognition(folder / "video", Annotation("video", rows_of(found)))
    assert read(folder / "video.txt") == [normal(name) for name in found]
    assert read(folder / "video") == [normal(name) for name in found]
    assert is_recognition(folder / "video")
    assert not is_recognition(folder / "video.txt")


@pytest.mark.parametrize("text", [b"a\r\nb c\r\n\r\n", b"\xef\xbb\xbfa\nb c", b" a\n\n\tb c \n"])
def test_line_ends_blank_lines_and_spaces_in_names(tmp_path, text):
    (tmp_path / "video.txt").write_bytes(text)
    assert read(tmp_path / "video.txt") == ["a", "b c"]


def test_a_class_has_one_number_in_all_files(tmp_path):
    reader = FrameReader(["pour", "cut"])
    (tmp_path / "1.txt").write_text("cut\nstir\n cut\n")
    (tmp_path / "2.txt").write_text("fold\nstir \npour\n")
    assert reader.read(tmp_path / "1.txt").tolist() == [1, 2, 1]
    assert reader.read(tmp_path / "2.txt").tolist() == [3, 2, 0]
    assert reader.names == ["pour", "cut", "stir", "fold"]


def test_two_unicode_forms_of_a_name_are_one_class(tmp_path):
    composed, decomposed = "p\u00e2te", "pa\u0302te"
    (tmp_path / "1.txt").write_text(f"{decomposed}\n{composed}\ncut\n")
    reader = FrameReader([composed])
    assert reader.read(tmp_path / "1.txt").tolist() == [0, 0, 1]
    assert reader.names == [composed, "cut"]


@pytest.mark.parametrize("text", [b"", b"\n\n", b"### Frame level recognition: ###\n"])
def test_a_file_without_frames_is_refused(tmp_path, text):
    (tmp_path / "video.txt").write_bytes(text)
    with pytest.raises(InputError, match=r"video.txt: expected the class name of at least one frame"):
        read(tmp_path / "video.txt")


def test_a_missing_or_binary_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"video.txt: no such file"):
        read(tmp_path / "video.txt")
    (tmp_path / "video.txt").write_bytes(b"a\n\xff\xfe\n")
    with pytest.raises(InputError, match=r"video.txt:2: expected UTF-8"):
        read(tmp_path / "video.txt")
    assert not is_recognition(tmp_path / "gone")
