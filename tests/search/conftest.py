from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="session")
def _fixed_clock():
    """Lines of journals hold the time; without it those of two equal searches are equal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("g2l.search.journal.now", lambda: 0)
        yield
