"""How many runs are recorded when several commands start at once in a folder without a store.

`python -m benchmarks.first_starts` starts three `g2l train` at a time, each time in a fresh folder.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from g2l.datasets.synthetic import kitchen, write_dataset
from g2l.tracking.environment import load_mlflow

ROOT = Path(__file__).parents[1]
TRAIN = ["--hand-designed", "--stages", "1", "--layers", "2", "--feature-maps", "4", "--epochs", "1"]


def start(folder: Path, name: str) -> subprocess.Popen[str]:
    """Start a training of a second in a folder."""
    command = [sys.executable, "-m", "cli", "train", "--data-root", "data", "--dataset", "tiny", *TRAIN]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return subprocess.Popen(
        [*command, "--output-dir", name],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def recorded(folder: Path) -> set[str]:
    """Return the names of the folders whose root runs the store holds as finished."""
    client = load_mlflow().MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("g2l")
    runs = [] if experiment is None else client.search_runs([experiment.experiment_id])
    roots = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    return {run.data.tags["g2l.folder"] for run in roots if run.info.status == "FINISHED"}


def main() -> None:
    """Print for each folder what was recorded when the commands ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folders", type=int, default=20)
    parser.add_argument("--commands", type=int, default=3)
    options = parser.parse_args()
    names = [f"run{number}" for number in range(options.commands)]
    total = 0
    with tempfile.TemporaryDirectory() as temporary:
        for number in range(options.folders):
            folder = Path(temporary, str(number))
            content = kitchen(np.random.default_rng(5), videos=8, frames=60, classes=5, feature_dim=4)
            write_dataset(folder / "data", "tiny", content)
            processes = [start(folder, name) for name in names]
            printed = [process.communicate()[0] for process in processes]
            found = recorded(folder)
            total += len(found)
            print(f"folder {number}: recorded {len(found)} of {len(names)} runs", flush=True)
            for name, process, lines in zip(names, processes, printed, strict=True):
                if process.returncode or name not in found:
                    print(f"{name}: exit {process.returncode}\n{lines}", flush=True)
    print(f"recorded: {total} of {options.folders * len(names)}")
    sys.exit(total < options.folders * len(names))


if __name__ == "__main__":
    main()
