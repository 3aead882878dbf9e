from __future__ import annotations

import pytest

from tests.report.generated_run import write_run

HOSTILE = "<script>alert('x')</script>&\"|`"
"""A class name that would be markup in a page, and more than a cell in Markdown."""


@pytest.fixture(scope="session")
def generated(tmp_path_factory):
    """The folder of a small pipeline; tests only read it."""
    return write_run(tmp_path_factory.mktemp("generated") / "run")


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    """The folder of a pipeline whose names are all hostile; tests only read it."""
    return write_run(
        tmp_path_factory.mktemp("hostile") / "run",
        classes=("background", HOSTILE, "</table>", "{{ 7 * 7 }}"),
        video_name=f"{{}}{HOSTILE}",
        dataset=HOSTILE,
        notices=(f"{HOSTILE}: odd",),
    )
