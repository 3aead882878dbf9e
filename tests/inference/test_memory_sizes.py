from __future__ import annotations

import pytest

from g2l.errors import InputError
from g2l.inference.tiling import parse_size, show_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2GB", 2 * 10**9),
        ("2 gb", 2 * 10**9),
        ("1.5GiB", 3 * 2**29),
        ("800M", 8 * 10**8),
        ("64k", 64_000),
        ("1Ki", 1024),
        ("3TB", 3 * 10**12),
        (" 4096 ", 4096),
        ("12B", 12),
    ],
)
def test_sizes_in_every_unit(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "GB", "-1GB", "2XB", "1e9", "0", "0.4", "two", "2GB 3", "nan", "inf", "٣GB"]
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InputError, match="`max_memory` must be a size such as 2GB or 800MiB, but is"):
        parse_size(text)


def test_sizes_are_shown_in_the_unit_that_suits_them():
    assert [show_size(size) for size in (0, 4.4e6, 999e6, 1e9, 8.85e9)] == [
        "0 MB",
        "4 MB",
        "999 MB",
        "1.0 GB",
        "8.8 GB",
    ]
