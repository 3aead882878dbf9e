"""Whether commands that are killed at random moments and resumed leave what undisturbed ones leave.

`python -m benchmarks.command_kills` kills (−9) all processes of each command and compares, after `--resume`,
the output folder and all that MLflow holds. It needs Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from safetensors.numpy import load_file

from benchmarks.careful_search import differences
from g2l.datasets.synthetic import kitchen, write_dataset
from g2l.tracking.environment import load_mlflow

ROOT = Path(__file__).parents[1]
NETWORK = ["--stages", "2", "--layers", "2", "--feature-maps", "4"]
DATA = ["--data-root", "data", "--dataset", "tiny", "--device", "cpu"]
SMALL = [*DATA, *NETWORK, *["--epochs", "3", "--batch-size", "2", "--learning-rate", "0.05"]]
RATES = [
    "--space",
    "rates",
    "--population",
    "3",
    "--generations",
    "2",
    "--proxy-steps",
    "4",
    "--leaders",
    "0",
]
PREDICT = ["--model", "model.onnx", "--features", "data/tiny/features", "--fps", "25"]
LOCAL = ["--updates", "2", "--interval-steps", "3"]
RUN = ["--output-dir", "out"]
COMMANDS = {
    "train": ["train", *SMALL, "--hand-designed", "--seeds", "2", *RUN],
    "search-global": ["search-global", *SMALL, *RATES, "--executor", "serial", "--final-seeds", "1", *RUN],
    "search-global, processes": ["search-global", *SMALL, *RATES, "--executor", "process", *RUN],
    "search-global, shapes": ["search-global", *SMALL, "--executor", "serial", *RUN],
    "search-local": ["search-local", *SMALL, "--hand-designed", *LOCAL, *RUN],
    "pipeline": ["pipeline", *SMALL, *RATES, "--executor", "serial", *LOCAL, "--seeds", "1", *RUN],
    "predict": ["predict", *PREDICT, "--output", "out", "--format", "json", "--format", "eaf"],
    "export": ["export", "--model", "model.safetensors", "--output", "out/model.onnx"],
}
ABOUT_THE_RUN = {"run_id", "seconds", "checkpoint", "recorded", "artifacts", "at", "started", "pid", "speed"}
"""Fields of records, and metrics, that depend on the run and not on what it found."""


def environment() -> dict[str, str]:
    """Return the environment of a command: its own store, one thread."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def start(folder: Path, command: list[str], *, resume: bool = False) -> subprocess.Popen[bytes]:
    """Start a command in a folder, as the leader of a session of its own."""
    line = [sys.executable, "-m", "cli", *command]
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [*line, "--resume"] if resume and command[0] != "export" else line,
            cwd=folder,
            env=environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def finish(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait for the end of a command and for its runs to be recorded.

    Raises:
        RuntimeError: The command fails.
    """
    if process.wait() != 0:
        raise RuntimeError(f"a command ended with {process.returncode}:\n{(folder / 'log.txt').read_text()}")
    if (folder / "out" / "run.json").exists():
        sync = [sys.executable, "-m", "cli", "sync", "out"]
        subprocess.run(sync, cwd=folder, env=environment(), check=True, stdout=subprocess.DEVNULL)


def outcome(folder: Path) -> dict[str, Any]:
    """Return what a command leaves: its files, and its runs in MLflow by their place in the folder."""
    found: dict[str, Any] = {}
    for path in sorted((folder / "out").rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".json" and path.name not in ("run.json", "status.json", "tracking.json"):
            found[name] = without_run(json.loads(path.read_text()))
        elif path.suffix == ".safetensors":
            found[name] = {key: value.tobytes() for key, value in load_file(path).items()}
        elif path.suffix == ".onnx":  # without its metadata, which name the run
            found[name] = onnx.load(path).graph.SerializeToString()
        elif path.suffix in (".txt", ".csv", ".eaf"):
            found[name] = path.read_bytes()
        elif path.is_file() and path.suffix not in (".html", ".png", ".svg", ".log"):
            found.setdefault(name)
    return found | recorded(folder)


def recorded(folder: Path) -> dict[str, Any]:
    """Return status, parameters, tags, metrics with their steps, and artifacts of every run.

    Runs that were killed and not resumed are left out: `export` starts anew.
    """
    client = load_mlflow().MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
    names = {run.info.run_id: run.info.run_name for run in runs}
    found: dict[str, Any] = {}
    for run in runs:
        if run.info.status == "KILLED":
            continue
        parent = names.get(run.data.tags.get("mlflow.parentRunId", ""), "")
        metrics = {
            key: [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, key)]
            for key in run.data.metrics
            if not any(name in key for name in ABOUT_THE_RUN)
        }
        tags = {
            name: value
            for name, value in run.data.tags.items()
            if name.startswith("g2l.")
            and not any(part in name for part in ("folder", "_id", "record", "command"))
        }
        artifacts = sorted(_artifacts(client, run.info.run_id, ""))
        one = {"status": run.info.status, "params": run.data.params, "tags": tags}
        found.setdefault(f"MLflow: {parent}/{run.info.run_name}", []).append(
            json.dumps(one | {"metrics": metrics, "artifacts": artifacts}, sort_keys=True)
        )
    return {name: sorted(texts) for name, texts in found.items()}


def _artifacts(client: Any, run_id: str, path: str) -> Iterator[str]:
    for one in client.list_artifacts(run_id, path):
        if one.is_dir:
            yield from _artifacts(client, run_id, one.path)
        else:
            yield one.path


def without_run(value: Any) -> Any:
    """Return a record without what depends on the run."""
    if isinstance(value, dict):
        return {key: without_run(item) for key, item in value.items() if key not in ABOUT_THE_RUN}
    return [without_run(item) for item in value] if isinstance(value, list) else value


def kill(folder: Path, command: list[str], seconds: float) -> int:
    """Run a command, killed up to three times, to its end; return how often it was killed."""
    for killed in range(3):
        process = start(folder, command, resume=killed > 0 and (folder / "out").exists())
        time.sleep(random.uniform(0.1, 0.6) * seconds)
        if process.poll() is not None:
            finish(process, folder)
            return killed
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finish(start(folder, command, resume=(folder / "out").exists()), folder)
    return 3


def prepare(folder: Path) -> None:
    """Write a data set of eight short videos and a trained model."""
    videos = kitchen(np.random.default_rng(5), videos=8, frames=60, classes=5, feature_dim=4)
    write_dataset(folder / "data", "tiny", videos)
    finish(start(folder, COMMANDS["train"]), folder)
    models = sorted((folder / "out").rglob("model.safetensors"))
    shutil.copy(models[0], folder / "model.safetensors")
    finish(start(folder, ["export", "--model", "model.safetensors", "--output", "model.onnx"]), folder)
    for path in folder.glob("*"):
        if path.name in ("out", "mlruns"):
            shutil.rmtree(path)
        elif path.name.startswith("mlflow.db"):
            path.unlink()


def main() -> None:
    """Print a line for each killed run; exit with 1 if any result differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=7, help="killed runs of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", nargs="+", default=list(COMMANDS), choices=COMMANDS)
    options = parser.parse_args()
    random.seed(options.seed)
    total = kills = different = 0
    with tempfile.TemporaryDirectory() as temporary:
        prepared = Path(temporary) / "prepared"
        prepared.mkdir()
        prepare(prepared)
        for name in options.commands:
            whole = Path(shutil.copytree(prepared, Path(temporary) / name.replace(" ", "-")))
            started = time.monotonic()
            finish(start(whole, COMMANDS[name]), whole)
            seconds, expected = time.monotonic() - started, outcome(whole)
            for number in range(options.runs):
                folder = Path(shutil.copytree(prepared, f"{whole}-{number}"))
                killed = kill(folder, COMMANDS[name], seconds)
                wrong = differences(outcome(folder), expected)
                total, kills, different = total + 1, kills + killed, different + bool(wrong)
                print(f"{name}, killed {killed} times: {', '.join(wrong) or 'identical'}", flush=True)
                if not wrong:
                    shutil.rmtree(folder)
    print(f"{total} runs, {kills} kills, {different} that differ")
    sys.exit(different > 0)


if __name__ == "__main__":
    main()
