"""What `mlflow run` can send: values for flags, and empty strings for what was not given."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from command_lines import SMALL, TRAIN, Run
from hypothesis import given
from hypothesis import strategies as st

from cli.boundary import translate_arguments
from cli.session import resume_line

FLAGS = {"--causal", "--json"}


@pytest.mark.parametrize(
    ("given_line", "expected"),
    [
        ("--causal --seed 1", "--causal --seed 1"),
        ("--causal true --seed 1", "--causal --seed 1"),
        ("--causal TRUE", "--causal"),
        ("--causal=true", "--causal"),
        ("--causal=false", ""),
        ("--causal ''", ""),
        ("--refit false", "--refit false"),
        ("--refit ''", ""),
        ("--json true", "--json"),
        ("--json false", ""),
        ("--epochs '' --seed 1", "--seed 1"),
        ("--epochs= --seed 1", "--seed 1"),
        ("--epochs=3", "--epochs=3"),
        ("--background ''", "--background ''"),
        ("--background=", "--background ''"),
        ("--group-pattern ''", "--group-pattern ''"),
        ("--plots", "--plots svg"),
        ("--plots --seed 1", "--plots svg --seed 1"),
        ("--plots png --seed 1", "--plots png --seed 1"),
        ("--plots=pdf", "--plots=pdf"),
        ("--plots true", "--plots svg"),
        ("--plots false --seed 1", "--seed 1"),
        ("--plots ''", ""),
        ("file.json '' true", "file.json '' true"),
        ("--json -- --causal true ''", "--json -- --causal true ''"),
    ],
)
def test_translation(given_line: str, expected: str) -> None:
    assert translate_arguments(shlex.split(given_line), FLAGS) == shlex.split(expected)


@given(st.lists(st.sampled_from(["--json", "--seed", "1", "a b", "--output-dir=x", "x=y"])))
def test_translation_leaves_other_lines_alone(arguments: list[str]) -> None:
    assert translate_arguments(arguments, FLAGS) == arguments


@pytest.mark.parametrize(
    "tail",
    [
        *("", "--resume", "--resume true", "--resume false --output-dir ''", "--resume=false --output-dir=x"),
        *("--output-dir 'a b'", "--output-dir x --resume ''"),
    ],
)
def test_the_line_to_resume_with(tail: str) -> None:
    line = resume_line(["train", "--hand-designed", *shlex.split(tail), "--dataset", "my data"], Path("o u"))
    expected = "g2l train --hand-designed --dataset 'my data' --output-dir 'o u' --resume"
    assert shlex.split(line) == shlex.split(expected)


def recipe(folder: str) -> dict[str, object]:
    settings = json.loads(Path(folder, "run.json").read_text())["settings"]
    return {"epochs": settings["recipe"]["epochs"], "background": settings["data"]["background"]}


def test_a_line_as_mlflow_writes_it(run: Run) -> None:
    line = ("--hand-designed", "true", "--structure", "", "--resume", "false", "--learning-rate", "")
    told = run("train", *SMALL, *line, "--background", "", "--output-dir", "out")
    assert told.exit_code == 0, told.stderr
    assert recipe("out") == {"epochs": 1, "background": []}
    told = run("train", *SMALL, "--hand-designed", "false", "--output-dir", "other")
    assert told.exit_code == 2
    assert "give either --structure FILE or --hand-designed." in told.stderr


def test_empty_is_not_given(run: Run) -> None:
    told = run(
        *TRAIN, "--decay-epoch", "", "--gradient-clip=", "--background", "background", "--output-dir", ""
    )
    assert told.exit_code == 0, told.stderr
    (folder,) = Path("runs/train/tiny-split1").iterdir()
    assert recipe(str(folder)) == {"epochs": 1, "background": ["background"]}
