"""The folder of a pipeline as the stages write it, with made-up numbers: of any size within a second."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from g2l.config import BackboneConfig, Budget, DataConfig, GlobalSearchConfig, LocalSearchConfig, RecipeConfig
from g2l.evaluation import Evaluation
from g2l.files import canonical_json, write_json, write_text
from g2l.metrics.comparison import compare
from g2l.metrics.scores import confusion, per_class_report
from g2l.search.journal import SCHEMA, evaluation_to_json
from g2l.structure import DilationStructure

BACKBONE = BackboneConfig(stages=4, layers=10)
HAND_DESIGNED = BACKBONE.hand_designed()


def write_run(
    folder: Path,
    *,
    candidates: int = 12,
    population: int = 4,
    videos: int = 4,
    frames: int = 900,
    classes: tuple[str, ...] = ("background", "cut", "pour", "stir"),
    video_name: str = "S{}_Salad",
    dataset: str = "kitchen",
    strategy: str = "genetic",
    fps: float | None = 15.0,
    notices: tuple[str, ...] = (),
    seed: int = 0,
) -> Path:
    """Write a finished pipeline into `folder` and return it."""
    random = np.random.default_rng(seed)
    data = DataConfig(dataset=dataset, fps=fps).as_dict()
    searching = GlobalSearchConfig(population=population, strategy=strategy, budget=Budget(120, "steps"))
    shared = {"data": data, "backbone": BACKBONE.as_dict(), "recipe": RecipeConfig().as_dict()}
    settings = shared | {"global_search": searching.as_dict(), "local_search": LocalSearchConfig().as_dict()}
    winner = global_search(folder / "search-global", shared, searching, candidates, random)
    found = local_search(folder / "search-local", shared, winner, random)
    tests = {
        "hand-designed": training(folder / "train-hand-designed", shared, HAND_DESIGNED, "hand-designed", 60),
        "searched": training(folder / "train-searched", shared, found, "searched", 62),
    }
    differences = {
        metric: compare(tests["searched"], tests["hand-designed"]).as_dict() for metric in ("f1", "accuracy")
    }
    dataset_facts(folder / "search-global", classes, videos, frames, video_name, data, notices)
    predictions(folder / "predictions", classes, videos, frames, video_name, random)
    environment = {
        "command": ["/opt/bin/g2l", "pipeline", "--dataset", dataset, "--seeds", "2"],
        "versions": {"g2l": "0.1.0", "python": "3.11.9"},
        "commit": "0123abc",
    }
    record(folder, "pipeline", settings | {"seeds": 2, "seed": 0}, environment=environment)
    write_json(folder / "result.json", {})
    contest = {
        "shipped": "local",
        "reason": "The local structure is shipped: shown to be better. It was tried.",
    }
    write_json(folder / "summary.json", {"difference": differences, "contest": contest})
    return folder


def record(folder: Path, kind: str, settings: dict, **more) -> None:
    """Write `run.json`."""
    value = {"schema": "g2l.run/1", "kind": kind, "settings": settings, "run_id": None} | more
    write_json(folder / "run.json", value)


def structure_file(path: Path, structure: DilationStructure) -> None:
    write_json(path, {"schema": "g2l.structure/1", "backbone": "ms-tcn", "stages": structure.as_lists()})


def metrics(value: float) -> dict[str, float]:
    return {"accuracy": value + 10, "edit": value + 1, "f1@10": value + 3, "f1@25": value, "f1@50": value - 3}


def global_search(folder: Path, shared: dict, config: GlobalSearchConfig, candidates: int, random):
    """Write a global search; structures get better, and the best of all wins."""
    structures = [HAND_DESIGNED] + [
        DilationStructure.from_rates(
            (2 ** random.integers(0, 9, 40)).tolist(), BACKBONE.hand_designed().shape
        )
        for _ in range(candidates - 1)
    ]
    scores = 40 + 20 * np.linspace(0, 1, candidates) ** 0.5 + random.normal(0, 3, candidates)
    settings = shared | {"search": config.as_dict(), "seed": 0}
    header = {"hand_designed": HAND_DESIGNED.as_lists(), "seed": 0}
    lines = [{"event": "header", "schema": SCHEMA, "settings": header}]
    for structure, score in zip(structures, scores.tolist(), strict=True):
        evaluation = Evaluation(
            structure=structure, budget=Budget(120, "steps"), seed=0, metrics=metrics(score), seconds=1.0
        )
        lines.append({"event": "evaluation", "evaluation": evaluation_to_json(evaluation)})
    winner = structures[int(scores.argmax())]
    write_text(folder / "journal.jsonl", "".join(f"{canonical_json(line)}\n" for line in lines))
    structure_file(folder / "structure.json", winner)
    record(folder, "search-global", settings)
    leaders = [{"structure": winner.as_lists(), "fitness": float(scores.max()), "receptive_field": 999}]
    result = {
        "fitness": float(scores.max()),
        "hand_designed_fitness": float(scores[0]),
        "hand_designed": HAND_DESIGNED.as_lists(),
        "evaluations": candidates,
        "steps": 120 * candidates,
        "final_steps": 0,
        "full_steps": 360,
        "seconds": 1.0 * candidates,
        "leaders": [leader | {"standard_error": None, "seeds": 1, "steps": 120} for leader in leaders],
        "reason": "It has the best score, under one seed.",
        "differences": {},
    }
    write_json(folder / "result.json", result)
    return winner


def local_search(folder: Path, shared: dict, start: DilationStructure, random) -> DilationStructure:
    """Write a local search of ten updates that move rates by up to a tenth."""
    names = [
        f"{'stage1' if stage == 0 else f'stages.{stage - 1}'}.layers.{layer}.conv_dilated"
        for stage in range(4)
        for layer in range(10)
    ]
    rates, lines = list(start.rates), []
    for number in range(1, 11):
        layers = {}
        for place, name in enumerate(names):
            reach = max(1, round(0.1 * rates[place]))
            branches = sorted({max(1, rates[place] - reach), rates[place], rates[place] + reach})
            weights = random.dirichlet(np.ones(len(branches)))
            expectation = float(weights @ branches)
            layers[name] = {
                "rate_before": rates[place],
                "branches": branches,
                "weights": weights.tolist(),
                "expectation": expectation,
                "rate_after": max(1, round(expectation)),
            }
            rates[place] = layers[name]["rate_after"]
        lines.append({"number": number, "step": 40 * number, "epoch": number, "layers": layers})
    found = DilationStructure.from_rates(rates, start.shape)
    write_text(folder / "journal.jsonl", "".join(f"{json.dumps(line)}\n" for line in lines))
    structure_file(folder / "structure.json", found)
    record(folder, "search-local", shared | {"structure": start.as_lists(), "seed": 0})
    write_json(folder / "result.json", {"holdout": metrics(61.0), "steps": 400})
    return found


def training(
    folder: Path, shared: dict, structure: DilationStructure, origin: str, mean: float
) -> list[float]:
    """Write a training under two seeds, and return the mean F1 of each."""
    settings = shared | {"structure": structure.as_lists(), "origin": origin, "branching": None}
    record(folder, "train", settings | {"seeds": [0, 1]})
    for seed in (0, 1):
        record(folder / f"seed-{seed}", "seed", settings | {"seed": seed})
        found = {"test": metrics(mean + seed), "holdout": metrics(mean), "steps": 360, "best_epoch": 3}
        write_json(folder / f"seed-{seed}" / "result.json", found)
        epochs(folder / f"seed-{seed}", [mean - abs(6 - epoch) for epoch in range(1, 11)])
    write_json(folder / "result.json", {})
    return [mean, mean + 1]


def epochs(folder: Path, scores: list[float]) -> None:
    """Write the epochs of a training with a hold-out."""
    facts = {"loss": 1.0, "learning_rate": 0.001, "seconds": 1.0}
    lines = [
        facts | {"epoch": number, "step": number, "metrics": metrics(score)}
        for number, score in enumerate(scores, start=1)
    ]
    write_text(folder / "epochs.jsonl", "".join(f"{json.dumps(line)}\n" for line in lines))


def search_of_shapes(folder: Path) -> Path:
    """Write a finished search of two shapes, each trained on two hold-outs, one of them again for longer."""
    write_run(folder, candidates=1, population=2)
    folder = folder / "search-global"
    (folder / "structure.json").unlink()
    smaller = DilationStructure(((1, 2, 4, 8), (1, 2), (1, 2)))
    structure_file(folder / "structure.json", smaller)
    journal = folder / "journal.jsonl"
    header, first, *_ = (json.loads(line) for line in journal.read_text().splitlines())
    lines, rows = [header], []
    for structure, level in ((HAND_DESIGNED, 60.0), (smaller, 59.0)):
        for holdout, length in ((0, 4), (1, 6), (0, 6)):
            curve = [metrics(level + holdout - abs(5 - epoch)) for epoch in range(1, length + 1)]
            found = first["evaluation"] | {"structure": structure.as_lists(), "holdouts": [holdout]}
            found |= {"budget": {"amount": 10 * length, "unit": "steps"}, "seed": holdout}
            found["curve"] = {name: [epoch[name] for epoch in curve] for name in curve[0]}
            lines.append(first | {"evaluation": found})
        ours = structure != HAND_DESIGNED
        row = {"structure": structure.as_lists(), "name": "4,2,2" if ours else "4×10 (hand-designed)"}
        row |= {"cost": 0.4 if ours else 1.0, "multiply_adds": 300_000 if ours else 750_000, "blocks": 2}
        row |= {"difference": -ours, "low": -1.4 * ours, "high": 0.5 * ours, "shown": ours}
        rows.append(row)
    write_text(journal, "".join(f"{canonical_json(line)}\n" for line in lines))
    result = json.loads((folder / "result.json").read_text())
    write_json(folder / "result.json", result | {"shapes": rows, "reason": "4,2,2 is shown to be as good."})
    return folder


def context(folder: Path) -> Path:
    """Write a finished measurement of context."""
    data = DataConfig(dataset="kitchen", fps=15.0).as_dict()
    record(
        folder, "context", {"data": data, "backbone": BACKBONE.as_dict(), "recipe": RecipeConfig().as_dict()}
    )
    scores = {"f1": [40.0, 60.0, 61.0], "edit": [50.0, 60.0, 62.0], "accuracy": [60.0, 70.0, 70.0]}
    found = {
        "frames": [29, 125, 509],
        "error": 2.0,
        "needed": 1,
        "words": "Beyond ± 62 frames nothing is gained.",
    }
    write_json(folder / "result.json", scores | found)
    return folder


def dataset_facts(folder: Path, classes, videos: int, frames: int, name: str, data: dict, notices) -> None:
    names = [name.format(number) for number in range(videos)]
    write_json(
        folder / "dataset.json",
        {
            "schema": "g2l.dataset/1",
            "name": data["dataset"],
            "split": 1,
            "fingerprint": "0123456789abcdef",
            "feature_dim": 2048,
            "sample_rate": 1,
            "fps": data["fps"],
            "background": list(classes[:1]),
            "frames": {
                "train": {"S9_Train": 700},
                "holdout": {"S8_Held": 500},
                "test": dict.fromkeys(names, frames),
            },
            "class_frames": {one: {"train": 70, "holdout": 50, "test": 90} for one in classes},
            "notices": list(notices),
        },
    )


def predictions(folder: Path, classes, videos: int, frames: int, name: str, random) -> None:
    """Write scored predictions that are wrong at the borders of segments, more so in later videos."""
    strips, every_truth, every_prediction = {}, [], []
    for number in range(videos):
        ends = [*np.sort(random.choice(np.arange(1, frames), 39, replace=False)).tolist(), frames]
        labels = [int(label) for label in random.integers(0, len(classes), 40)]
        truth = np.repeat(labels, np.diff([0, *ends]))
        prediction = np.roll(truth, 1 + number)
        strips[name.format(number)] = {
            "metrics": metrics(90.0 - number),
            "truth": run_lengths(truth),
            "prediction": run_lengths(prediction),
        }
        every_truth.append(truth)
        every_prediction.append(prediction)
    matrix = confusion(np.concatenate(every_prediction), np.concatenate(every_truth), classes)
    record(folder, "predict", {"videos": videos})
    write_text(folder / "segments.csv", "video,segment,label,start_frame,end_frame\n")
    write_json(
        folder / "evaluation.json",
        {
            "schema": "g2l.evaluation/1",
            "metrics": metrics(80.0) | {"videos": videos, "frames": videos * frames},
            "classes": list(classes),
            "background": list(classes[:1]),
            "per_class": per_class_report(matrix, classes),
            "confusion": matrix.tolist(),
            "videos": strips,
        },
    )


def run_lengths(labels) -> list[list[int]]:
    ends = [*(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    return [[int(labels[end - 1]), end] for end in ends]
