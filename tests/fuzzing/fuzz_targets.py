"""The readers of the project, each with whole files to spoil and with what must hold for what it accepts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
import torch
from mutations import mutated, mutated_json, mutated_npy
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save
from scipy.io import savemat

from g2l.config import BackboneConfig, Normalization
from g2l.datasets.bundle import name_fault, read_bundle
from g2l.datasets.eaf_segments import read_eaf_segments
from g2l.datasets.feature_sources import copy_features
from g2l.datasets.features import open_features
from g2l.datasets.labels import read_labels
from g2l.datasets.mapping import ClassMapping, read_mapping
from g2l.datasets.segment_table import read_segments
from g2l.datasets.source_files import open_sources
from g2l.inference.formats.eaf import write_eaf
from g2l.inference.frame_names import FrameReader
from g2l.inference.predictor import Predictor, VideoFailure
from g2l.inference.segment_rows import SegmentRow
from g2l.inference.sessions import open_session
from g2l.inference.torch_session import TorchSession
from g2l.models.metadata import METADATA_KEY, ModelMetadata
from g2l.models.official import load_official
from g2l.models.registry import build_backbone
from g2l.receptive_field import describe
from g2l.search.journal import read_journal
from g2l.structure import DilationStructure
from g2l.structure_files import Dialect, read_layer_rates, read_structure, write_structure


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        name: For the report.
        file: Name of the file it is given.
        whole: Files that it reads.
        read: Reads a file and checks what it got.
        mutants: Each makes a spoilt file of a whole one.
        count: Spoilt files per mutator.
    """

    name: str
    file: str
    whole: list[bytes]
    read: Callable[[Path], object]
    count: int
    mutants: tuple[Callable, ...] = (mutated,)


METADATA = ModelMetadata(
    structure=DilationStructure(((1, 2),)),
    backbone=BackboneConfig(stages=1, layers=2, feature_maps=3),
    classes=("a", "b"),
    feature_dim=4,
    sample_rate=2,
    normalize=Normalization.TRAIN,
    mean=(0.0, 0.1, 0.2, 0.3),
    std=(1.0,) * 4,
    transitions=((0, 1, 3),),
)
VIDEO = np.random.default_rng(0).standard_normal((4, 10), dtype=np.float32)


def npy_file(array):
    content = BytesIO()
    np.save(content, array)
    return content.getvalue()


def _read_npy(path):
    found = open_features(path).read()
    plain = np.load(path, allow_pickle=False)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(found, plain.astype(np.float32))
    assert found.ndim == 2
    assert np.isfinite(found).all()


def _read_stored(path):
    for source in open_sources(path, None).values():
        copy_features(source, path.parent.parent / "copy.npy")


def _npz(array):
    content = BytesIO()
    np.savez_compressed(content, features=array)
    return content.getvalue()


def _mat(array):
    content = BytesIO()
    savemat(content, {"X": array})
    return content.getvalue()


def _hdf5(array):
    content = BytesIO()
    with h5py.File(content, "w") as file:
        file["features"] = array
    return content.getvalue()


def _read_eaf(path):
    faults = []
    found = read_eaf_segments(path.parent, [path], 10.0, None, faults)
    assert all("\n" not in str(fault) for fault in faults)
    assert all(0 <= each.start < each.end for rows in found.segments.values() for each in rows)


def _eaf(folder):
    path = folder / "whole.eaf"
    rows = [
        SegmentRow("a", 0, "pour", 0, 10, 0.0, 1.0, 0.9, 0.1),
        SegmentRow("a", 1, "cut", 10, 25, 1.0, 2.5, 0.8, 0.2),
    ]
    write_eaf(path, "a", rows, 10.0)
    return path.read_bytes()


def _read_mapping(path):
    names = read_mapping(path).names
    assert len(set(names)) == len(names) > 0
    assert all(name.strip() == name != "" for name in names)


def _read_bundle(path):
    assert all(name_fault(name) is None for name in read_bundle(path))


def _read_labels(path):
    labels = read_labels(path, ClassMapping(("background", "cut it", "pour")))
    assert len(labels) > 0
    assert 0 <= labels.min() <= labels.max() < 3


def _read_names(path):
    reader = FrameReader()
    assert 0 <= reader.read(path).min() <= len(reader.names)


def _read_table(path):
    faults = []
    table = read_segments(path, None, faults)
    assert all("\n" not in str(fault) for fault in faults)
    assert all(0 <= each.start < each.end for rows in table.segments.values() for each in rows)


def _read_structure(path):
    found = read_structure(path)
    assert min(found.structure.rates) >= 1
    found.topology.receptive_field(found.structure)


def _structures(folder):
    found = []
    for dialect in Dialect:
        for backbone, stages in (("ms-tcn", ((1, 2), (4, 8))), ("ms-tcn++", ((1, 2, 3, 4), (4, 8)))):
            path = folder / "whole.json"
            write_structure(path, DilationStructure(stages), dialect, backbone=backbone, causal=True)
            found.append(path.read_bytes())
    return found


def _journal():
    task = {"structure": [[1, 2]], "budget": {"amount": 3, "unit": "steps"}, "seed": 1}
    outcome = {"metrics": {"f": 1.0}, "seconds": 0.5, "status": "done", "reason": None, "checkpoint": None}
    lines = [
        {"event": "header", "schema": "g2l.journal/1"},
        {"event": "evaluation", "evaluation": task | outcome, "cached": False},
        {"event": "generation", "generation": 0, "population": []},
        {"event": "end"},
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def file_targets(folder):
    """Everything that is read without a network."""
    arrays = [npy_file(VIDEO), npy_file(VIDEO.astype(">f8").T)]
    classes = b"0 background\n1 cut it\n2 pour\n3 x\n"
    lines = b"background\ncut it\npour\npour\n" * 3
    table = b"video,label,start,end\na,cut it,0,10\na,pour,10,25\nb,pour,0,7\n"
    json_only = (mutated, mutated_json)
    return [
        Target("features", "a.npy", arrays, _read_npy, 250, (mutated, mutated_npy)),
        Target("archive", "stored/a.npz", [_npz(VIDEO)], _read_stored, 150),
        Target("matlab", "stored/a.mat", [_mat(VIDEO)], _read_stored, 150),
        Target("hdf5", "stored/a.h5", [_hdf5(VIDEO)], _read_stored, 150),
        Target("annotations", "a.eaf", [_eaf(folder)], _read_eaf, 150),
        Target("mapping", "mapping.txt", [classes], _read_mapping, 250),
        Target("bundle", "a.bundle", [b"a.txt\nb c.txt\nd.e.txt\n"], _read_bundle, 200),
        Target("labels", "a.txt", [lines], _read_labels, 200),
        Target("names", "b.txt", [lines, b"### Frame level recognition: ###\na b b c\n"], _read_names, 150),
        Target("segments", "a.csv", [table], _read_table, 250),
        Target("structure", "s.json", _structures(folder), _read_structure, 200, json_only),
        Target("layer rates", "r.json", _structures(folder), read_layer_rates, 80, json_only),
        Target("journal", "journal.jsonl", [_journal()], read_journal, 200),
    ]


def _network():
    torch.manual_seed(0)
    return build_backbone(METADATA.backbone, METADATA.structure, feature_dim=4, num_classes=2)


def safetensors_file(metadata: str):
    # One entry: of several, safetensors mixes the order, and the spoilt files would differ from run to run.
    return save(_network().state_dict(), metadata={METADATA_KEY: metadata})


def graph_file(metadata: str, *, masked: bool = False):
    weight = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 4, "frames"])]
    nodes = [
        helper.make_node("Conv", ["features", "weight"], ["logits"], pads=[2, 2], dilations=[2]),
        helper.make_node("Softmax", ["masked" if masked else "logits"], ["probabilities"], axis=1),
    ]
    if masked:
        inputs.append(helper.make_tensor_value_info("frame_mask", TensorProto.FLOAT, ["batch", 1, "frames"]))
        nodes.insert(1, helper.make_node("Mul", ["logits", "frame_mask"], ["masked"]))
    output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2, "frames"])
    graph = helper.make_graph(nodes, "g", inputs, [output], [numpy_helper.from_array(weight, "weight")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {METADATA_KEY: metadata})
    return model.SerializeToString()


def spoilt_metadata(build):
    """Make a file whose metadata is spoilt, and nothing else."""

    def spoil(data, random):
        described = replace(METADATA, layers=describe(_network())) if random.random() < 0.5 else METADATA
        text = mutated_json(described.to_json().encode(), random).decode("utf-8", "replace")
        return build(text)

    return spoil


def state_dict_file():
    content = BytesIO()
    torch.save(_network().state_dict(), content)
    return content.getvalue()


def _predict(session, path):
    video = path.parent / "video.npy"
    if not video.exists():
        np.save(video, VIDEO)
    (result,) = Predictor(session).predict([video])
    if isinstance(result, VideoFailure):
        assert result.error.message.count(str(video)) == 1
        return
    assert result.probabilities.shape == (len(session.metadata.classes), 10)
    assert result.labels.shape == (10,)


def _read_official(path):
    _predict(TorchSession(*load_official(path, structure=None, classes=("a", "b"))), path)


def _read_model(path):
    _predict(open_session(path, "cpu"), path)


def model_targets(folder):
    """Models of every kind."""
    plain = METADATA.to_json()
    graphs = [graph_file(plain), graph_file(plain, masked=True)]
    weights = [safetensors_file(plain)]
    about_graph, about_weights = (
        (mutated, spoilt_metadata(graph_file)),
        (mutated, spoilt_metadata(safetensors_file)),
    )
    return [
        Target("onnx", "m.onnx", graphs, _read_model, 250, about_graph),
        Target("safetensors", "m.safetensors", weights, _read_model, 200, about_weights),
        Target("state dict", "m.model", [state_dict_file()], _read_official, 100),
    ]
