from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from g2l.datasets.labels import write_labels
from g2l.errors import InputError
from g2l.inference.frame_names import is_recognition, read_frame_names, write_recognition

names = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1, max_size=6),
    min_size=1,
    max_size=20,
).filter(lambda found: " ".join(found) != "### Frame level recognition: ###")


@settings(max_examples=25)  # each writes files
@given(names)
def test_both_formats_give_back_what_was_written(tmp_path_factory, found):
    folder = tmp_path_factory.mktemp("names")
    write_labels(folder / "video.txt", found)
    write_recognition(folder / "video", found)
    assert read_frame_names(folder / "video.txt") == tuple(found)
    assert read_frame_names(folder / "video") == tuple(found)
    assert is_recognition(folder / "video")
    assert not is_recognition(folder / "video.txt")


def test_recognition_files_look_as_the_official_ones_do(tmp_path):
    write_recognition(tmp_path / "video", ["cut", "cut", "pour"])
    assert (tmp_path / "video").read_bytes() == b"### Frame level recognition: ###\ncut cut pour\n"


@pytest.mark.parametrize("text", [b"a\r\nb c\r\n\r\n", b"\xef\xbb\xbfa\nb c", b"a\n\nb c\n"])
def test_line_ends_blank_lines_and_spaces_in_names(tmp_path, text):
    (tmp_path / "video.txt").write_bytes(text)
    assert read_frame_names(tmp_path / "video.txt") == ("a", "b c")


@pytest.mark.parametrize("text", [b"", b"\n\n", b"### Frame level recognition: ###\n"])
def test_a_file_without_frames_is_refused(tmp_path, text):
    (tmp_path / "video.txt").write_bytes(text)
    with pytest.raises(InputError, match=r"video.txt: expected the class name of at least one frame"):
        read_frame_names(tmp_path / "video.txt")


def test_a_missing_or_binary_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"video.txt: no such file"):
        read_frame_names(tmp_path / "video.txt")
    (tmp_path / "video.txt").write_bytes(b"a\n\xff\xfe\n")
    with pytest.raises(InputError, match=r"video.txt:2: expected UTF-8"):
        read_frame_names(tmp_path / "video.txt")
    assert not is_recognition(tmp_path / "gone")


def test_a_name_with_a_space_cannot_go_into_a_recognition_file(tmp_path):
    with pytest.raises(InputError, match=r"separate class names by spaces, so 'cut bread' cannot") as caught:
        write_recognition(tmp_path / "video", ["cut bread"])
    assert "--mstcn" in caught.value.hint
    assert not list(tmp_path.iterdir())
