from __future__ import annotations

from pathlib import Path

from cli import tables
from g2l.metrics.comparison import Comparison
from g2l.metrics.summary import Summary
from g2l.pipeline.compose import PipelineOutcome
from g2l.pipeline.contest import Contender
from g2l.structure import DilationStructure

HAND_DESIGNED, FOUND = DilationStructure(((1, 2),)), DilationStructure(((1, 4),))


def outcome(searched):
    test = dict.fromkeys(tables.METRICS, Summary(60.0, 1.0, 5))
    contenders = {
        name: Contender(structure=structure, test=test, training_equivalents=0.0)
        for name, structure in (("hand-designed", HAND_DESIGNED), ("searched", searched))
    }
    return PipelineOutcome(
        contenders=contenders,
        differences={
            "f1": Comparison(2.1, 0.8, 0.6, 3.4, 5),
            "accuracy": Comparison(0.2, 0.8, -1.0, 1.4, 5),
        },
        model=Path("model.onnx"),
        predictions=Path("predictions"),
    )


def test_the_comparison_says_whether_the_structures_differ(capsys):
    tables.comparison("tiny", outcome(FOUND))
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "Searched against hand-designed, mean F1: better by 2.1 ± 0.8 (95 % interval 0.6 to 3.4, 5 seeds).",
        "Searched against hand-designed, accuracy: no difference that 5 seeds can show "
        "(+0.2, 95 % interval −1.0 to 1.4).",
    ]


def test_the_comparison_of_a_structure_with_itself_is_none(capsys):
    tables.comparison("tiny", outcome(HAND_DESIGNED))
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "The search kept the hand-designed structure."
    assert "Searched against" not in out
