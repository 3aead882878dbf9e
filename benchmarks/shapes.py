"""Hand-designed 4×10 at its own best length against what the default search ships.

    python -m benchmarks.shapes --data-root DIR [--only gtea_scores/1/0]

A cell is a data set, a fold and a seed. Its search (`g2l search-global`, default preset) ships a structure
and a number of epochs, and reads the best length of 4×10 from the same hold-outs. Both are then trained on
all of train under a seed that the search did not use, and scored on test; 4×10 also after 50 epochs.
Each cell is saved in `shapes.json`, its search resumes from `--work`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from g2l.config import (
    FAST,
    BackboneConfig,
    CandidateCheckpoints,
    DataConfig,
    GlobalSearchConfig,
    Normalization,
    RecipeConfig,
    Selection,
)
from g2l.datasets.batching import BatchSource
from g2l.datasets.dataset import SegmentationDataset
from g2l.datasets.holdout import subjects_of
from g2l.files import write_json, write_text
from g2l.metrics.scores import MEAN_F1, VideoScores, metric_value
from g2l.metrics.video_comparison import Trainings, compare_videos
from g2l.models.registry import build_backbone
from g2l.pipeline.candidates import GlobalSearchTask
from g2l.pipeline.context import open_run
from g2l.pipeline.fitting import score_videos
from g2l.pipeline.search_global import prepare_search, search_globally
from g2l.records import EpochRecord
from g2l.seeds import SeedPlan
from g2l.structure import DilationStructure
from g2l.training.device import one_thread, seed_everything
from g2l.training.loop import fit

CELLS = Path(__file__).with_suffix(".json")
PAGE = Path(__file__).with_name("SHAPES.md")
BACKBONE, RECIPE = BackboneConfig(), RecipeConfig()
CPU = torch.device("cpu")
SEEDS = 3
HAND, USUAL, SHIPPED = "hand-designed", "hand-designed, usual epochs", "shipped"


@dataclass(frozen=True)
class Case:
    """A data set, how it is read, and the folds that are tried."""

    dataset: str
    folds: tuple[int, ...]
    role: str
    sample_rate: int = 1
    normalize: Normalization = Normalization.NONE
    subjects: str | None = None

    def names(self) -> list[str]:
        """Return the names of its cells."""
        return [f"{self.dataset}/{fold}/{seed}" for fold in self.folds for seed in range(SEEDS)]


CASES = (
    Case("gtea_scores", (1, 2, 3), "development", normalize=Normalization.VIDEO),
    Case("50salads_synth", (1, 2), "development"),
    Case("spsw_har", (1, 2), "confirmation", subjects=r"^(s\d+)_"),
    Case("finch_gy6or6", (1, 2), "confirmation"),
    Case("hmr_eye", (1, 2), "confirmation", sample_rate=4, subjects=r"^(user_\d+)_"),
    Case("apnea_ecg", (1, 2), "confirmation", sample_rate=4),
)


def search(data: DataConfig, seed: int, work: Path) -> tuple[dict[str, Any], DilationStructure]:
    """Run the default search; return what it found, and what it ships."""
    config = GlobalSearchConfig.of_preset(FAST).replace(candidate_checkpoints=CandidateCheckpoints.NONE)
    task = GlobalSearchTask(data=data, backbone=BACKBONE, recipe=RECIPE, search=config, seed=seed)
    started = time.process_time()
    with open_run(work, device="cpu", resume=True) as context:
        found = search_globally(context, prepare_search(context.data, task), on_plan=lambda _: None)
    rows = {row.structure: row for row in found.shapes}
    winner, hand = rows[found.structure], rows[found.hand_designed]
    return {
        "name": winner.name,
        "structure": winner.structure.as_lists(),
        "reason": found.reason,
        "cost": winner.cost,
        "multiply_adds": winner.multiply_adds,
        "epochs": {SHIPPED: winner.epochs, HAND: hand.epochs, USUAL: RECIPE.epochs},
        "training_equivalents": found.training_equivalents,
        "search_seconds": time.process_time() - started,
    }, found.structure


def train(
    dataset: SegmentationDataset, structure: DilationStructure, lengths: Mapping[str, int], number: int
) -> dict[str, Any]:
    """Train once on all of train; return the test scores after each of the lengths, by name."""
    seed = SeedPlan(number).final(0)
    partitions = dataset.partitions(Selection.LAST)
    dataset = dataset.standardized_on(partitions.train)
    seed_everything(seed)
    classes = len(dataset.mapping.names)
    model = build_backbone(BACKBONE, structure, feature_dim=dataset.feature_dim, num_classes=classes)
    source = BatchSource(dataset, partitions.train, batch_size=RECIPE.batch_size, seed=seed)
    recipe = RECIPE.replace(selection=Selection.LAST, epochs=max(lengths.values()))
    found: dict[str, Any] = {}
    scoring = 0.0
    started = time.process_time()

    def at_epoch(record: EpochRecord) -> None:
        nonlocal scoring
        for name, epochs in lengths.items():
            if record.epoch == epochs:
                before = time.process_time()
                videos, metrics = score_videos(model, dataset, partitions.test, CPU)
                spent = time.process_time() - before
                found[name] = {
                    "f1": metric_value(metrics, MEAN_F1),
                    "videos": {video: one.as_dict() for video, one in videos.items()},
                    "train_seconds": before - started - scoring,
                    "milliseconds": 1e6 * spent / metrics["frames"],  # per 1,000 frames
                }
                scoring += spent

    fit(model, source, recipe, seed=seed, device=CPU, on_epoch=at_epoch)
    return found


def measure(case: Case, key: str, root: Path, work: Path, cells: dict[str, Any]) -> None:
    """Search and train for a cell."""
    fold, seed = map(int, key.split("/")[1:])
    read = {"sample_rate": case.sample_rate, "normalize": case.normalize, "group_pattern": case.subjects}
    data = DataConfig(data_root=root, dataset=case.dataset, split=fold).replace(**read)
    found, shipped = search(data, seed, work / key)
    dataset = SegmentationDataset.open(data, quiet=True)
    epochs = found["epochs"]
    scores = train(dataset, BACKBONE.hand_designed(), {name: epochs[name] for name in (HAND, USUAL)}, seed)
    if shipped == BACKBONE.hand_designed():
        scores[SHIPPED] = scores[HAND]
    else:
        scores |= train(dataset, shipped, {SHIPPED: epochs[SHIPPED]}, seed)
    cells[key] = found | {"scores": scores}
    write_json(CELLS, cells)
    print(key, found["name"], *(f"{name} {one['f1']:.1f}" for name, one in scores.items()), flush=True)


def trainings(keys: Sequence[str], name: str, cells: Mapping[str, Any]) -> Trainings:
    """Return the test scores of cells, by fold and seed."""
    return {
        (fold, int(seed)): {video: VideoScores.from_dict(one) for video, one in scores["videos"].items()}
        for key in keys
        for _, fold, seed in [key.split("/")]
        for scores in [cells[key]["scores"][name]]
    }


def row(case: Case, cells: Mapping[str, Any]) -> str:
    """Return the line of a data set."""
    keys = [key for key in case.names() if key in cells]
    start = f"| {case.dataset} | {case.role} | {len(keys)} of {len(case.names())} "
    if not keys:
        return f"{start}|{' not measured |' + ' |' * 9}"

    def over(field: str, name: str) -> float:
        return fmean([cells[key]["scores"][name][field] for key in keys])

    names = sorted({video for key in keys for video in cells[key]["scores"][HAND]["videos"]})
    found = compare_videos(
        trainings(keys, SHIPPED, cells),
        trainings(keys, HAND, cells),
        subjects=subjects_of(names, case.subjects),
        margin=GlobalSearchConfig().margin,
    )
    f1 = " | ".join(f"{over('f1', name):.1f}" for name in (USUAL, HAND, SHIPPED))
    shipped = ", ".join(dict.fromkeys(cells[key]["name"] for key in keys))
    train_seconds = " → ".join(f"{over('train_seconds', name):.0f}" for name in (HAND, SHIPPED))
    latency = " → ".join(f"{over('milliseconds', name):.0f}" for name in (HAND, SHIPPED))
    fields = ("cost", "training_equivalents", "search_seconds")
    cost, equivalents, seconds = (fmean([cells[key][field] for key in keys]) for field in fields)
    return (
        f"{start}| {f1} | {shipped} | {found.words()} | {cost:.2f} | {train_seconds} | {latency} "
        f"| {equivalents:.1f} | {seconds:.0f} |"
    )


def page(cells: Mapping[str, Any]) -> str:
    """Return the page."""
    return "\n".join(
        [
            "# What the default search ships, against 4×10 at its own best length",
            "",
            "Made by `python -m benchmarks.shapes`. MS-TCN with 64 maps, batch 4, Adam 5e-4, one CPU thread. "
            "Mean test F1@{10,25,50} in percent, all of train, the number of epochs chosen on hold-outs for "
            f"each structure; beside it 4×10 after {RECIPE.epochs} epochs. *n* counts pairs of fold and "
            "seed, each with its own search. The difference is shipped minus 4×10, paired over folds, "
            "seeds and videos. Multiply-adds are relative to 4×10. Seconds are CPU seconds; a search counts "
            "in trainings of 4×10, as it charges them, and in CPU seconds.",
            "",
            f"| data set | role | n | 4×10, {RECIPE.epochs} epochs | 4×10 | shipped | shape | difference "
            "| multiply-adds | training (s) | 1,000 frames (ms) | search (trainings) | search (s) |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            *(row(case, cells) for case in CASES),
            "",
            "Every cell:",
            "",
            "| cell | shape | epochs 4×10 → shipped | F1 4×10 → shipped | reason of the search |",
            "| --- | --- | --- | --- | --- |",
            *(
                f"| {key} | {one['name']} | {one['epochs'][HAND]} → {one['epochs'][SHIPPED]} "
                f"| {one['scores'][HAND]['f1']:.1f} → {one['scores'][SHIPPED]['f1']:.1f} | {one['reason']} |"
                for key, one in sorted(cells.items())
            ),
            "",
        ]
    )


def main() -> None:
    """Measure what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-shapes"))
    parser.add_argument("--only", default="", help="Only cells whose name starts with this.")
    parser.add_argument("--page", action="store_true", help="Only write the page.")
    arguments = parser.parse_args()
    cells: dict[str, Any] = json.loads(CELLS.read_text()) if CELLS.exists() else {}
    with one_thread():
        for case in () if arguments.page else CASES:
            for key in case.names():
                if key.startswith(arguments.only) and key not in cells:
                    measure(case, key, arguments.data_root, arguments.work, cells)
    write_text(PAGE, page(cells))


if __name__ == "__main__":
    main()
