from __future__ import annotations

import pytest
from search_landscapes import Landscape, Shuffled
from small_searches import HAND, SPACE, TARGET, config

from g2l.search.asynchronous import run_asynchronously
from g2l.search.evaluator import Request
from g2l.search.population import Origin
from g2l.search.session import SearchSession

STRUCTURES = [SPACE.from_rates([2**exponent] * 8) for exponent in range(6)]


def session(executor):
    return SearchSession(
        SPACE,
        config(),
        executor,
        seed=0,
        hand_designed=HAND,
        full_steps=None,
        journal=None,
        store=None,
        observers=[],
        progress=None,
    )


class Diary:
    """A decider that writes down what happens; it asks for its structures one by one, `pause` of them at most
    ahead of what it was told."""

    def __init__(self, running, structures=STRUCTURES, pause=99):
        self.running, self.left, self.pause, self.lines, self.told = running, list(structures), pause, [], 0

    def ask(self):
        asked = sum(line.startswith("ask") for line in self.lines)
        if not self.left or asked - self.told >= self.pause:
            return None
        structure = self.left.pop(0)
        self.lines.append(f"ask {structure.rates[0]}")
        return Request(self.running.task(structure), Origin.RANDOM)

    def tell(self, candidate):
        self.told += 1
        self.lines.append(f"tell {candidate.structure.rates[0]}")


def diary(executor, window, **options):
    running = session(executor)
    decider = Diary(running, **options)
    run_asynchronously(running, decider, window=window)
    return decider.lines


def test_no_more_than_the_window_is_undecided_and_all_are_told_in_order():
    lines = diary(Shuffled(Landscape(TARGET), 0), 2)
    assert lines == [
        *("ask 1", "ask 2", "tell 1", "ask 4", "tell 2", "ask 8", "tell 4", "ask 16", "tell 8", "ask 32"),
        *("tell 16", "tell 32"),
    ]


def test_a_window_of_one_is_one_after_the_other():
    lines = diary(Shuffled(Landscape(TARGET), 0), 1)
    assert lines == [f"{what} {structure.rates[0]}" for structure in STRUCTURES for what in ("ask", "tell")]


@pytest.mark.parametrize("window", [1, 3, 9])
@pytest.mark.parametrize("pause", [1, 2, 99])
def test_speed_and_number_of_workers_change_no_decision(window, pause):
    diaries = [
        diary(Shuffled(Landscape(TARGET), order, slots), window, pause=pause)
        for order, slots in ((0, 1), (1, 2), (2, 3), (3, 9))
    ]
    assert diaries.count(diaries[0]) == 4


def test_a_decider_without_questions_ends_it():
    assert diary(Shuffled(Landscape(TARGET), 0), 3, structures=[]) == []


def test_a_failed_one_is_told_like_all_others():
    broken = frozenset([STRUCTURES[0].key])
    lines = diary(Shuffled(Landscape(TARGET, broken=broken), 0), 2)
    assert lines[:3] == ["ask 1", "ask 2", "tell 1"]
    assert len(lines) == 12


def test_more_workers_than_the_window_stay_idle():
    running = [0]

    class Counting(Shuffled):
        def evaluate(self, groups):
            def counted():
                for group in groups:
                    running.append(running[-1] + (group is not None))
                    yield group

            for evaluation in super().evaluate(counted()):
                running.append(running[-1] - 1)
                yield evaluation

    diary(Counting(Landscape(TARGET), 0, slots=9), 4)
    assert max(running) == 4
