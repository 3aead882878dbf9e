from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from g2l.config import BackboneConfig, DataConfig, Selection
from g2l.datasets.dataset import SegmentationDataset
from g2l.datasets.synthetic import lags, write_dataset
from g2l.errors import InputError
from g2l.files import read_json
from g2l.inference.devices import Device
from g2l.inference.sessions import TorchSession
from g2l.models.metadata import ModelMetadata
from g2l.pipeline.context_of_model import ModelContextTask, labels_within, measure_model_context
from g2l.records import RunKind, RunRecord, read_result
from g2l.structure import DilationStructure

LAG = 24
STRUCTURE = DilationStructure(((1, 2, 4, 8, 16, 32, 64),))
"""Of ± 127 frames, five times what the network uses."""


class Lagged(nn.Module):
    """The rule of the data: the sum of one signal `LAG` frames before and after is above 0 or not."""

    def __init__(self):
        super().__init__()
        mixture, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((8, 8)))  # as `lags` draws it
        self.register_buffer("unmix", torch.tensor(mixture[:, 0], dtype=torch.float32))

    def forward(self, features):
        signal = functional.pad(torch.einsum("bdt,d->bt", features, self.unmix), (LAG, LAG))
        frames = features.shape[2]
        total = signal[:, :frames] + signal[:, 2 * LAG : 2 * LAG + frames]
        return torch.stack([-total, total], dim=1)[None]  # (S, B, C, T)


@pytest.fixture(scope="module")
def lagged(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_dataset(root, "lag", lags(np.random.default_rng(0), (LAG,), videos=12, frames=200))
    return DataConfig(data_root=root, dataset="lag")


def session_of(data):
    dataset = SegmentationDataset.open(data)
    metadata = ModelMetadata(
        structure=STRUCTURE,
        backbone=BackboneConfig(),
        classes=tuple(dataset.mapping.names),
        feature_dim=dataset.feature_dim,
        fps=dataset.fps,
    )
    return TorchSession(Lagged(), metadata, Device.CPU)


def reach_of_gradients(network, features):
    """Return the distance beyond which no gradient of the middle frame is above 1% of the largest."""
    middle = features.shape[1] // 2
    inputs = torch.from_numpy(features)[None].requires_grad_()
    network(inputs)[-1, 0, :, middle].max().backward()
    sizes = inputs.grad[0].abs().sum(dim=0)
    return int((torch.nonzero(sizes > 0.01 * sizes.max()) - middle).abs().max())


def test_ablation_and_gradients_agree_on_a_planted_lag(context, lagged):
    curve, suggested = measure_model_context(context, session_of(lagged), ModelContextTask(data=lagged))
    dataset = SegmentationDataset.open(lagged)
    features = dataset.load(next(iter(dataset.partitions(Selection.BEST).holdout))).features
    reach = reach_of_gradients(Lagged(), features)
    radii = [(point.frames - 1) // 2 for point in curve.points]
    assert radii[curve.needed - 1] < reach == LAG <= radii[curve.needed] < 2 * LAG
    assert radii[-1] == 127
    assert curve.points[-1].unchanged == 1
    assert curve.points[curve.needed].loss == pytest.approx(0, abs=1)
    assert curve.points[0].loss > 20
    assert f"less than 0.5 F1 from frames beyond ± {radii[curve.needed]} frames (0.0% of" in curve.words()
    topology = BackboneConfig().topology
    assert topology.receptive_field(suggested).frames >= curve.points[curve.needed].frames


def test_the_measurement_is_recorded_like_one_of_trainings(context, lagged):
    task = ModelContextTask(data=lagged, points=3)
    curve, suggested = measure_model_context(context, session_of(lagged), task)
    assert RunRecord.read(context.folder).kind is RunKind.CONTEXT
    result = read_result(context.folder)
    assert (result["words"], result["suggested"]) == (curve.words(), suggested.as_lists())
    table = read_json(context.folder / "tables" / "context.json")
    assert table["columns"][-1] == "unchanged"
    assert (context.folder / "figures" / "context.svg").read_bytes().startswith(b"<?xml")
    assert measure_model_context(replace(context, resume=True), session_of(lagged), task)[0] == curve


@pytest.mark.parametrize("block", [1, 7, 200])
def test_cutting_at_the_receptive_field_changes_no_label(lagged, block):
    """The frames beyond the receptive field of a block are left out, those within it see the same."""
    rng = np.random.default_rng(1)
    features = rng.standard_normal((8, 300)).astype(np.float32)
    session = session_of(lagged)
    whole = session.probabilities(features).argmax(axis=0)
    assert (labels_within(session, features, 127, block) == whole).all()
    near = labels_within(session, features, LAG, block)
    assert (near == whole).all()


def test_a_model_of_other_classes_is_refused(context, lagged, tiny):
    with pytest.raises(InputError, match="the model was trained on classes"):
        measure_model_context(context, session_of(lagged), ModelContextTask(data=tiny))
    with pytest.raises(InputError, match="`points` must be >= 2, but is 1"):
        measure_model_context(context, session_of(lagged), ModelContextTask(data=lagged, points=1))
