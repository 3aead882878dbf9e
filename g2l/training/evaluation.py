"""Scoring a network video by video, at the frame rate of the ground truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from g2l.datasets.dataset import SegmentationDataset
from g2l.metrics.accumulator import SegmentationMetrics
from g2l.metrics.scores import LIKELIHOOD, likelihood


class NetworkScore:
    """The metrics of one network, from the logits of its last stage.

    The likelihood counts the frames that the network sees: at its own frame rate, every `sample_rate`-th.
    All other metrics are at the rate of the ground truth.

    Args:
        dataset: Ground truth.
    """

    def __init__(self, dataset: SegmentationDataset) -> None:
        self._dataset = dataset
        self._metrics = SegmentationMetrics(background=dataset.background_indices)
        self._cross_entropy = 0.0
        self._frames = 0

    def update(self, name: str, logits: Tensor, targets: Tensor) -> None:
        """Add one video.

        Args:
            name: The video.
            logits: Of the last stage, (C, T').
            targets: Class indices at the network's rate, (T',).
        """
        self._metrics.update(_labels(self._dataset, name, logits), self._dataset.ground_truth(name))
        entropy = functional.cross_entropy(logits.T, targets, reduction="none")  # (T', C) -> (T',)
        self._cross_entropy += float(entropy.double().sum())
        self._frames += len(targets)

    def compute(self) -> dict[str, float]:
        """Return the metrics of `SegmentationMetrics`, and `likelihood`."""
        return self._metrics.compute() | {LIKELIHOOD: likelihood(self._cross_entropy, self._frames)}


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
    score = NetworkScore(dataset)
    for name in names:
        targets = torch.from_numpy(dataset.load(name).targets).to(device)
        score.update(name, predict_logits(model, dataset, name, device)[-1, 0], targets)
    return score.compute()


def predict_labels(
    model: nn.Module, dataset: SegmentationDataset, name: str, device: torch.device
) -> NDArray[np.int64]:
    """Return the predicted class index of every frame, shape (T,), T as in the ground truth.

    Each prediction of a subsampled video is repeated `sample_rate` times and the end is cut.
    """
    return _labels(dataset, name, predict_logits(model, dataset, name, device)[-1, 0])


def predict_logits(model: nn.Module, dataset: SegmentationDataset, name: str, device: torch.device) -> Tensor:
    """Return the logits (S, 1, C, T') of one video, computed in evaluation mode."""
    features = torch.from_numpy(dataset.load(name).features).unsqueeze(0)  # (D, T') -> (1, D, T')
    with evaluating(model), torch.inference_mode():
        logits: Tensor = model(features.to(device))
    return logits


def _labels(dataset: SegmentationDataset, name: str, logits: Tensor) -> NDArray[np.int64]:
    """Return the most probable classes of logits (C, T') at the rate of the ground truth, (T,)."""
    labels: NDArray[np.int64] = logits.argmax(dim=0).cpu().numpy()
    return np.repeat(labels, dataset.config.sample_rate)[: len(dataset.ground_truth(name))]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Let `model` be in evaluation mode inside a `with`."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
