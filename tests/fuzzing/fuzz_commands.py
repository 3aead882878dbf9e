"""`g2l predict` on spoilt features, models and mappings: exit codes, one line, and nothing half written."""

from __future__ import annotations

import csv
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from fuzz_targets import (
    METADATA,
    VIDEO,
    graph_file,
    npy_file,
    safetensors_file,
    spoilt_metadata,
    state_dict_file,
)
from mutations import mutated, mutated_npy
from typer.testing import CliRunner

from cli.main import app
from g2l.tracking.process import Upload

WHOLE = 3
SPOILT = 40
MODELS = 6
RECORDS = {"predictions.jsonl", "run.json", "status.json", "result.json", "manifest.json"}
"""What resuming needs, which grows by whole lines, and who predicted."""


def faults(folder: Path, chance: random.Random) -> Iterator[str | None]:
    """Run one command after the other; yield what was wrong with each, or None."""
    Upload.start = lambda upload, folder: None
    features = folder / "features"
    features.mkdir()
    (folder / "m.onnx").write_bytes(graph_file(METADATA.to_json()))
    for number in range(WHOLE):
        (features / f"whole{number}.npy").write_bytes(npy_file(VIDEO))
    for number in range(SPOILT):
        spoil = mutated_npy if number % 2 else mutated
        (features / f"spoilt{number}.npy").write_bytes(spoil(npy_file(VIDEO), chance))
    yield _fault(folder, "m.onnx", codes=(1,))
    shutil.rmtree(features)
    features.mkdir()
    (features / "whole.npy").write_bytes(npy_file(VIDEO))
    plain = METADATA.to_json()
    for name, whole, about in (
        ("s.onnx", graph_file(plain), spoilt_metadata(graph_file)),
        ("s.safetensors", safetensors_file(plain), spoilt_metadata(safetensors_file)),
    ):
        for number in range(2 * MODELS):
            (folder / name).write_bytes((mutated if number % 2 else about)(whole, chance))
            yield _fault(folder, name)
    (folder / "m.model").write_bytes(state_dict_file())
    for _ in range(MODELS):
        (folder / "mapping.txt").write_bytes(mutated(b"0 a\n1 b\n", chance))
        yield _fault(folder, "m.model", "--mapping", str(folder / "mapping.txt"))


def _fault(folder: Path, model: str, *options: str, codes: tuple[int, ...] = (0, 1, 2)) -> str | None:
    """Return what is wrong with how a command ended and with what it left, or None."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    arguments = ["predict", "--model", str(folder / model), "--features", str(folder / "features")]
    told = CliRunner().invoke(app, [*arguments, "--output", str(out), "--device", "cpu", *options])
    said = told.stderr
    if told.exception is not None and not isinstance(told.exception, SystemExit):
        return f"{told.exception!r} of {model}"
    if told.exit_code not in codes or "Traceback" in said:
        return f"exit code {told.exit_code}: {said}"
    if told.exit_code and sum(line.startswith("error: ") for line in said.splitlines()) != 1:
        return f"not one line: {said}"
    return _left_behind(out, told.exit_code)


def _left_behind(out: Path, code: int) -> str | None:
    files = {path.name for path in out.iterdir()} - RECORDS if out.exists() else set()
    videos = {name.removesuffix(".txt") for name in files if name.endswith(".txt")}
    if code == 2:
        return f"left {files}" if files else None
    with (out / "segments.csv").open(newline="", encoding="utf-8") as table:
        ends = {row["video"]: int(row["end_frame"]) for row in csv.DictReader(table)}
    lines = {name: len((out / f"{name}.txt").read_text().splitlines()) for name in videos}
    if ends != lines or len(files) != len(videos) + 1:
        return f"{lines} are not {ends}, or there is more: {files}"
    return None if videos >= {"whole0"} or videos <= {"whole"} else f"lacks whole files: {videos}"
