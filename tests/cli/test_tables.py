from __future__ import annotations

from pathlib import Path

from cli import tables
from g2l.config import topology_of
from g2l.metrics.comparison import Comparison, compare
from g2l.metrics.summary import Summary
from g2l.pipeline.contest import Contestant, ContestOutcome
from g2l.pipeline.pipeline import PipelineOutcome
from g2l.pipeline.search_outcome import GlobalSearchOutcome, Leader
from g2l.search.budget import CostPlan, SearchCost
from g2l.structure import DilationStructure, LayerTopology

TOPOLOGY = LayerTopology()
HAND_DESIGNED, FOUND = DilationStructure(((1, 2),)), DilationStructure(((1, 4),))


def outcome(searched):
    test = dict.fromkeys(tables.METRICS, Summary(60.0, 1.0, 5))
    contestants = {
        name: Contestant(structure=structure, test=test, training_equivalents=0.0)
        for name, structure in (("hand-designed", HAND_DESIGNED), ("searched", searched))
    }
    return PipelineOutcome(
        contestants=contestants,
        trainings={},
        differences={
            "f1": Comparison(2.1, 0.8, 0.6, 3.4, 5),
            "accuracy": Comparison(0.2, 0.8, -1.0, 1.4, 5),
        },
        contest=ContestOutcome(
            shipped="hand-designed", searched="global", duels=(), selections={}, reason="Equal within ±1."
        ),
        model=Path("model.onnx"),
        predictions=Path("predictions"),
        costs={"global search": 4.5, "final trainings": 2.0},
        report=Path("report.html"),
        run_id="",
    )


def test_the_comparison_says_whether_the_structures_differ(capsys):
    tables.comparison("tiny", outcome(FOUND), TOPOLOGY)
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "Searched against hand-designed, mean F1: better by 2.1 (95 % interval 0.6 to 3.4; 5 seeds).",
        "Searched against hand-designed, accuracy: undecided (+0.2, 95 % interval −1.0 to 1.4; 5 seeds).",
    ]


def search_outcome(winner, **changes):
    leaders = [
        Leader(structure=FOUND, fitness=61.24, standard_error=0.83, seeds=3, steps=240),
        Leader(structure=HAND_DESIGNED, fitness=60.0, standard_error=None, seeds=1, steps=240),
        Leader(structure=DilationStructure(((8, 8),)), fitness=None, standard_error=None, seeds=1, steps=240),
    ]
    fields = {
        "structure": winner,
        "hand_designed": HAND_DESIGNED,
        "fitness": 61.0,
        "hand_designed_fitness": 60.0,
        "evaluations": 40,
        "steps": 6000,
        "final_steps": 3000,
        "full_steps": 500,
        "seconds": 100.0,
        "proxy_steps": 120,
        "leaders": tuple(leaders),
        "reason": "It is better.",
        "run_id": "",
        "differences": {"f1": compare([62.0, 63.0, 61.5], [60.0, 60.5, 60.0])},
    }
    return GlobalSearchOutcome(**fields | changes)


def test_the_best_structures_are_shown_with_their_error(capsys):
    tables.best_structures("The best structures", search_outcome(FOUND), "f1", TOPOLOGY)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert [row for row in rows if row] == [
        ["winner", "1 4", "11 frames", "61.2 ± 0.8", "240", "3"],
        ["", "", "5 frames", "", "", ""],
        ["hand-designed", "1 2", "7 frames", "60.0", "240", "1"],
        ["", "", "3 frames", "", "", ""],
        ["3", "8 8", "33 frames", "failed", "240", "1"],
        ["", "", "16 frames", "", "", ""],
    ]


def test_a_network_that_sees_the_whole_video_says_so(capsys):
    tables.comparison("tiny", outcome(FOUND), topology_of("asformer"))
    lines = [line.split("│")[7].strip() for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert lines == [
        *("whole video", "(convolutions:", "7 frames", "3 frames)"),
        *("whole video", "(convolutions:", "11 frames", "5 frames)"),
    ]


def test_the_summary_says_why_what_it_is_worth_and_what_it_cost():
    assert tables.search_summary(search_outcome(FOUND), trainings=24.0) == [
        "Winner: 1,4. It is better.",
        "Winner against hand-designed after full trainings, mean F1 on test: better by 2.0 "
        "(95 % interval 0.7 to 3.3; 3 seeds).",
        "Cost: 18.0 of at most 24.0 full trainings (6,000 steps of 40 evaluations, "
        "3,000 steps of the final comparison).",
    ]


def test_a_dry_run_prints_the_parts_and_their_sum(capsys):
    parts = {"race": 700, "search": 1000, "final comparison": 300}
    expected = SearchCost(evaluations=20, steps=parts, full_steps=100, seconds=400.0, bytes=3 * 2**20)
    maximal = SearchCost(
        evaluations=90, steps=parts | {"search": 4000}, full_steps=100, seconds=None, bytes=None
    )
    tables.dry_run("A search would cost", CostPlan(expected=expected, maximal=maximal))
    out = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines()]
    assert [row for row in rows if row] == [
        ["race", "700", "7.0", "2 min", "7.0"],
        ["search", "1,000", "10.0", "3 min", "40.0"],
        ["final comparison", "300", "3.0", "60 s", "3.0"],
        ["all", "2,000", "20.0", "7 min", "50.0"],
    ]
    assert out.splitlines()[-1] == "A full training is 100 steps. Checkpoints take 3 MiB while it runs."
