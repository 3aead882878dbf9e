"""How much context three real data sets need, and what asking costs: `python -m benchmarks.context`.

Each case is one `g2l context`. Its records are kept in `context.json`, its trainings in `--work`; a run that
was stopped continues. The data sets are confirmation sets: the ranges that are expected come from windows of
a ridge classifier in their README, the settings from the cost alone. `--page` only writes the page.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from g2l.config import BackboneConfig, Budget, DataConfig, Normalization, RecipeConfig, Selection
from g2l.datasets.batching import BatchSource
from g2l.datasets.dataset import SegmentationDataset
from g2l.files import write_json, write_text
from g2l.metrics.length import smoothed
from g2l.metrics.scores import metric_value
from g2l.models.registry import build_backbone
from g2l.pipeline.context import open_run
from g2l.pipeline.context_curve import ContextTask, measure_context, structures_of
from g2l.records import EPOCHS, EpochRecord, read_records
from g2l.training.device import one_thread, resolve_device
from g2l.training.loop import fit

RECORDS = Path(__file__).with_suffix(".json")
PAGE = Path(__file__).with_name("CONTEXT.md")
LIMIT = 30.0
"""CPU minutes: 15 minutes on 2 cores."""
CHEAP = RecipeConfig(epochs=60, batch_size=1)
MAPS = 32


@dataclass(frozen=True)
class Case:
    """A data set as it is read, and the receptive fields in samples that are expected to be best."""

    dataset: str
    sample_rate: int
    low: float
    high: float
    subjects: str | None = None
    normalize: Normalization = Normalization.NONE

    @property
    def key(self) -> str:
        """Name in the records."""
        return f"{self.dataset}/{self.sample_rate}"


CASES = (
    Case("finch_gy6or6", 1, 1, 511),
    Case("hmr_eye", 4, 127, 2047, r"^(user_\d+)_"),
    Case("apnea_ecg", 4, 2047, math.inf, normalize=Normalization.TRAIN),
)


def task_of(case: Case, root: Path, *, cheap: bool) -> ContextTask:
    """Return the measurement with the default settings, or those that were run."""
    data = DataConfig(
        data_root=root,
        dataset=case.dataset,
        sample_rate=case.sample_rate,
        group_pattern=case.subjects,
        normalize=case.normalize,
    )
    if not cheap:
        return ContextTask(data=data, backbone=BackboneConfig(), recipe=RecipeConfig())
    return ContextTask(data=data, backbone=BackboneConfig(feature_maps=MAPS), recipe=CHEAP)


def default_minutes(task: ContextTask) -> float:
    """Return the CPU minutes of a measurement, from the second of two steps of its middle network."""
    dataset = SegmentationDataset.open(task.data, quiet=True)
    partitions = dataset.partitions(Selection.BEST)
    dataset = dataset.standardized_on(partitions.train)
    structures = structures_of(task, dataset.longest(partitions.train))
    model = build_backbone(
        task.backbone,
        structures[len(structures) // 2],
        feature_dim=dataset.feature_dim,
        num_classes=len(dataset.mapping.names),
    )
    source = BatchSource(dataset, partitions.train, batch_size=task.recipe.batch_size, seed=0)
    recipe = task.recipe.replace(selection=Selection.LAST)
    spent = []
    for steps in (1, 2):
        started = time.process_time()
        fit(model, source, recipe, seed=0, device=resolve_device("cpu"), budget=Budget(steps, "steps"))
        spent.append(time.process_time() - started)
    step = spent[1] / 2
    # A forward pass of a held-out video costs a third of a step of it.
    epoch = step * (len(source) + len(partitions.holdout) / task.recipe.batch_size / 3)
    return epoch * task.recipe.epochs * len(structures) * task.repeats / 60


def measure(case: Case, root: Path, work: Path, records: dict[str, Any]) -> None:
    """Measure what is missing of one case; CPU seconds add up over the runs that it took."""
    record = records[case.key]
    if "words" in record:
        return
    started = time.process_time()
    try:
        with open_run(work / case.key, device="cpu", resume=True) as context:
            curve, suggested = measure_context(context, task_of(case, root, cheap=True))
        record |= {
            "points": [asdict(point) for point in curve.points],
            "rises": [rise(work / case.key / f"field-{point.frames}") for point in curve.points],
            "error": curve.error,
            "needed": curve.needed,
            "words": curve.words(),
            "suggested": suggested.shape,
        }
    finally:
        record["cpu_seconds"] += time.process_time() - started
        write_json(RECORDS, records)
    print(case.key, record["words"], f"{record['cpu_seconds'] / 60:.1f} CPU min", flush=True)


def rise(folder: Path) -> float:
    """Return what the smoothed F1 of a receptive field gains in the last third of its epochs."""
    gains = []
    for log in sorted(folder.glob(f"repeat-*/{EPOCHS}")):
        epochs = read_records(log, EpochRecord)
        curve = smoothed([metric_value(epoch.metrics, "f1") for epoch in epochs])
        gains.append(curve[-1] - curve[len(curve) * 2 // 3 - 1])
    return fmean(gains)


def row(case: Case, record: dict[str, Any]) -> str:
    """Return the line of a case."""
    expected = f"{case.low:,} to {case.high:,}" if case.low > 1 else f"at most {case.high:,}"
    if math.isinf(case.high):
        expected = f"at least {case.low:,}"
    start = f"| {case.dataset} | {case.sample_rate} | {expected} "
    cost = f"| {record['default_minutes']:.0f} |" if "default_minutes" in record else "| |"
    if "words" not in record:
        return f"{start}| not measured | | | {cost}"
    points = record["points"]
    samples = [point["frames"] * case.sample_rate for point in points]
    best = max(range(len(points)), key=lambda index: points[index]["scores"]["f1"])
    found = [
        f"{samples[index]:,} ({'as expected' if case.low <= samples[index] <= case.high else 'otherwise'})"
        for index in (best, record["needed"])
    ]
    curve = " · ".join(
        f"{size:,}: {point['scores']['f1']:.1f} ({gain:+.1f})"
        for size, point, gain in zip(samples, points, record["rises"], strict=True)
    )
    for verdict in ("Undecided", "Nothing was learnt"):
        if record["words"].startswith(verdict):
            found = ["–", verdict.lower()]
    minutes = record["cpu_seconds"] / 60
    return f"{start}| {curve} (± {record['error']:.1f}) | {found[0]} | {found[1]} | {minutes:.0f} {cost}"


def page(records: dict[str, Any], cases: Sequence[Case] = CASES) -> str:
    """Return the page."""
    words = [
        f"- `{case.dataset}`, every {case.sample_rate}. frame: {records[case.key]['words']}"
        if case.sample_rate > 1
        else f"- `{case.dataset}`: {records[case.key]['words']}"
        for case in cases
        if "words" in records.get(case.key, {})
    ]
    return "\n".join(
        [
            "# How much context the data need",
            "",
            "Made by `python -m benchmarks.context`: `g2l context` with defaults on fold 1, one CPU thread. "
            "Receptive fields are in samples of the file. In brackets: what F1 gained in the last third of "
            "the epochs; a network that still gains is not trained to its end, and its score says little of "
            "the context. The interval is that of a difference (90 %). *Needed* is the smallest receptive "
            f"field whose loss is within it. CPU minutes should be at most {LIMIT:.0f} (15 minutes on 2 "
            "cores). The last column is the estimate for networks of "
            "the size and length of `g2l train` (64 maps, 50 epochs, batch 4), from two of their steps. The "
            "expected range is that of a ridge classifier on windows; the limit for finch was 127 before "
            "partial results were seen. Earlier runs on these sets had 15 epochs, and then as many as a "
            "network still gained from, at most 60: small receptive fields were not trained to their end. So "
            "the default became 60 epochs, and receptive fields that are shown to be worse were left out "
            "of the noise. `finch_gy6or6` was not measured again: its row is of the run before, in which "
            "large receptive fields trained for 15 or 30 epochs. `apnea_ecg` is standardised: its channels "
            "have different units.",
            "",
            "| data set | every n-th frame | expected | hold-out F1 by receptive field | best | needed "
            "| CPU minutes | at full size |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
            *(row(case, records.get(case.key, {})) for case in cases),
            "",
            "What the command prints:",
            "",
            *words,
            "",
        ]
    )


def main() -> None:
    """Measure what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-context"))
    parser.add_argument("--cases", type=int, default=len(CASES), help="Only the first cases.")
    parser.add_argument("--page", action="store_true", help="Only write the page.")
    arguments = parser.parse_args()
    records: dict[str, Any] = json.loads(RECORDS.read_text()) if RECORDS.exists() else {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the CPU time is kept
    if not arguments.page:
        with one_thread():
            for case in CASES:
                if case.key not in records:
                    minutes = default_minutes(task_of(case, arguments.data_root, cheap=False))
                    records[case.key] = {"cpu_seconds": 0.0, "default_minutes": minutes}
                    write_json(RECORDS, records)
            for case in CASES[: arguments.cases]:
                measure(case, arguments.data_root, arguments.work, records)
                write_text(PAGE, page(records))
    write_text(PAGE, page(records))


if __name__ == "__main__":
    main()
