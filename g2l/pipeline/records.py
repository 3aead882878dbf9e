"""What all stages record in the same way: the data they used, how far structures see, each epoch."""

from __future__ import annotations

from collections.abc import Sequence

from g2l.datasets.dataset import Partitions, SegmentationDataset
from g2l.structure import DilationStructure
from g2l.tracking.protocol import Run
from g2l.training.history import EpochRecord
from g2l.wiring import Wiring


def describe_data(run: Run, dataset: SegmentationDataset, partitions: Partitions) -> None:
    """Record the content address of the data and the videos of every partition."""
    members = {"train": partitions.train, "holdout": partitions.holdout, "test": partitions.test}
    for context, names in members.items():
        if names:
            run.log_dataset(
                # One name each, for MLflow keeps one input per name and digest.
                name=f"{dataset.config.dataset} split {dataset.config.split} {context}",
                source=dataset.config.data_root / dataset.config.dataset,
                digest=dataset.fingerprint,
                context=context,
            )
    run.log_dict({name: list(videos) for name, videos in members.items()}, "partitions.json")
    run.set_tags({"g2l.data": dataset.fingerprint})


def reach_columns(structures: Sequence[DilationStructure], wiring: Wiring) -> dict[str, list[int]]:
    """Return columns of a table: receptive field and look-ahead in frames (`Wiring.report`)."""
    reports = [wiring.report(structure) for structure in structures]
    return {name: [report[name] for report in reports] for name in (reports[0] if reports else ())}


class EpochLog:
    """Records loss, learning rate and hold-out metrics of every epoch."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __call__(self, record: EpochRecord) -> None:
        """Record one epoch."""
        metrics = {"train/loss": record.loss, "train/learning_rate": record.learning_rate}
        metrics |= {f"holdout/{name}": value for name, value in record.metrics.items()}
        self._run.log_metrics(metrics, step=record.epoch)
