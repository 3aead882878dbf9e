"""How often a whole pipeline ships what it should: `python -m benchmarks.null_search`.

Small but real searches: `g2l pipeline` with tiny networks on two kinds of synthetic data. Export, predictions
and report are left out: they decide nothing.

- **null**: the label of each frame is drawn by itself. Only the frame tells it, and all structures have as
  many weights. Anything but the hand-designed one is shipped wrongly; all intervals should hold 0.
- **lags**: the label depends on frames farther away than the hand-designed structure sees, and not farther
  than the search space reaches (`g2l.datasets.synthetic.lags`). A searched structure should be shipped.

Each pipeline is a record of `null_search.json`; a run that was stopped continues.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from scipy import stats

from g2l.config import (
    FAST,
    BackboneConfig,
    Budget,
    CandidateCheckpoints,
    DataConfig,
    GlobalSearchConfig,
    LocalSearchConfig,
    RecipeConfig,
    Space,
)
from g2l.datasets.synthetic import (
    SyntheticDataset,
    SyntheticVideo,
    lags,
    subject_splits,
    video_names,
    write_dataset,
)
from g2l.files import read_json, write_json, write_text
from g2l.pipeline import pipeline
from g2l.pipeline.contest import HAND_DESIGNED
from g2l.pipeline.context import open_run
from g2l.pipeline.pipeline import SUMMARY, PipelineTask
from g2l.training.device import one_thread

RECORDS = Path(__file__).with_suffix(".json")
PAGE = Path(__file__).with_name("NULL_SEARCH.md")
NULL, LAGS = "null", "lags"
TITLES = {
    NULL: "independent frames: another than the hand-designed structure is shipped",
    LAGS: "a planted lag: a better structure is shipped",
}
VIDEOS, FRAMES, CLASSES, FEATURE_DIM = 24, 60, 4, 6
NOISE = 0.9
"""Standard deviation of the noise of a feature; the means of a class are standard normal."""
LAG, LAG_FRAMES, LAG_FEATURES = 20, 120, 3
"""The hand-designed structure sees 14 frames on either side."""
BACKBONE = BackboneConfig(stages=2, layers=3, feature_maps=8, dropout=0.1)
MAX_EXPONENT = 4
BUDGET = 24
"""Full trainings: what `g2l search-global` recommends for a search of rates; 12 structures and a race."""
SEEDS = 3


def independent_frames(seed: int) -> SyntheticDataset:
    """Return videos whose frames say nothing about each other."""
    generator = np.random.default_rng([seed, 7])
    prototypes = generator.standard_normal((CLASSES, FEATURE_DIM))
    names = video_names("Null", VIDEOS)
    videos = []
    for name in names:
        labels = generator.integers(CLASSES, size=FRAMES)
        noise = NOISE * generator.standard_normal((FEATURE_DIM, FRAMES))
        videos.append(SyntheticVideo(name, (prototypes[labels].T + noise).astype(np.float32), labels))
    classes = tuple(f"class_{index}" for index in range(CLASSES))
    return SyntheticDataset(classes, tuple(videos), subject_splits(names))


def planted_lag(seed: int) -> SyntheticDataset:
    """Return videos whose labels depend on frames out of sight of the hand-designed structure."""
    generator = np.random.default_rng([seed, 8])
    return lags(generator, (LAG,), videos=VIDEOS, frames=LAG_FRAMES, feature_dim=LAG_FEATURES)


def task_of(kind: str, root: Path, budget: int, seed: int) -> PipelineTask:
    """Return a small pipeline with the default rules."""
    return PipelineTask(
        data=DataConfig(data_root=root, dataset=kind, seed=seed),
        backbone=BACKBONE,
        recipe=RecipeConfig(epochs=10, batch_size=2, learning_rate=1e-2),
        global_search=GlobalSearchConfig.of_preset(FAST).replace(
            space=Space.RATES,
            trainings=float(budget),
            population=6,
            generations=1,
            max_exponent=MAX_EXPONENT,
            candidate_checkpoints=CandidateCheckpoints.NONE,
        ),
        local_search=LocalSearchConfig.of_preset(FAST).replace(interval=Budget(4, "steps"), updates=5),
        seeds=SEEDS,
        seed=seed,
    )


def run_once(kind: str, budget: int, seed: int) -> dict[str, Any]:
    """Run a pipeline on a new data set; return what it decided and reported."""
    none = mock.Mock(return_value=Path())
    started = time.process_time()
    work = Path(tempfile.mkdtemp(prefix="g2l-null-"))
    try:
        write_dataset(work, kind, independent_frames(seed) if kind == NULL else planted_lag(seed))
        left_out = mock.patch.multiple(pipeline, _export=none, _predict=none, write_report=none)
        with left_out, open_run(work / "run", device="cpu") as context:
            pipeline.run_pipeline(context, task_of(kind, work, budget, seed))
        summary = read_json(work / "run" / SUMMARY)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    contest = summary["contest"]
    fields = ("estimate", "low", "high", "verdict")
    duels = [
        {
            "pair": f"{duel['challenger']} − {duel['defender']}",
            **{one: duel["comparison"][one] for one in fields},
        }
        for duel in contest["duels"]
        if duel["comparison"] is not None
    ]
    test = {name: {one: found[one] for one in fields} for name, found in summary["difference"].items()}
    searched = summary["searched"]["structure"] != summary[HAND_DESIGNED]["structure"]
    return {
        "shipped": contest["shipped"],
        "searched": summary["searched"]["structure"],
        "duels": duels,
        "test": test if searched else {},
        "accuracy": {name: summary[name]["test"]["accuracy"]["mean"] for name in (HAND_DESIGNED, "searched")},
        "cpu_seconds": time.process_time() - started,
    }


def share(hits: int, count: int) -> str:
    """Return a share in percent with its 95 % interval (Wilson)."""
    if not count:
        return "not measured"
    low, high = stats.binomtest(hits, count).proportion_ci(method="wilson")
    return (
        f"{100 * hits / count:.0f} % ({hits} of {count}; 95 % interval {100 * low:.0f} to {100 * high:.0f})"
    )


def coverage(comparisons: Sequence[dict[str, Any]]) -> str:
    """Return how many intervals hold 0."""
    return share(sum(one["low"] <= 0 <= one["high"] for one in comparisons), len(comparisons))


def mean_difference(comparisons: Sequence[dict[str, Any]]) -> str:
    """Return the mean of the estimates with its standard error."""
    if len(comparisons) < 2:
        return "not measured"
    estimates = [one["estimate"] for one in comparisons]
    return f"{np.mean(estimates):+.2f} ± {np.std(estimates, ddof=1) / math.sqrt(len(estimates)):.2f}"


def page(records: dict[str, Any]) -> str:
    """Return the page."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for key, one in sorted(records.items()):
        groups.setdefault(tuple(key.split("/")[:2]), []).append(one)
    null = [one for (kind, _), found in groups.items() if kind == NULL for one in found]
    test = [one["test"] for one in null if one["test"]]
    duels = [duel for one in null for duel in one["duels"]]
    rows = []
    for name, found in (
        ("global − hand-designed, hold-outs", [one for one in duels if one["pair"][0] == "g"]),
        ("local − simpler, hold-outs", [one for one in duels if one["pair"][0] == "l"]),
        ("searched − hand-designed, test F1", [one["f1"] for one in test]),
        ("searched − hand-designed, test accuracy", [one["accuracy"] for one in test]),
    ):
        rows.append(f"| {name} | {coverage(found)} | {mean_difference(found)} |")
    lines = []
    for (kind, budget), found in groups.items():
        others = [one for one in found if one["shipped"] != HAND_DESIGNED]
        hits = sum(kind == NULL or one["test"]["f1"]["estimate"] > 0 for one in others)
        aim = "at most 5 %" if kind == NULL else "at least 95 %"
        gain = mean_difference([one["test"]["accuracy"] for one in others])
        cost = f"{np.mean([one['cpu_seconds'] for one in found]):.0f}"
        lines.append(f"| {TITLES[kind]} | {budget} | {share(hits, len(found))} | {aim} | {gain} | {cost} |")
    return "\n".join(
        [
            "# Searches where nothing, or something, is to be found",
            "",
            "Made by `python -m benchmarks.null_search`: pipelines (global search of rates, local search, "
            "contest, final trainings) with the default rules on synthetic data. "
            f"{BACKBONE.stages} × {BACKBONE.layers} × {BACKBONE.feature_maps}, {VIDEOS} videos, "
            f"{SEEDS} seeds.",
            "",
            "A search that pays for 24 trainings tries 12 structures, one that pays for 8 only two or three.",
            "",
            "| data | budget of the search (trainings) | share | aim | test accuracy gained where another is "
            "shipped | CPU seconds of one |",
            "| --- | --- | --- | --- | --- | --- |",
            *lines,
            "",
            "Independent frames: how many of the reported 95 % intervals hold 0 (aim: 93 to 97 %), and the "
            "mean of the estimates ± its standard error; where that is not about 0, the structures are not "
            "quite equal. Pipelines whose searches end in the hand-designed structure have no comparison.",
            "",
            "| comparison | intervals that hold 0 | mean difference |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
    )


def main() -> None:
    """Run what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--null", type=int, default=40, help="Searches on independent frames.")
    parser.add_argument("--lags", type=int, default=20, help="Searches on planted lags.")
    parser.add_argument("--budget", type=int, default=BUDGET, help="Of a search, in full trainings.")
    parser.add_argument("--page", action="store_true", help="Only write the page.")
    arguments = parser.parse_args()
    records: dict[str, Any] = json.loads(RECORDS.read_text()) if RECORDS.exists() else {}
    counts = {NULL: arguments.null, LAGS: arguments.lags}
    # In turns, so that a run that is stopped has some of both.
    wanted = [(kind, seed) for seed in range(max(counts.values())) for kind in counts if seed < counts[kind]]
    with one_thread():
        for kind, seed in [] if arguments.page else wanted:
            key = f"{kind}/{arguments.budget}/{seed}"
            if key not in records:
                records[key] = run_once(kind, arguments.budget, seed)
                write_json(RECORDS, records)
                print(key, records[key]["shipped"], f"{records[key]['cpu_seconds']:.0f} s", flush=True)
    write_text(PAGE, page(records))


if __name__ == "__main__":
    main()
