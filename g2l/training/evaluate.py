"""Scoring a network video by video, at the frame rate of the ground truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from g2l.datasets.dataset import SegmentationDataset
from g2l.metrics.accumulator import SegmentationMetrics


def evaluate_model(
    model: nn.Module, dataset: SegmentationDataset, names: Sequence[str], *, device: torch.device
) -> dict[str, float]:
    """Return the metrics of `model`, which is on `device`, over the videos `names`, in percent."""
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
    labels = predict_logits(model, dataset, name, device)[-1, 0].argmax(dim=0).cpu().numpy()
    return np.repeat(labels, dataset.sample_rate)[: len(dataset.ground_truth(name))]


def predict_logits(model: nn.Module, dataset: SegmentationDataset, name: str, device: torch.device) -> Tensor:
    """Return the logits (S, 1, C, T') of one video, computed in evaluation mode."""
    features = torch.from_numpy(dataset.load(name).features).unsqueeze(0)  # (D, T') -> (1, D, T')
    with evaluating(model), torch.inference_mode():
        logits: Tensor = model(features.to(device))
    return logits


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Let `model` be in evaluation mode inside a `with`."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
