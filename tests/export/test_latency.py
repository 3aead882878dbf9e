from __future__ import annotations

import pytest
import torch

from g2l.errors import InputError, OperationalError
from g2l.export import latency
from g2l.export.latency import LatencyMeter
from g2l.export.rewriting import RewritableExport
from g2l.models.ms_tcn import MSTCN
from g2l.structure import DilationStructure

STRUCTURE = DilationStructure(((1, 6), (2, 3)))


@pytest.fixture(scope="module")
def export():
    torch.manual_seed(0)
    return RewritableExport(
        lambda structure: MSTCN(structure, feature_dim=6, num_classes=3, feature_maps=8),
        (2, 2),
        feature_dim=6,
    )


def test_latency_is_the_median_after_the_warm_up(export, monkeypatch):
    ticks = iter(t for run in range(11) for t in (run, run + (50.0 if run < 2 else 0.001 * (run - 1))))
    monkeypatch.setattr(latency.time, "perf_counter", lambda: next(ticks))
    measured = LatencyMeter(export, feature_dim=6, frames=20).measure(STRUCTURE)
    assert measured.milliseconds == pytest.approx(5.0)
    assert measured.spread == pytest.approx(4.0)


def test_longer_videos_take_longer(export):
    short, long = (LatencyMeter(export, feature_dim=6, frames=n, threads=1) for n in (10, 20_000))
    assert 0 < short.measure(STRUCTURE).milliseconds < long.measure(STRUCTURE).milliseconds


def test_a_length_below_one_is_refused(export):
    with pytest.raises(InputError, match="`frames` must be >= 1, but is 0 instead"):
        LatencyMeter(export, feature_dim=6, frames=0)


def test_a_failing_runtime_is_named(export):
    with pytest.raises(OperationalError, match="onnxruntime failed: "):
        LatencyMeter(export, feature_dim=7, frames=5).measure(STRUCTURE)
