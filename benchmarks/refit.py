"""What a hold-out in the final training costs, and what refitting gives: `python -m benchmarks.refit`.

Three ways to train the hand-designed structure on one fold, from two trainings for each seed:

- **old**: a part of train is held out, the weights of its best epoch are kept (`--refit false`),
- **refit**: the hold-out only chooses the number of epochs (the mean curve of all seeds, smoothed), the
  network is trained on all of train for that long (the default),
- **all**: all of train, for all epochs, last weights (`--selection last`).

Trainings on all of train for 30 and for 50 epochs share their first 30, so one training gives both. Each
cell is saved in `refit.json`; a run that was stopped continues. `--page` only writes the page.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from g2l.config import BackboneConfig, DataConfig, RecipeConfig, Selection
from g2l.datasets.batching import BatchSource
from g2l.datasets.dataset import SegmentationDataset
from g2l.datasets.holdout import subjects_of
from g2l.files import write_json, write_text
from g2l.metrics.length import best_length
from g2l.metrics.scores import MEAN_F1, SegmentationMetrics, VideoScores, metric_value
from g2l.metrics.video_comparison import Trainings, compare_videos
from g2l.models.registry import build_backbone
from g2l.records import EpochRecord
from g2l.seeds import SeedPlan
from g2l.training.device import one_thread, seed_everything
from g2l.training.evaluate import evaluate_model, predict_labels
from g2l.training.loop import fit

CELLS = Path(__file__).with_suffix(".json")
PAGE = Path(__file__).with_name("REFIT.md")
BACKBONE = BackboneConfig(stages=2, layers=8, feature_maps=32)
CPU = torch.device("cpu")
SEEDS = 3
WAYS = ("old", "refit", "all")
PLAN = SeedPlan(0)


@dataclass(frozen=True)
class Case:
    """A data set and the folds of it that are tried."""

    dataset: str
    folds: tuple[int, ...]
    epochs: int
    sample_rate: int = 1
    subjects: str | None = None


CASES = (
    Case("gtea_scores", (1, 2, 3), 100),
    Case("50salads_synth", (1, 2), 50, sample_rate=4),
    Case("spsw_har", (1, 2), 30, sample_rate=4, subjects=r"^(s\d+)_"),
)


def config_of(case: Case, fold: int, root: Path) -> DataConfig:
    """Return how a fold is read."""
    return DataConfig(
        data_root=root,
        dataset=case.dataset,
        split=fold,
        sample_rate=case.sample_rate,
        group_pattern=case.subjects,
    )


def train(
    dataset: SegmentationDataset, recipe: RecipeConfig, number: int, early: int | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train once and return the scores on test, and those after `early` epochs.

    With a hold-out, the scores are those of the weights of the best epoch, and the curve is returned, too.
    """
    holds_out = recipe.selection is Selection.BEST
    partitions = dataset.partitions(recipe.selection, number)
    dataset = dataset.standardized_on(partitions.train)
    seed = PLAN.selection(number) if holds_out else PLAN.final(number)
    seed_everything(seed)
    classes = len(dataset.mapping.names)
    model = build_backbone(
        BACKBONE, BACKBONE.hand_designed(), feature_dim=dataset.feature_dim, num_classes=classes
    )
    source = BatchSource(dataset, partitions.train, batch_size=recipe.batch_size, seed=seed)

    def score(epochs: int, curve: list[float]) -> dict[str, Any]:
        scored = SegmentationMetrics(background=dataset.background_indices)
        videos = {
            name: scored.update(
                predict_labels(model, dataset, name, CPU), dataset.ground_truth(name)
            ).as_dict()
            for name in partitions.test
        }
        f1 = metric_value(scored.compute(), MEAN_F1)
        return {"epochs": epochs, "curve": curve, "f1": f1, "train": len(partitions.train), "videos": videos}

    stopped: dict[str, Any] = {}

    def at_epoch(record: EpochRecord) -> None:
        if record.epoch == early:
            stopped.update(score(record.epoch, []))

    trained = fit(
        model,
        source,
        recipe,
        seed=seed,
        device=CPU,
        evaluate=(lambda network: evaluate_model(network, dataset, partitions.holdout, device=CPU))
        if holds_out
        else None,
        on_epoch=at_epoch,
    )
    curve = [metric_value(one.metrics, MEAN_F1) for one in trained.history] if holds_out else []
    return score(trained.best_epoch, curve), stopped


def measure(case: Case, fold: int, root: Path, cells: dict[str, Any]) -> None:
    """Train what is missing of one fold."""
    dataset = SegmentationDataset.open(config_of(case, fold, root), quiet=True)

    prefix, recipe = f"{case.dataset}/{fold}", RecipeConfig(epochs=case.epochs)
    for number in range(SEEDS):
        if f"{prefix}/old/{number}" not in cells:
            cells[f"{prefix}/old/{number}"], _ = train(dataset, recipe, number)
            write_json(CELLS, cells)
    epochs = best_length([cells[f"{prefix}/old/{number}"]["curve"] for number in range(SEEDS)])
    last = recipe.replace(selection=Selection.LAST)
    for number in range(SEEDS):
        if f"{prefix}/all/{number}" not in cells:
            whole, early = train(dataset, last, number, epochs)
            cells |= {f"{prefix}/all/{number}": whole, f"{prefix}/refit/{number}": early}
            write_json(CELLS, cells)
        print(prefix, number, *(f"{cells[f'{prefix}/{way}/{number}']['f1']:.1f}" for way in WAYS), flush=True)


def trainings(case: Case, way: str, cells: dict[str, Any]) -> Trainings:
    """Return the test scores of all folds that are complete."""
    return {
        (fold, number): {name: VideoScores.from_dict(one) for name, one in cell["videos"].items()}
        for fold in complete(case, cells)
        for number in range(SEEDS)
        for cell in [cells[f"{case.dataset}/{fold}/{way}/{number}"]]
    }


def complete(case: Case, cells: dict[str, Any]) -> list[int]:
    """Return the folds with all trainings."""
    keys = [f"{way}/{number}" for way in WAYS for number in range(SEEDS)]
    return [f for f in case.folds if all(f"{case.dataset}/{f}/{key}" in cells for key in keys)]


def page(cells: dict[str, Any]) -> str:
    """Return the page of all complete folds."""
    rows, details = [], []
    for case in CASES:
        folds = complete(case, cells)
        if not folds:
            rows.append(f"| {case.dataset} | not measured | | | | | |")
            continue
        found = {way: trainings(case, way, cells) for way in WAYS}
        names = sorted({name for videos in found["all"].values() for name in videos})
        subjects = subjects_of(names, case.subjects)
        against = {
            other: compare_videos(found["refit"], found[other], subjects=subjects).words()
            for other in ("old", "all")
        }
        means = {}
        for way in found:
            scores = [
                cells[f"{case.dataset}/{fold}/{way}/{number}"]["f1"]
                for fold in folds
                for number in range(SEEDS)
            ]
            means[way] = sum(scores) / len(scores)
        rows.append(
            f"| {case.dataset} | {', '.join(map(str, folds))} | {means['old']:.1f} | {means['refit']:.1f} "
            f"| {means['all']:.1f} | {against['old']} | {against['all']} |"
        )
        for fold in folds:
            prefix = f"{case.dataset}/{fold}"
            each = {
                way: " ".join(f"{cells[f'{prefix}/{way}/{number}']['f1']:.1f}" for number in range(SEEDS))
                for way in found
            }
            refit = cells[f"{prefix}/refit/0"]
            details.append(
                f"| {case.dataset} | {fold} | {cells[f'{prefix}/old/0']['train']} of {refit['train']} "
                f"| {refit['epochs']} of {case.epochs} "
                f"| {each['old']} | {each['refit']} | {each['all']} |"
            )
    size = f"{BACKBONE.stages} × {BACKBONE.layers} × {BACKBONE.feature_maps}"
    return "\n".join(
        [
            "# What refitting on all of train gives",
            "",
            f"Made by `python -m benchmarks.refit`. MS-TCN {size}, hand-designed rates, batch 4, "
            f"Adam 5e-4, {SEEDS} seeds. Mean test F1@{{10,25,50}} in percent. *old*: a hold-out is kept out "
            "of the final training; *refit*: it only chooses the number of epochs; *all*: all of train, "
            "all epochs, last weights. Differences are refit minus the other, over folds, seeds and "
            "videos (95 % interval).",
            "",
            "| data set | folds | old | refit | all | refit against old | refit against all |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *rows,
            "",
            "Each seed:",
            "",
            "| data set | fold | videos with hold-out | epochs chosen | old | refit | all |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *details,
            "",
            "The hold-outs rotate with the seed. The old way and the other two use different seeds "
            "(`g2l/seeds.py`), so they are paired by video, not by seed.",
            "",
        ]
    )


def main() -> None:
    """Measure what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--page", action="store_true", help="Only write the page.")
    arguments = parser.parse_args()
    cells: dict[str, Any] = json.loads(CELLS.read_text()) if CELLS.exists() else {}
    if not arguments.page:
        with one_thread():
            for case in CASES:
                for fold in case.folds:
                    measure(case, fold, arguments.data_root, cells)
    write_text(PAGE, page(cells))


if __name__ == "__main__":
    main()
