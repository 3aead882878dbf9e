"""`g2l structure`, and structure files as options of other commands."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from command_lines import SMALL, Run, refusal
from typer.testing import Result

from cli.inputs import chosen_structure
from cli.settings import StartConfig
from g2l.config import BackboneConfig, DataConfig
from g2l.errors import InputError
from g2l.structure_files import read_structure


def test_convert_replaces_structures_and_no_other_file(run: Run) -> None:
    Path("a.json").write_text('{"schema": "g2l.structure/1", "stages": [[1, 2]]}')
    Path("notes.txt").write_text("mine")
    for _ in range(2):
        assert run("structure", "convert", "a.json", "b.json", "--to", "mmcv").exit_code == 0
    assert "notes.txt: exists" in refusal(run("structure", "convert", "a.json", "notes.txt", "--to", "mmcv"))
    assert Path("notes.txt").read_text() == "mine"


def test_structure_show_and_convert(run: Run) -> None:
    Path("a.json").write_text('{"schema": "g2l.structure/1", "stages": [[1, 2, 40], [1, 3, 9]]}')
    for dialect, source in (("official", "a"), ("mmcv", "official"), ("g2l", "mmcv")):
        told = run("structure", "convert", f"{source}.json", f"{dialect}.json", "--to", dialect)
        assert (told.exit_code, told.stdout) == (0, "")
        assert read_structure(Path(f"{dialect}.json")).structure.stages == ((1, 2, 40), (1, 3, 9))
    size = ("--feature-dim", "20", "--classes", "5", "--feature-maps", "8")
    shown = json.loads(run("structure", "show", "g2l.json", "--json", "--fps", "2", *size).stdout)
    assert shown == {
        "parameters": 1938,
        "multiply_adds_per_frame": 1816,
        "backbone": "ms-tcn",
        "causal": False,
        "stages": [[1, 2, 40], [1, 3, 9]],
        "receptive_field": 113,
        "receptive_fields": [87, 27],
        "receptive_field_s": 56.5,
        "receptive_fields_s": [43.5, 13.5],
        "look_ahead": 56,
        "look_aheads": [43, 13],
        "look_ahead_s": 28.0,
        "look_aheads_s": [21.5, 6.5],
    }
    told = run("structure", "show", "mmcv.json", "--fps", "2", *size)
    assert told.stdout.splitlines()[-1].startswith("1,938 parameters, 1,816 multiply-adds per frame (")
    assert rows(told.stdout) == [
        ["stage 1", "1 2 40", "87 frames = 43.5 s", "43 frames = 21.5 s"],
        ["stage 2", "1 3 9", "27 frames = 13.5 s", "13 frames = 6.5 s"],
        ["network", "", "113 frames = 56.5 s", "56 frames = 28.0 s"],
    ]


def test_show_describes_a_model(run: Run, model: Path, exported: tuple[Path, Result]) -> None:
    found = [
        json.loads(run("structure", "show", str(path), "--json").stdout) for path in (model, exported[0])
    ]
    assert found[0] == found[1]
    expected = {
        "features": "4 x frames",
        "frames_per_second": 15.0,
        "normalization_inside": "train",
        "delay_of_a_stream_in_frames": found[0]["look_ahead"],
        "look_ahead_s": found[0]["look_ahead"] / 15,
        "trained_on": "tiny",
    }
    assert expected.items() <= found[0].items()
    assert len(found[0]["classes"]) == 5
    shown = run("structure", "show", str(model)).stdout
    assert "normalization inside: train" in shown
    assert ", 5 classes, " in shown


def test_structure_show_knows_backbones_and_causality(run: Run) -> None:
    value = {"schema": "g2l.structure/1", "stages": [[1, 2, 40, 2], [1, 3]]}
    expected = {
        "ms-tcn": ["network", "", "99 frames", "49 frames"],
        "ms-tcn++": ["network", "", "93 frames", "46 frames"],
        "asformer": [
            "network",
            "",
            "whole video (convolutions: 99 frames)",
            "whole video (convolutions: 49 frames)",
        ],
    }
    for backbone, row in expected.items():
        Path("s.json").write_text(json.dumps(value | {"backbone": backbone}))
        assert rows(run("structure", "show", "s.json").stdout)[-1] == row
        run("structure", "convert", "s.json", "o.json", "--to", "official")
        assert rows(run("structure", "show", "o.json").stdout)[-1] == row
    Path("s.json").write_text(json.dumps(value | {"backbone": "ms-tcn++", "causal": True}))
    run("structure", "convert", "s.json", "m.json", "--to", "mmcv")
    for file in ("s.json", "m.json"):
        told = run("structure", "show", file).stdout
        assert f"{file}: causal ms-tcn++" in told
        assert rows(told) == [
            ["stage 1", "1 2", "85 frames", "0 frames"],
            ["", "40 2", "", ""],
            ["stage 2", "1 3", "9 frames", "0 frames"],
            ["network", "", "93 frames", "0 frames"],
        ]
    Path("s.json").write_text(json.dumps(value | {"backbone": "asformer"}))
    assert json.loads(run("structure", "show", "s.json", "--json").stdout)["whole_video"] is True


def rows(text: str) -> list[list[str]]:
    """The cells of a table that was printed."""
    found = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines()]
    return [row for row in found if row]


def test_a_structure_of_another_network_is_used_with_a_warning(run: Run) -> None:
    value = {"schema": "g2l.structure/1", "stages": [[1, 2]], "backbone": "ms-tcn", "causal": True}
    Path("s.json").write_text(json.dumps(value))
    backbone, start = BackboneConfig(stages=1, layers=2), StartConfig(structure="s.json")
    here = DataConfig(dataset="tiny"), (1,)
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr("cli.inputs.logger.warning", lambda text, *values: said.append(text % values))
        chosen_structure(backbone, start, *here)
        chosen_structure(replace(backbone, causal=True), start, *here)
        Path("s.json").write_text(json.dumps(value | {"backbone": None}))
        chosen_structure(backbone, start, *here)
    assert said == ["s.json: was found for causal ms-tcn, but is used for ms-tcn."]
    Path("s.json").write_text(json.dumps({"schema": "g2l.structure/1", "stages": [[1, 2, 4], [1]]}))
    with pytest.raises(InputError, match=r"s.json: expected 2 rates for each layer .* but found 3 rates"):
        chosen_structure(replace(backbone, name="ms-tcn++"), start, *here)


def test_causal_is_an_option_wherever_a_network_is_built(run: Run) -> None:
    for command in ("pipeline", "search-global", "search-local", "train"):
        message = refusal(run(command, *SMALL, "--backbone", "builtins:dict", "--causal", "true"))
        assert "`--causal` must be false for backbone 'builtins:dict'" in message
