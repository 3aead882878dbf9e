"""A structure whose stages differ in length goes through every stage after the global search."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from g2l.config import BackboneConfig
from g2l.inference import tiling
from g2l.inference.predictor import Predictor
from g2l.inference.sessions import open_session
from g2l.inference.streaming import StreamingPredictor
from g2l.models.artifact import load_model
from g2l.pipeline.export import export_model
from g2l.pipeline.predict import predict
from g2l.pipeline.search_local import search_locally
from g2l.pipeline.train import train
from g2l.report.render import write_report
from g2l.structure import DilationStructure
from g2l.structure_files import Dialect, read_structure, write_structure
from tests.pipeline.tiny_pipeline import local_task, training

SHAPES = {
    BackboneConfig(feature_maps=4, causal=True): ((1, 2, 4), (1,), (2, 1)),
    BackboneConfig(name="ms-tcn++", feature_maps=4): ((2, 1, 1, 2), (1, 2, 4)),
    BackboneConfig(name="asformer", feature_maps=4): ((1, 2, 4), (1, 2)),
}


@pytest.mark.parametrize("backbone", SHAPES, ids=lambda backbone: backbone.name)
def test_from_a_structure_file_to_labels(context, tiny, tmp_path, monkeypatch, backbone):
    write_structure(
        tmp_path / "start.json", DilationStructure(SHAPES[backbone]), Dialect.MMCV, backbone=backbone.name
    )
    start = read_structure(tmp_path / "start.json").structure
    refined = search_locally(context, local_task(tiny, start, backbone=backbone), folder="local")
    assert refined.structure.shape == start.shape
    task = replace(training(tiny, backbone), structure=refined.structure)
    (seed,) = train(context, task, 0, 1, folder="train").seeds
    model, metadata = load_model(seed.model)
    assert metadata.structure == refined.structure
    export_model(context, model, metadata, tmp_path / "model.onnx", folder="export")
    session = open_session(tmp_path / "model.onnx", "cpu")
    features = tiny.data_root / tiny.dataset / "features"
    outcome = predict(context, session, [features], folder="predictions")
    assert len(list((context.folder / "predictions").glob("*.txt"))) == 8
    assert not outcome.failures
    video = sorted(features.glob("*.npy"))[0]
    (whole,) = Predictor(session).predict([video])
    if not backbone.topology.whole_video:
        monkeypatch.setattr(tiling, "_SMALLEST", 1)
        assert_tiles_give(whole, session, video)
    if backbone.causal:
        assert_a_stream_gives(whole, session, video)
    for stage in ("local", "train"):
        write_report({stage: context.folder / stage}, tmp_path / "report.html")
        shape = ", ".join(map(str, start.shape))
        assert f"({shape} rates)" in (tmp_path / "report.html").read_text()


def assert_tiles_give(whole, session, video):
    predictor = Predictor(session)
    frames = session.metadata.receptive_field.frames + 8
    predictor._capacity = replace(predictor._capacity, frames=frames, kept_bytes=0)
    (tiled,) = predictor.predict([video])
    np.testing.assert_array_equal(tiled.labels, whole.labels)


def assert_a_stream_gives(whole, session, video):
    stream = StreamingPredictor(session)
    parts = [stream.push(chunk) for chunk in np.array_split(np.load(video), 5, axis=1)]
    np.testing.assert_array_equal(
        np.concatenate([part.labels for part in (*parts, stream.finish())]), whole.labels
    )
