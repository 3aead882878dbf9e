"""Hand-designed against locally searched, for each backbone: same recipe, same seeds, test scores.

Run from the repository root: `python -m benchmarks.backbones run --data-root DATA --work WORK`, then
`python -m benchmarks.backbones report --work WORK`.
A run that was interrupted goes on where it was. Nothing is selected: all of train is trained on and the last
epoch is kept, for the search as for both trainings that follow, so the test partition is only reported on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.search_efficiency.report import table
from g2l.config import (
    FAST,
    BackboneConfig,
    DataConfig,
    LocalSearchConfig,
    Normalization,
    RecipeConfig,
    Selection,
)
from g2l.datasets.synthetic import kitchen, write_dataset
from g2l.files import write_json
from g2l.metrics.comparison import compare
from g2l.metrics.scores import MEAN_F1, metric_value
from g2l.metrics.summary import summarize
from g2l.pipeline.context import RunContext
from g2l.pipeline.fitting import Training
from g2l.pipeline.search_local import LocalSearchTask, search_locally
from g2l.pipeline.train import SeedOutcome, train
from g2l.structure import DilationStructure

RESULTS = Path(__file__).with_name("BACKBONES.md")
METRICS = ("accuracy", "edit", MEAN_F1)
SIZE = BackboneConfig(stages=2, layers=8, feature_maps=32)
BACKBONES = {
    "ms-tcn": SIZE,
    "ms-tcn++": SIZE.replace(name="ms-tcn++"),
    "asformer": SIZE.replace(name="asformer"),
    "ms-tcn, causal": SIZE.replace(causal=True),
}
RECIPE = RecipeConfig.of_preset(FAST).replace(learning_rate=1e-3, selection=Selection.LAST)
SEARCH = LocalSearchConfig.of_preset(FAST)
DATASETS = {
    "kitchen": DataConfig(dataset="kitchen"),
    # What is known to work on these scores: each row standardised over its video.
    "gtea_scores": DataConfig(dataset="gtea_scores", normalize=Normalization.VIDEO, fps=3.0),
}


def run(dataset: str, backbone: str, seed: int, *, data_root: Path, work: Path) -> None:
    """Search from 2^l, train what was found and 2^l under the same seed, and keep the scores."""
    record = work / "records" / f"{dataset}-{backbone}-{seed}.json"
    if record.exists():
        return
    if dataset == "kitchen":
        data_root = _kitchen(work)
    data, size = DATASETS[dataset].replace(data_root=data_root), BACKBONES[backbone]
    context = RunContext(folder=work / "runs" / dataset / backbone / str(seed), device="cpu", resume=True)

    def trained(structure: DilationStructure, origin: str) -> SeedOutcome:
        task = Training(data=data, backbone=size, recipe=RECIPE, structure=structure, origin=origin)
        return train(context, task, seed, 1, folder=origin).seeds[0]

    start = size.hand_designed()
    search = LocalSearchTask(
        data=data, backbone=size, recipe=RECIPE, search=SEARCH, structure=start, seed=seed
    )
    found = search_locally(context, search, folder="search-local").structure
    scores = {"hand-designed": trained(start, "hand-designed"), "searched": trained(found, "searched")}
    write_json(
        record,
        {
            "dataset": dataset,
            "backbone": backbone,
            "seed": seed,
            "structure": found.as_lists(),
            **{origin: dict(outcome.test) for origin, outcome in scores.items()},
        },
    )


def report(work: Path) -> str:
    """Return the table of all records below `work`, as Markdown."""
    records = [json.loads(path.read_text()) for path in sorted((work / "records").glob("*.json"))]
    rows = [row for dataset in DATASETS for name in BACKBONES for row in _rows(dataset, name, records)]
    head = ("data", "backbone", "structure", *METRICS, "receptive field", "searched − hand-designed, F1")
    return _header() + table(head, rows)


def main() -> None:
    """Run the trainings that are missing, or write the table of those there are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("run", "report"))
    parser.add_argument("--data-root", type=Path, default=Path("data"), help="holds gtea_scores")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS), choices=DATASETS)
    parser.add_argument("--backbones", nargs="+", default=list(BACKBONES), choices=BACKBONES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.what == "report":
        RESULTS.write_text(report(options.work), encoding="utf-8")
        return
    torch.set_num_threads(options.threads)
    for seed in range(options.seeds):
        for dataset in options.datasets:
            for backbone in options.backbones:
                run(dataset, backbone, seed, data_root=options.data_root, work=options.work)
                print(dataset, backbone, seed, flush=True)


def _kitchen(work: Path) -> Path:
    root = work / "data"
    if not (root / "kitchen").exists():
        write_dataset(root, "kitchen", kitchen(np.random.default_rng(0)))
    return root


def _rows(dataset: str, backbone: str, records: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    """Yield the row of the hand-designed and that of the searched structures; none without records."""
    mine = [one for one in records if (one["dataset"], one["backbone"]) == (dataset, backbone)]
    if not mine:
        return
    config = BACKBONES[backbone]
    structures = {
        "hand-designed": [config.hand_designed()],
        "searched": [DilationStructure(tuple(map(tuple, one["structure"]))) for one in mine],
    }
    values = {
        origin: [{metric: metric_value(one[origin], metric) for metric in METRICS} for one in mine]
        for origin in structures
    }
    ours, theirs = ([value[MEAN_F1] for value in values[origin]] for origin in ("searched", "hand-designed"))
    for origin, found in structures.items():
        fields = sorted({config.topology.receptive_field(structure).frames for structure in found})
        span = f"{fields[0]:,}" if len(fields) == 1 else f"{fields[0]:,} … {fields[-1]:,}"
        yield [
            dataset,
            backbone,
            f"2^l, {len(mine)} seeds" if origin == "hand-designed" else "searched from it",
            *(str(summarize(values[origin])[metric]) for metric in METRICS),
            span,
            compare(ours, theirs).words() if origin == "searched" else "",
        ]


def _header() -> str:
    return f"""# Local search on each backbone

Generated by `python -m benchmarks.backbones` on {datetime.now(UTC):%Y-%m-%d}, not edited by hand.

Networks of {SIZE.stages} stages of {SIZE.layers} layers and {SIZE.feature_maps} feature maps (MS-TCN++: a
dual layer more in its first stage), {RECIPE.epochs} epochs of batches of {RECIPE.batch_size}, Adam
{RECIPE.learning_rate:g}, all of train, last epoch. The local search starts from the hand-designed rates and
moves them {SEARCH.updates} times, every {SEARCH.interval},
with ρ = {SEARCH.expansion_rate}; what it found is trained from scratch under the
same seed. Scores are on test, split 1, mean ± standard deviation over seeds; f1 is the mean of F1@10, 25
and 50. Receptive fields are those of the convolutions: the normalisation of ASFormer sees the whole video
besides.

"""


if __name__ == "__main__":
    main()
