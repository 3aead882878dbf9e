from __future__ import annotations

import pytest

from benchmarks import search_pictures
from g2l.config import Strategy
from g2l.search.candidates import SearchPhase


@pytest.mark.parametrize("strategy", Strategy)
def test_every_strategy_has_a_course_within_its_money(strategy):
    seen = search_pictures.course(strategy)
    assert len(seen.spent) == len(seen.findings) > 10
    assert seen.spent == sorted(seen.spent)
    assert seen.spent[-1] <= 20 * search_pictures.FULL_STEPS
    phases = [finding.status.phase for finding in seen.findings]
    assert phases == sorted(phases, key=lambda phase: phase is SearchPhase.RACE)
    assert set(phases) == {SearchPhase.SEARCH, SearchPhase.RACE}
    search_pictures.draw_course(seen).canvas.draw()


def test_every_picture_of_a_strategy_is_in_the_page():
    page = (search_pictures.FIGURES.parent / "searching.md").read_text(encoding="utf-8")
    for name in ("noise", "race", *(f"strategy-{strategy}" for strategy in Strategy)):
        assert f"(figures/{name}.svg)" in page
        assert (search_pictures.FIGURES / f"{name}.svg").exists()
