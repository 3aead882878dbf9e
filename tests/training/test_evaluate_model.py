from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from g2l.config import Selection
from g2l.datasets.dataset import SegmentationDataset
from g2l.metrics.scores import SegmentationMetrics
from g2l.training.evaluate import evaluate_model, predict_labels

CPU = torch.device("cpu")


class Rounded(nn.Module):
    """Two stages, of which only the last one knows that the first row holds the class."""

    def __init__(self):
        super().__init__()
        self.modes = []

    def forward(self, features, frame_mask=None):
        self.modes.append((self.training, torch.is_inference_mode_enabled()))
        index = (features[:, 0] / 3).round().clamp(0, 2).long()
        right = nn.functional.one_hot(index, 3).movedim(2, 1).float()  # (B, T) -> (B, C, T)
        return torch.stack([-right, right])


@pytest.mark.parametrize("sample_rate", [1, 3])
def test_predictions_are_at_full_rate(tiny_data, sample_rate):
    dataset = SegmentationDataset.open(tiny_data.replace(sample_rate=sample_rate))
    for name in dataset.partitions(Selection.LAST).train:
        predicted = predict_labels(Rounded(), dataset, name, CPU)
        row = np.load(tiny_data.data_root / "tiny" / "features" / f"{name}.npy")[0]
        at_full_rate = np.clip(np.round(row / 3), 0, 2).astype(int)
        truth = dataset.ground_truth(name)
        expected = [at_full_rate[frame - frame % sample_rate] for frame in range(len(truth))]
        assert predicted.tolist() == expected
        assert len(predicted) == len(truth)


def test_metrics_are_those_of_the_accumulator_without_background(tiny_data):
    dataset = SegmentationDataset.open(tiny_data.replace(sample_rate=2))
    names = dataset.partitions(Selection.BEST).holdout
    expected = SegmentationMetrics(background={0})
    for name in names:
        expected.update(predict_labels(Rounded(), dataset, name, CPU), dataset.ground_truth(name))
    metrics = evaluate_model(Rounded(), dataset, names, device=CPU)
    assert metrics == expected.compute()
    assert metrics["videos"] == len(names)
    assert metrics["accuracy"] > 60


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_model_is_restored(tiny_data, training):
    dataset = SegmentationDataset.open(tiny_data)
    model = Rounded().train(training)
    evaluate_model(model, dataset, dataset.partitions(Selection.BEST).holdout, device=CPU)
    assert set(model.modes) == {(False, True)}
    assert model.training is training
