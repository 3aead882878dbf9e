from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from g2l.errors import InputError, OperationalError
from g2l.export import precision_conversion
from g2l.export.onnx_export import export_onnx
from g2l.export.precision import Inputs, Precision
from g2l.export.precision_comparison import Video
from g2l.export.precision_conversion import class_convolutions, quantized
from g2l.export.reduction import Reduction, reduced
from g2l.export.report import ExportReport
from g2l.models.metadata import METADATA_KEY, ModelMetadata


def reduce(proto, metadata, tmp_path, precision, videos, **settings):
    report = ExportReport(tmp_path / "model.onnx", 20, ())
    reduction = Reduction(precision=precision, videos=videos, **settings)
    return reduced(proto, reduction, report, metadata, frame_mask=False)


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.INT8])
def test_a_trained_network_keeps_what_it_says(precision, proto, metadata, videos, tmp_path, capfd):
    before = proto.SerializeToString()
    result, report, described = reduce(proto, metadata, tmp_path, precision, videos)
    assert capfd.readouterr() == ("", "")
    assert proto.SerializeToString() == before
    found = report.reduced
    assert (found.precision, report.precision, found.inputs) == (precision, precision, Inputs.VIDEOS)
    assert (found.videos, found.frames) == (4, 480)
    assert found.agreement >= 99
    assert found.f1 >= 98
    assert abs(found.f1_change) <= 2
    assert found.calibration_frames == (480 if precision is Precision.INT8 else 0)
    assert not found.forced
    assert described == replace(metadata, precision=found.as_dict())
    assert {entry.domain for entry in result.opset_import} == {""}
    again = reduce(proto, metadata, tmp_path, precision, videos)[0]
    assert again.SerializeToString(deterministic=True) == result.SerializeToString(deterministic=True)


def test_int8_multiplies_integers_but_for_the_class_scores(proto, videos):
    result, frames = quantized(proto, videos, frame_mask=False)
    kinds = {weight.name: weight.data_type for weight in result.graph.initializer}
    int8 = [name for name, kind in kinds.items() if kind == onnx.TensorProto.INT8 and "weight_quant" in name]
    scores = class_convolutions(proto)
    assert len(scores) == 2  # one per stage
    convolutions = [node for node in result.graph.node if node.op_type == "Conv"]
    assert sum(node.name in scores for node in convolutions) == 2
    for node in convolutions:
        assert (kinds.get(node.input[1]) == onnx.TensorProto.FLOAT) == (node.name in scores)
    weights = {weight.name: numpy_helper.to_array(weight) for weight in result.graph.initializer}
    assert int8
    for name in int8:  # one scale per output channel
        assert weights[name.replace("_quantized", "_scale")].shape == weights[name].shape[:1]
    assert frames == 480


def test_calibration_takes_the_middle_of_some_videos_in_chunks(monkeypatch):
    monkeypatch.setattr(precision_conversion, "CALIBRATION_VIDEOS", 2)
    monkeypatch.setattr(precision_conversion, "CALIBRATION_FRAMES", 14)
    monkeypatch.setattr(precision_conversion, "CHUNK_FRAMES", 4)

    def numbered(video, frames):
        return Video(str(video), lambda: (100 * video + np.arange(frames, dtype=np.float32))[None])

    videos = [numbered(0, 3), numbered(1, 50), numbered(2, 11), numbered(3, 50)]
    reader = precision_conversion._Calibration(videos, frame_mask=True)
    pieces = list(iter(reader.get_next, None))
    assert [piece["features"][0, 0].tolist() for piece in pieces] == [
        [0, 1, 2],
        [202, 203, 204, 205],
        [206, 207, 208],
    ]
    assert [piece["frame_mask"].shape for piece in pieces] == [(1, 1, 3), (1, 1, 4), (1, 1, 3)]
    assert reader.frames == 10
    assert reader.get_next() is None


def huge(videos):
    """The videos with features that fp16 cannot hold."""
    return [replace(video, load=lambda video=video: video.load() * np.float32(1e5)) for video in videos]


def test_features_that_overflow_fp16_are_refused(proto, metadata, videos, tmp_path):
    with pytest.raises(OperationalError, match=r"the fp16 model keeps .* frames being NaN, where 99 % are"):
        reduce(proto, metadata, tmp_path, Precision.FP16, huge(videos))
    kept = reduce(proto, metadata, tmp_path, Precision.FP16, huge(videos), force=True)[1].reduced
    assert kept.forced
    assert kept.nan_frames > 0


def ruined(proto):
    """The network with weights that int8 cannot hold: one of a row is so large that the others become 0.

    It belongs to the last feature, which is 0 in all videos, so that fp32 says what it said before.
    """
    ruined = copy.deepcopy(proto)
    weight = next(value for value in ruined.graph.initializer if list(value.dims) == [8, 6, 1])
    values = numpy_helper.to_array(weight).copy()
    values[:, 5] = 1e6
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    return ruined


def without_last_feature(videos):
    def load(video):
        features = video.load()
        features[5] = 0
        return features

    return [replace(video, load=lambda video=video: load(video)) for video in videos]


def test_weights_that_int8_ruins_are_refused(proto, metadata, videos, tmp_path):
    with pytest.raises(OperationalError, match=r"the int8 model keeps \d.* and has F1 \d") as caught:
        reduce(ruined(proto), metadata, tmp_path, Precision.INT8, without_last_feature(videos))
    assert "--calibration" in caught.value.hint
    fine = reduce(ruined(proto), metadata, tmp_path, Precision.FP16, without_last_feature(videos))[1].reduced
    assert fine.agreement >= 99


def test_an_export_to_int8_is_one_file_that_says_how_good_it_is(trained, metadata, videos, tmp_path):
    reduction = Reduction(precision=Precision.INT8, videos=videos)
    report = export_onnx(trained, metadata, tmp_path / "model.onnx", frame_mask=True, reduction=reduction)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert report.max_difference < 1e-5  # of fp32 from torch
    proto = onnx.load(report.path)
    assert [entry.key for entry in proto.metadata_props] == [METADATA_KEY]
    described = ModelMetadata.from_json(proto.metadata_props[0].value, "model.onnx")
    assert described.precision == report.reduced.as_dict()
    assert described.precision["precision"] == "int8"
    assert [value.name for value in proto.graph.input] == ["features", "frame_mask"]


def test_a_refused_export_leaves_the_old_file(trained, metadata, videos, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"old")
    reduction = Reduction(precision=Precision.FP16, videos=huge(videos))
    with pytest.raises(OperationalError, match=r"model.onnx: the fp16 model keeps .*; nothing was written"):
        export_onnx(trained, metadata, tmp_path / "model.onnx", reduction=reduction)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert (tmp_path / "model.onnx").read_bytes() == b"old"


def test_int8_needs_videos_before_anything_is_done(metadata, tmp_path):
    with pytest.raises(InputError, match="int8 must be calibrated on real features, but none are given"):
        export_onnx(
            torch.nn.Identity(),
            metadata,
            tmp_path / "model.onnx",
            reduction=Reduction(precision=Precision.INT8),
        )
    with pytest.raises(InputError, match="`precision` must be fp16 or int8 to be reduced to"):
        Reduction(precision=Precision.FP32).validate()


def test_a_network_that_cannot_be_quantised_is_told_in_one_line(videos):
    with pytest.raises(OperationalError, match=r"^onnxruntime cannot quantise this network: [^\n]*$"):
        quantized(onnx.ModelProto(), videos, frame_mask=False)
