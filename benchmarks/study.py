"""Evidence on eight data sets: every way to a network, by the same recipe, with what it costs.

    python -m benchmarks.study --data-root DIR [--work DIR] [--only gtea_scores/1/0] [--page]

A cell is a data set, a fold, a seed and a method. It runs the commands a user would run, in a folder of its
own below `--work`; they go on where they were stopped. All methods train on all of train, for the number of
epochs that a hold-out chooses, hand-designed networks included, and are scored on test. Each finished cell
is a line of `study.jsonl`; `--page` only writes `STUDY.md` from these lines. Several processes may share the
file as long as `--only` keeps them apart.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression

from g2l.config import BackboneConfig, DataConfig, GlobalSearchConfig, Normalization, Selection
from g2l.datasets.dataset import SegmentationDataset
from g2l.datasets.holdout import subjects_of
from g2l.figures.style import BLUE, GREY, ORANGE, canvas, legend_below, save_figure, styled
from g2l.figures.style import PAGE as WIDTH
from g2l.files import write_text
from g2l.metrics.comparison import Comparison
from g2l.metrics.scores import MEAN_F1, SegmentationMetrics, VideoScores, metric_value
from g2l.metrics.video_comparison import Trainings, compare_videos
from g2l.models.size import network_size
from g2l.structure import DilationStructure

CELLS = Path(__file__).with_suffix(".jsonl")
PAGE = Path(__file__).with_name("STUDY.md")
FIGURE = Path(__file__).parents[1] / "docs" / "figures" / "study.svg"
CHECKOUT = Path(__file__).parents[1]
SEEDS = 3
MARGIN = GlobalSearchConfig().margin
BUDGET = 5
HAND, SEARCH, FLOOR = "4×10", "default search", "frame classifier and Viterbi"


@dataclass(frozen=True)
class Case:
    """A data set, how it is read and trained on, and what was known of it beforehand."""

    dataset: str
    folds: tuple[int, ...]
    role: str
    epochs: int
    feature_maps: int = 32
    sample_rate: int = 1
    normalize: Normalization = Normalization.NONE
    subjects: str | None = None
    background: str | None = None
    synthetic: tuple[str, ...] = ()

    def data(self, root: Path, fold: int) -> DataConfig:
        """Return how a fold is read."""
        config = DataConfig(data_root=root, dataset=self.dataset, split=fold)
        given: dict[str, Any] = {"sample_rate": self.sample_rate, "normalize": self.normalize}
        if self.subjects is not None:
            given["group_pattern"] = self.subjects
        if self.background is not None:
            given["background"] = (self.background,)
        return config.replace(**given)

    def options(self, root: Path, fold: int) -> list[str]:
        """Return the same, and the width of the networks, as options of the command line."""
        options = ["--data-root", str(root), "--dataset", self.dataset, "--split", str(fold)]
        options += ["--sample-rate", str(self.sample_rate), "--normalize", str(self.normalize)]
        options += [] if self.subjects is None else ["--group-pattern", self.subjects]
        options += [] if self.background is None else ["--background", self.background]
        return [*options, "--feature-maps", str(self.feature_maps)]


CASES = (
    Case("gtea_scores", (1, 2, 3), "development", epochs=50, feature_maps=64, normalize=Normalization.VIDEO),
    Case("50salads_synth", (1, 2), "development", epochs=40, sample_rate=4),
    Case("kitchen", (1, 2), "development", epochs=40, synthetic=("--kind", "kitchen", "--videos", "40")),
    Case("lags", (1, 2), "development", epochs=40, synthetic=("--kind", "lags", "--lags", "23,41")),
    Case("spsw_har", (1, 2), "confirmation", epochs=20, sample_rate=4, subjects=r"^(s\d+)_"),
    Case("finch_gy6or6", (1, 2), "confirmation", epochs=20, sample_rate=4, background="silence"),
    Case("hmr_eye", (1, 2), "confirmation", epochs=25, sample_rate=16, subjects=r"^(user_\d+)_"),
    Case(
        "apnea_ecg",
        (1, 2),
        "confirmation",
        epochs=20,
        sample_rate=16,
        normalize=Normalization.TRAIN,  # beats per minute beside ratios
    ),
)

RATES = ["--space", "rates", "--holdouts", "1", "--leaders", "0", "--population", "6", "--generations", "2"]


@dataclass(frozen=True)
class Method:
    """A way to a network: how its structure is found, and how it is trained.

    Attributes:
        name: As on the page.
        tier: The lowest are measured first.
        search: Command that leaves a structure.json, with its options; empty without a search.
        train: Options of the training.
        backbone: See there.
    """

    name: str
    tier: int
    search: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    backbone: str = "ms-tcn"


METHODS = (
    Method(FLOOR, 1),
    Method(HAND, 1, train=("--hand-designed",)),
    Method(SEARCH, 1, search=("search-global", "--budget", str(BUDGET))),
    Method("4×10, all epochs", 2, train=("--hand-designed", "--selection", "last")),
    Method("MS-TCN++", 2, train=("--hand-designed",), backbone="ms-tcn++"),
    Method("local search", 2, search=("search-local", "--hand-designed")),
    Method("genetic search of rates", 3, search=("search-global", "--budget", str(BUDGET), *RATES)),
    Method(
        "random search of rates",
        3,
        search=("search-global", "--budget", str(BUDGET), *RATES[:6], "--strategy", "random"),
    ),
    Method("ASFormer", 3, train=("--hand-designed",), backbone="asformer"),
)


def g2l(work: Path, command: str, *options: str) -> float:
    """Run a command, or go on with it; return its CPU seconds."""
    work.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": str(CHECKOUT),
        "OMP_NUM_THREADS": "1",
        "MLFLOW_TRACKING_URI": f"sqlite:///{work.parent.absolute()}/mlflow.db",
    }
    folder = work / command
    arguments = [command, *options, "--device", "cpu", "--quiet", "--output-dir", str(folder.absolute())]
    arguments += ["--resume"] if (folder / "run.json").exists() else []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "cli", *arguments], cwd=work, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(case: Case, fold: int, seed: int, method: Method, root: Path, work: Path) -> dict[str, Any]:
    """Return the cell of a network: its test scores, size and cost."""
    common = [*case.options(root, fold), "--seed", str(seed), "--backbone", method.backbone]
    cell: dict[str, Any] = {}
    train = list(method.train)
    if method.search:
        command, *options = method.search
        cell["search_seconds"] = g2l(work, command, *options, *common, "--epochs", str(case.epochs))
        found = json.loads((work / command / "result.json").read_text())
        for name in ("reason", "steps", "full_steps"):
            cell[name] = found.get(name)
        file = work / command / "structure.json"
        hand = read_cells().get(f"{case.dataset}/{fold}/{seed}/{HAND}")
        if hand is not None and json.loads(file.read_text())["stages"] == hand["structure"]:
            return hand | cell  # the same training, bit for bit
        train = ["--structure", str(file.absolute())]
    epochs = case.epochs if "last" in train else 2 * case.epochs
    cell["train_seconds"] = g2l(work, "train", *train, *common, "--seeds", "1", "--epochs", str(epochs))
    result = json.loads((work / "train" / "seed-0" / "result.json").read_text())
    settings = json.loads((work / "train" / "run.json").read_text())["settings"]
    history = [json.loads(line) for line in (work / "train" / "seed-0" / "epochs.jsonl").open()]
    dataset = SegmentationDataset.open(case.data(root, fold), quiet=True)
    backbone = BackboneConfig(name=method.backbone, feature_maps=case.feature_maps)
    structure = DilationStructure(tuple(map(tuple, settings["structure"])))
    size = network_size(
        backbone, structure, feature_dim=dataset.feature_dim, num_classes=len(dataset.mapping.names)
    )
    return cell | {
        "structure": structure.as_lists(),
        "receptive_field": backbone.topology.receptive_field(structure).frames * case.sample_rate,
        "multiply_adds": size.multiply_adds,
        "parameters": size.parameters,
        "epochs": len(history),
        "final_seconds": sum(epoch["seconds"] for epoch in history),
        "test": result["test"],
        "videos": result["test_videos"],
    }


def floor(case: Case, fold: int, root: Path) -> dict[str, Any]:
    """Return the cell of a linear classifier of single frames, its labels smoothed by the Viterbi algorithm.

    Transitions are those of train, counted with one more of each. Probabilities are divided by the frequency
    of their class.
    """
    dataset = SegmentationDataset.open(case.data(root, fold), quiet=True)
    partitions = dataset.partitions(Selection.LAST)
    dataset = dataset.standardized_on(partitions.train)
    videos = [dataset.load(name) for name in partitions.train]
    features = np.concatenate([video.features for video in videos], axis=1).T
    targets = np.concatenate([video.targets for video in videos])
    center, scale = features.mean(0), features.std(0) + 1e-6
    chosen = np.random.default_rng(0).permutation(len(targets))[:20_000]
    classifier = LogisticRegression(max_iter=300)
    classifier.fit((features[chosen] - center) / scale, targets[chosen])
    classes = len(dataset.mapping.names)
    counts = np.ones((classes, classes))
    for video in videos:
        np.add.at(counts, (video.targets[:-1], video.targets[1:]), 1)
    transitions = np.log(counts / counts.sum(1, keepdims=True))
    prior = np.log(np.bincount(targets, minlength=classes) + 1.0) - np.log(len(targets))
    metrics = SegmentationMetrics(background=dataset.background_indices)
    scores = {}
    for name in partitions.test:
        frames = (dataset.load(name).features.T - center) / scale
        emissions = np.full((len(frames), classes), -30.0)
        emissions[:, classifier.classes_] = classifier.predict_log_proba(frames)
        labels = viterbi(emissions - prior, transitions)
        truth = dataset.ground_truth(name)
        scores[name] = metrics.update(np.repeat(labels, case.sample_rate)[: len(truth)], truth).as_dict()
    return {"test": metrics.compute(), "videos": scores}


def viterbi(emissions: np.ndarray, transitions: np.ndarray) -> np.ndarray:
    """Return the likeliest labels, (T,), from log-likelihoods (T, C) and log-transitions (C, C)."""
    best, pointers = emissions[0], np.zeros(emissions.shape, dtype=np.int64)
    for frame in range(1, len(emissions)):
        through = best[:, None] + transitions
        pointers[frame] = through.argmax(0)
        best = through.max(0) + emissions[frame]
    labels = np.empty(len(emissions), dtype=np.int64)
    labels[-1] = best.argmax()
    for frame in range(len(emissions) - 1, 0, -1):
        labels[frame - 1] = pointers[frame, labels[frame]]
    return labels


def read_cells() -> dict[str, dict[str, Any]]:
    """Return the cells that were measured, by name."""
    lines = CELLS.read_text().splitlines() if CELLS.exists() else []
    return {cell["name"]: cell for cell in map(json.loads, lines)}


def trainings(
    names: Sequence[tuple[int, int]], prefix: str, method: str, cells: Mapping[str, Any]
) -> Trainings:
    """Return test scores by fold and seed."""
    return {
        (fold, seed): {
            video: VideoScores.from_dict(one)
            for video, one in cells[f"{prefix}/{fold}/{seed}/{method}"]["videos"].items()
        }
        for fold, seed in names
    }


@dataclass(frozen=True)
class Against:
    """A method on a data set beside 4×10, on the folds and seeds where both were measured."""

    ours: Sequence[Mapping[str, Any]]
    hand: Sequence[Mapping[str, Any]]
    difference: Comparison

    def mean(self, field: str, *, hand: bool = False) -> float:
        """Return the mean of a number of the cells, or of a test score; `f1` is the mean of three."""
        cells = self.hand if hand else self.ours
        if field == MEAN_F1:
            return fmean(metric_value(cell["test"], MEAN_F1) for cell in cells)
        return fmean(cell["test"][field] if field in cell["test"] else cell[field] for cell in cells)

    def ratio(self, field: str) -> float:
        """Return a mean relative to that of 4×10."""
        return self.mean(field) / self.mean(field, hand=True)


def against(case: Case, method: str, cells: Mapping[str, Any]) -> Against | None:
    """Compare a method with 4×10; None where there is nothing to compare."""
    pairs = [
        (fold, seed)
        for fold in case.folds
        for seed in range(SEEDS)
        if all(f"{case.dataset}/{fold}/{seed}/{name}" in cells for name in (method, HAND))
    ]
    if not pairs:
        return None
    ours, hand = (
        [cells[f"{case.dataset}/{fold}/{seed}/{name}"] for fold, seed in pairs] for name in (method, HAND)
    )
    subjects = subjects_of(sorted({video for cell in hand for video in cell["videos"]}), case.subjects)
    sides = (trainings(pairs, case.dataset, name, cells) for name in (method, HAND))
    return Against(ours, hand, compare_videos(*sides, subjects=subjects, margin=MARGIN))


def row(case: Case, method: Method, cells: Mapping[str, Any]) -> str | None:
    """Return the line of a method on a data set, against 4×10 on the same folds and seeds."""
    found = against(case, method.name, cells)
    if found is None:
        return None
    scores = " | ".join(f"{found.mean(metric):.1f}" for metric in (MEAN_F1, "edit", "accuracy"))
    difference = "–" if method.name == HAND else found.difference.words()
    start = f"| {case.dataset} | {method.name} | {len(found.ours)} | {scores} | {difference} "
    if method.name == FLOOR:
        return f"{start}| | | | | |"
    searches = [cell["steps"] / cell["full_steps"] for cell in found.ours if cell.get("full_steps")]
    search = f"{fmean(searches):.1f}" if searches else ""
    epochs = ", ".join(str(cell["epochs"]) for cell in found.ours)
    return (
        f"{start}| {found.ratio('multiply_adds'):.2f} | {found.ratio('parameters'):.2f} | {epochs} "
        f"| {found.mean('final_seconds'):.0f} | {search} |"
    )


def summary(case: Case, cells: Mapping[str, Any]) -> str | None:
    """Return the line of a data set in the short table: 4×10 and what the default search shipped."""
    found = against(case, SEARCH, cells)
    if found is None:
        return None
    one = found.difference
    interval = "" if one.low is None or one.high is None else f" ({one.low:+.1f} to {one.high:+.1f})"
    scores = f"{found.mean(MEAN_F1, hand=True):.1f} | {found.mean(MEAN_F1):.1f}"
    return (
        f"| {case.dataset} | {len(found.ours)} | {scores} | {one.estimate:+.1f}{interval} "
        f"| {found.ratio('multiply_adds'):.2f} |"
    )


@styled
def draw(cells: Mapping[str, Any]) -> Figure:
    """Return test F1 against multiply-adds: from 4×10 to what the default search shipped, per data set."""
    shown = [(case, one) for case in CASES if (one := against(case, SEARCH, cells)) is not None]
    figure, grid = canvas(WIDTH, 1.7 * -(-len(shown) // 4), rows=-(-len(shown) // 4), columns=4, sharex=True)
    for axes, (case, one) in zip(grid.flat, shown, strict=False):
        start, end = one.mean(MEAN_F1, hand=True), one.mean(MEAN_F1)
        cost, found = one.ratio("multiply_adds"), one.difference
        low, high = (found.estimate if limit is None else limit for limit in (found.low, found.high))
        bars = [[max(0.0, found.estimate - low)], [max(0.0, high - found.estimate)]]
        axes.annotate("", (cost, end), (1, start), arrowprops={"arrowstyle": "->", "color": GREY})
        axes.plot(1, start, "s", color=BLUE, label="4×10, hand-designed")
        axes.errorbar(cost, end, yerr=bars, fmt="o", color=ORANGE, label="shipped by the default search")
        axes.set_title(f"{case.dataset} (n = {len(one.ours)})")
        axes.set_xlim(0, 1.15)
        axes.margins(y=0.3)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    for axes in grid.flat[max(0, len(shown) - 4) : len(shown)]:
        axes.set_xlabel("multiply-adds / 4×10", fontsize=7)
    for axes in grid[:, 0]:
        axes.set_ylabel("test F1 (%)")
    legend_below(figure)
    return figure


def page(cells: Mapping[str, Any]) -> str:
    """Return the page."""
    rows = [row(case, method, cells) for case in CASES for method in METHODS]
    wanted = len([1 for case in CASES for _ in case.folds]) * SEEDS
    return "\n".join(
        [
            "# Networks by search and by hand on eight data sets",
            "",
            "Made by `python -m benchmarks.study` from `study.jsonl`. Mean test scores in percent; F1 is the "
            "mean of F1@10, 25 and 50. Every network is trained on all of train, for the number of epochs "
            "that a hold-out chooses where nothing else is said, batch 4, Adam 5e-4, one CPU thread; *n* "
            "counts pairs of fold and seed, each with its own search. Differences are to 4×10 on the same "
            f"folds and seeds, paired by video (95 % interval; margin {MARGIN} points). Multiply-adds and "
            "parameters are relative to 4×10. Seconds are those of one final training, beside other work on "
            "the machine, so they are only rough. A search counts in full trainings of 4×10.",
            "",
            "![Test F1 against multiply-adds, 4×10 and shipped](../docs/figures/study.svg)",
            "",
            "| data set | n | F1 of 4×10 | F1 of the shipped network | difference (95 % interval) "
            "| multiply-adds |",
            "| --- | --- | --- | --- | --- | --- |",
            *filter(None, (summary(case, cells) for case in CASES)),
            "",
            f"{len(cells)} cells of {wanted * len(METHODS)} are measured; what is missing is not shown. All "
            "methods:",
            "",
            "| data set | method | n | F1 | Edit | accuracy | F1 against 4×10 | multiply-adds | parameters "
            "| epochs | training (s) | search (trainings) |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            *filter(None, rows),
            "",
            "What the default search shipped:",
            "",
            "| cell | layers of each stage | multiply-adds | F1, 4×10 → shipped | reason |",
            "| --- | --- | --- | --- | --- |",
            *(
                _shipped(name, cell, cells)
                for name, cell in sorted(cells.items())
                if cell["method"] == SEARCH
            ),
            "",
            "## Limits",
            "",
            "- Results on published features (I3D, 15 frames per second): no such set is at hand. Networks "
            "are small, long sequences are subsampled, features are class scores, sensors or synthetic.",
            "- Differences of a point or two: see the intervals. They cover test videos and training seeds, "
            "not the choice of training videos.",
            "- An untouched confirmation: the rule that ships a shape was chosen on simulated curves and on "
            "development sets, but `benchmarks/context.py` had read the training part of all four "
            "confirmation sets before, and a search of `finch_gy6or6` that ended at the floor led to longer "
            "first trainings. No test score of a confirmation set was used to choose anything.",
            "- The floor is a linear classifier of single frames, not the best of simple methods.",
            "",
            "How each data set is read:",
            "",
            "| data set | role | folds | every n-th frame | feature maps | epochs |",
            "| --- | --- | --- | --- | --- | --- |",
            *(
                f"| {case.dataset} | {case.role} | {', '.join(map(str, case.folds))} | {case.sample_rate} "
                f"| {case.feature_maps} | {case.epochs}, at most {2 * case.epochs} |"
                for case in CASES
            ),
            "",
        ]
    )


def _shipped(name: str, cell: Mapping[str, Any], cells: Mapping[str, Any]) -> str:
    hand = cells.get(name.replace(SEARCH, HAND))
    if hand is None:
        return f"| {name} | | | | 4×10 is not measured yet |"
    layers = ", ".join(str(len(stage)) for stage in cell["structure"])
    scores = " → ".join(f"{metric_value(one['test'], MEAN_F1):.1f}" for one in (hand, cell))
    cost = cell["multiply_adds"] / hand["multiply_adds"]
    return f"| {name.rpartition('/')[0]} | {layers} | {cost:.2f} | {scores} | {cell['reason']} |"


def main() -> None:
    """Measure what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-study"))
    parser.add_argument("--only", default="", help="Only cells whose name starts with this.")
    parser.add_argument("--tier", type=int, default=3, help="Only methods up to this tier.")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="Only so many seeds.")
    parser.add_argument("--page", action="store_true", help="Only write the page.")
    arguments = parser.parse_args()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    ).stdout.strip()
    order = [
        (case, fold, seed, method)
        for tier in range(1, arguments.tier + 1)
        for seed in range(arguments.seeds)
        for case in CASES
        for fold in case.folds
        for method in METHODS
        if method.tier == tier
    ]
    for case, fold, seed, method in () if arguments.page else order:
        name = f"{case.dataset}/{fold}/{seed}/{method.name}"
        if not name.startswith(arguments.only) or name in read_cells():
            continue
        root = arguments.data_root.absolute()
        if case.synthetic:
            root = arguments.work.absolute() / "data"
            if not (root / case.dataset).exists():
                options = ("--data-root", str(root), "--dataset", case.dataset, *case.synthetic)
                subprocess.run(
                    [sys.executable, "-m", "cli", "data", "synth", *options], cwd=CHECKOUT, check=True
                )
        work = arguments.work / name.replace(" ", "-")
        cell = (
            floor(case, fold, root) if method.name == FLOOR else measure(case, fold, seed, method, root, work)
        )
        cell |= {"name": name, "method": method.name, "commit": commit}
        with CELLS.open("a") as lines:
            lines.write(json.dumps(cell, ensure_ascii=False, sort_keys=True) + "\n")
        print(name, f"{metric_value(cell['test'], MEAN_F1):.1f}", flush=True)
    cells = read_cells()
    write_text(PAGE, page(cells))
    save_figure(FIGURE, draw(cells))


if __name__ == "__main__":
    main()
