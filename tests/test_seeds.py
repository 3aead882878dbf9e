from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from g2l.search.budget import ROUNDS
from g2l.search.race import FIRST_SEED
from g2l.seeds import BLOCK, SeedPlan
from g2l.settings import LARGEST_SEED

NUMBERS = st.integers(0, BLOCK - 1)


@given(seed=st.integers(0, LARGEST_SEED), first=NUMBERS, second=NUMBERS)
def test_no_seed_serves_two_purposes(seed, first, second):
    plan = SeedPlan(seed)
    search = {plan.search + number for number in (0, FIRST_SEED + ROUNDS)}
    chosen = {*search, plan.local, plan.selection(first)}
    assert plan.final(second) not in chosen
    assert plan.selection(second) not in {*search, plan.local}
    assert plan.local not in search
    assert all(0 <= one <= LARGEST_SEED for one in (plan.final(first), plan.selection(first), plan.local))


def test_the_first_final_seed_is_that_of_the_run():
    assert [SeedPlan(7).final(number) for number in range(3)] == [7, 8, 9]
