"""The study's page: only what was measured, each number from its cells."""

from __future__ import annotations

import re
from itertools import pairwise, product

import numpy as np

from benchmarks.study import CASES, CHECKOUT, FLOOR, HAND, METHODS, PAGE, SEARCH, page, row, viterbi

README = CHECKOUT / "README.md"
KITCHEN = next(case for case in CASES if case.dataset == "kitchen")
METHOD = {method.name: method for method in METHODS}


def cell(method, hits, multiply_adds=1000, **more):
    videos = {
        f"v{number}": {"correct": hits, "edit": 50.0, "f1": [[hits, 1, 1]] * 3, "frames": 100}
        for number in range(4)
    }
    f1 = 100 * 2 * hits / (2 * hits + 2)
    test = {"f1@10": f1, "f1@25": f1, "f1@50": f1, "edit": 50.0, "accuracy": float(hits)}
    size = {"multiply_adds": multiply_adds, "parameters": 10, "epochs": 7, "final_seconds": 3.0}
    return {"method": method, "test": test, "videos": videos, "structure": [[1, 2]], **size, **more}


def measured():
    found = {}
    for seed in range(2):
        found[f"kitchen/1/{seed}/{HAND}"] = cell(HAND, 8)
        searched = cell(SEARCH, 9, 500, steps=40, full_steps=10, reason="shown")
        found[f"kitchen/1/{seed}/{SEARCH}"] = searched
    found[f"kitchen/1/2/{SEARCH}"] = cell(SEARCH, 1, reason="no partner")
    return found


def test_a_row_compares_only_what_has_a_partner():
    line = row(KITCHEN, METHOD[SEARCH], measured())
    assert line.startswith(f"| kitchen | {SEARCH} | 2 | 90.0 | 50.0 | 9.0 |")
    assert "| 0.50 | 1.00 | 7, 7 | 3 | 4.0 |" in line
    assert row(KITCHEN, METHOD[FLOOR], measured()) is None


def test_the_page_counts_cells_and_gives_every_reason():
    text = page(measured())
    assert "5 cells of 459 are measured" in text
    assert "| kitchen/1/0 | 2 | 0.50 | 88.9 → 90.0 | shown |" in text
    assert "| kitchen/1/2/default search | | | | 4×10 is not measured yet |" in text


def test_the_readme_shows_rows_of_the_page():
    pattern = r"^\| \w+ \| \d+ \| .* \([+-].* to [+-].*\) \| [\d.]+ \|$"
    rows = re.findall(pattern, README.read_text(), re.MULTILINE)
    assert len(rows) >= 3
    assert set(rows) <= set(PAGE.read_text().splitlines())


def test_viterbi_finds_the_likeliest_of_all_sequences():
    generator = np.random.default_rng(0)
    emissions, transitions = generator.normal(size=(5, 3)), generator.normal(size=(3, 3))

    def likelihood(labels):
        steps = sum(transitions[a, b] for a, b in pairwise(labels))
        return emissions[range(5), labels].sum() + steps

    best = max(product(range(3), repeat=5), key=lambda labels: likelihood(list(labels)))
    assert viterbi(emissions, transitions).tolist() == list(best)
