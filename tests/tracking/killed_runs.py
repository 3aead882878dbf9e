"""Stages killed (−9) at random moments and resumed, with an uploader beside: what they and MLflow hold.

`python -m tests.tracking.killed_runs --kills 50` kills that many, divided between the stages.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.kills import descendants, kill_process
from g2l.config import DataConfig
from g2l.records import RUN
from g2l.tracking.environment import Target, load_mlflow
from g2l.tracking.upload import Uploader
from tests.pipeline.test_pipeline_kill import outcome
from tests.pipeline.tiny_pipeline import run_stage, write_tiny
from tests.tracking.generated_run import artifacts

STAGES = (
    "train",
    "predict",
    "export",
    "search-local",
    "search-global",
    "search-global in processes",
    "pipeline",
)
OF_THIS_RUN = ("g2l.run_id", "g2l.root_id", "g2l.command", "mlflow.parentRunId")
"""Tags that differ between two runs of the same."""
MEASURED = ("seconds", "search/", "speed")
"""Metrics that depend on the clock, by how they begin."""


class KilledRuns:
    """Runs stages in processes of their own, mirrors them to stores of their own, and kills them."""

    def __init__(self, folder: Path, empty_store: Path) -> None:
        self.folder = folder
        self.data: DataConfig = write_tiny(folder / "data")
        self.seconds: dict[str, float] = {}
        self._expected: dict[str, object] = {}
        self._empty = empty_store
        self._server = multiprocessing.get_context("forkserver")
        self._server.set_forkserver_preload(["tests.pipeline.forked"])

    def expected(self, stage: str) -> object:
        """Return what a stage that nobody disturbs leaves, made once."""
        if stage not in self._expected:
            place = self._place(f"{stage}-whole")
            assert self._run(stage, place, None) == 0
            self._expected[stage] = self._found(place)
        return self._expected[stage]

    def killed(self, stage: str, name: str, moments: list[float]) -> tuple[int, list[str]]:
        """Kill a stage several times and resume it.

        Args:
            stage: Which one.
            name: Of a new folder.
            moments: When it is killed each time, in parts of the time that it takes.

        Returns:
            How often it was killed before it had ended, and what differs from an undisturbed run.
        """
        expected, place, kills = self.expected(stage), self._place(name), 0
        for moment in moments:
            kills += self._run(stage, place, moment * self.seconds[stage]) != 0
        code = self._run(stage, place, None)
        if code:
            return kills, [f"resuming ended with {code}"]
        return kills, differing(expected, self._found(place))

    def _place(self, name: str) -> Path:
        place = self.folder / name.replace(" ", "-")
        place.mkdir()
        os.chdir(place)  # where a new experiment keeps its artifacts
        shutil.copyfile(self._empty, place / "mlflow.db")
        return place

    def _run(self, stage: str, place: Path, delay: float | None) -> int:
        """Run or resume a stage beside an uploader, kill it after `delay` seconds; return its exit code."""
        workers = 2 if "processes" in stage else 0
        arguments = (stage.partition(" ")[0], place / "run", self.data)
        process = self._server.Process(target=run_stage, args=arguments, kwargs={"workers": workers})
        process.start()
        started, uploader = time.monotonic(), None
        while process.is_alive():
            if delay is not None and time.monotonic() > started + delay:
                for pid in [*descendants(process.pid or 0), process.pid or 0]:
                    kill_process(pid)
                process.join()
            elif (place / "run" / RUN).exists():
                uploader = uploader or Uploader(place / "run", Target(f"sqlite:///{place / 'mlflow.db'}"))
                uploader.step(over=False)
            process.join(0.02)
        if process.exitcode == 0:
            self.seconds[stage] = time.monotonic() - started  # the machine may be less busy than before
        if (place / "run" / RUN).exists():
            Uploader(place / "run", Target(f"sqlite:///{place / 'mlflow.db'}")).step(over=True)
        return process.exitcode or 0

    def _found(self, place: Path) -> object:
        client = load_mlflow().MlflowClient(tracking_uri=f"sqlite:///{place / 'mlflow.db'}")
        torn = [path.name for path in (place / "run").rglob(".*.tmp")]
        files = {name: value for name, value in outcome(place / "run").items() if name != "tracking.json"}
        eaf = {path.name: path.read_text() for path in (place / "run").rglob("*.eaf")}
        return {"files": files, "eaf": eaf, "torn": torn, "mlflow": held(client)}


def held(client: object) -> list[str]:
    """Return what MLflow holds of every run, less what differs between two runs of the same."""
    runs = client.search_runs([client.get_experiment_by_name("g2l").experiment_id], max_results=5000)
    names = {run.info.run_id: run.info.run_name for run in runs}
    found = []
    for run in runs:
        identifier, tags = run.info.run_id, dict(run.data.tags)
        parent = names.get(tags.get("mlflow.parentRunId"))
        tags = {name: value for name, value in tags.items() if name not in OF_THIS_RUN}
        histories = {name: client.get_metric_history(identifier, name) for name in run.data.metrics}
        metrics = {
            name: [(one.step, one.value) for one in sorted(history, key=lambda one: one.step)]
            for name, history in histories.items()
            if not name.rpartition("/")[2].startswith(MEASURED) and not name.startswith(MEASURED)
        }
        for name, history in metrics.items():
            assert len(set(history)) == len(history), f"{name} twice: {history}"
        inputs = sorted(one.dataset.name for one in run.inputs.dataset_inputs)
        files = sorted(artifacts(client, identifier))
        models = len(client.search_logged_models([run.info.experiment_id], f"source_run_id = '{identifier}'"))
        value = [
            run.info.run_name,
            parent,
            run.info.status,
            run.data.params,
            tags,
            metrics,
            inputs,
            files,
            models,
        ]
        found.append(json.dumps(value, sort_keys=True))
    return sorted(found)


def differing(expected: object, found: object) -> list[str]:
    """Return what differs, in a line each."""
    lines = []
    for part in ("files", "eaf"):
        names = {*expected[part], *found[part]}
        lines += [
            f"{part} {name}" for name in sorted(names) if expected[part].get(name) != found[part].get(name)
        ]
    lines += [f"left: {name}" for name in found["torn"]]
    for text, one, other in (("lacks", expected, found), ("has", found, expected)):
        lines += [f"MLflow {text} {run}" for run in one["mlflow"] if run not in other["mlflow"]]
    return lines


def main() -> None:
    """Print a line for each run that was killed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=56)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stages", nargs="+", default=STAGES)
    options = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1"}
    moments, total, wrong = random.Random(options.seed), 0, 0
    with tempfile.TemporaryDirectory() as temporary:
        store = Path(temporary, "empty.db")
        load_mlflow().MlflowClient(tracking_uri=f"sqlite:///{store}").search_experiments()
        killer = KilledRuns(Path(temporary), store)
        for stage in options.stages:
            killer.expected(stage)
            kills = number = 0
            while kills < options.kills / len(options.stages):
                parts = [moments.uniform(0.02, 0.95) for _ in range(moments.randint(1, 3))]
                killed, different = killer.killed(stage, f"{stage}-{number}", parts)
                kills, number = kills + killed, number + 1
                wrong += bool(different)
                verdict = "; ".join(different) or "identical"
                print(f"{stage}: killed {killed} times: {verdict}", flush=True)
            total += kills
    print(f"{total} kills, {wrong} runs that differ")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
