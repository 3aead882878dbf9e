"""Scoring a network video by video, at the frame rate of the ground truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from g2l.datasets.dataset import SegmentationDataset
from g2l.metrics.accumulator import SegmentationMetrics


def evaluate_model(
    model: nn.Module, dataset: SegmentationDataset, names: Sequence[str], *, device: torch.device
) -> dict[str, float]:
    """Return the metrics of `model` over the videos `names`, in percent.

    Args:
        model: Network on `device`; its training mode is as before afterwards.
        dataset: Features and ground truth.
        names: Videos of one partition.
        device: Where the network is.
    """
    metrics = SegmentationMetrics(background=dataset.background_indices)
    for name in names:
        metrics.update(predict_labels(model, dataset, name, device), dataset.ground_truth(name))
    return metrics.compute()


def predict_labels(
    model: nn.Module, dataset: SegmentationDataset, name: str, device: torch.device
) -> NDArray[np.int64]:
    """Return the predicted class index of every frame, shape (T,), T as in the ground truth.

    Each prediction of a subsampled video is repeated `sample_rate` times and the end is cut.
    """
    features = torch.from_numpy(dataset.load(name).features).unsqueeze(0)  # (D, T') -> (1, D, T')
    with _evaluating(model), torch.inference_mode():
        logits = model(features.to(device))
    labels: NDArray[np.int64] = logits[-1, 0].argmax(dim=0).cpu().numpy()  # (S, 1, C, T') -> (T',)
    return np.repeat(labels, dataset.config.sample_rate)[: len(dataset.ground_truth(name))]


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
