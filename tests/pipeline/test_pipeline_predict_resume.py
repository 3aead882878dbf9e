"""What a second `predict` into the same folder does again, and what it leaves alone."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from g2l.config import BackboneConfig
from g2l.errors import InputError, OperationalError
from g2l.files import read_json
from g2l.inference import predictor, tiling
from g2l.inference.devices import Device
from g2l.inference.segments import Format
from g2l.inference.sessions import TorchSession
from g2l.inference.smoothing import Smoothing, SmoothingKind
from g2l.inference.writers import Outputs, PredictionWriter
from g2l.models.metadata import ModelMetadata
from g2l.models.registry import build_backbone
from g2l.pipeline.context import RunContext
from g2l.pipeline.output import refuse_foreign_folder
from g2l.pipeline.predict import predict, require_success
from g2l.structure import DilationStructure

NAMES = ("a", "b", "c.d", "e")
CLASSES = ("cut", "pour", "stir")


def session_of(seed):
    torch.manual_seed(seed)
    structure, backbone = DilationStructure(((1, 2),)), BackboneConfig(stages=1, layers=2, feature_maps=4)
    network = build_backbone(backbone, structure, feature_dim=5, num_classes=3)
    with torch.no_grad():
        for weights in network.parameters():
            weights *= 4
    metadata = ModelMetadata(structure=structure, backbone=backbone, classes=CLASSES, feature_dim=5, fps=7.0)
    return TorchSession(network, metadata, Device.CPU)


@pytest.fixture
def data(tmp_path):
    """Folders of features and of ground truth."""
    generator = np.random.default_rng(0)
    for folder in ("features", "truth"):
        (tmp_path / folder).mkdir()
    for name in NAMES:
        np.save(tmp_path / "features" / f"{name}.npy", generator.standard_normal((5, 40), np.float32))
        lines = generator.choice(CLASSES, 40)
        (tmp_path / "truth" / f"{name}.txt").write_text("\n".join(lines))
    return tmp_path


@pytest.fixture
def work(data, monkeypatch):
    """Predicts into `out`, and returns the outcome and the names of what was written."""

    def run(*, resume=True, seed=0, features=None, **options):
        written = []
        original = PredictionWriter.add

        def add(writer, prediction):
            written.append(prediction.name)
            return original(writer, prediction)

        with monkeypatch.context() as patch:
            patch.setattr(PredictionWriter, "add", add)
            context = RunContext(folder=data / "out", device="cpu", resume=resume)
            options.setdefault("overwrite", not resume)
            return predict(context, session_of(seed), features or [data / "features"], **options), written

    return run


def content(folder: Path) -> dict[str, bytes]:
    records = {"predictions.jsonl", "run.json", "status.json", "result.json", "manifest.json"}
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in records]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_what_is_done_is_left_alone_and_counts_in_segments_and_scores(data, work):
    first, written = work(resume=False, ground_truth=data / "truth")
    assert (written, first.resumed) == (list(NAMES), 0)
    before = content(data / "out")
    (data / "out" / "segments.csv").unlink()
    (data / "out" / "metrics.json").unlink()
    second, written = work(ground_truth=data / "truth")
    assert (written, second.resumed, second.videos) == ([], 4, NAMES)
    assert content(data / "out") == before
    assert read_json(data / "out" / "metrics.json")["videos"] == 4
    assert second.frames == 0


def test_an_interrupted_prediction_ends_as_an_uninterrupted_one(data, work, monkeypatch):
    """Byte for byte, the dates in annotations too; only what is missing is done."""
    outputs = Outputs(formats=(Format.EAF,))
    for path in (data / "features").iterdir():
        os.utime(path, (1_580_688_000, 1_580_688_000))
    expected = work(resume=False, outputs=outputs) and content(data / "out")
    assert b'DATE="2020-02-03T00:00:00+00:00"' in expected["a.eaf"]
    for path in (data / "out").iterdir():
        path.unlink()
    original = PredictionWriter.add

    def interrupted(writer, prediction):
        if prediction.name == "c.d":
            raise KeyboardInterrupt
        return original(writer, prediction)

    with monkeypatch.context() as patch:
        patch.setattr(PredictionWriter, "add", interrupted)
        context = RunContext(folder=data / "out", device="cpu")
        with pytest.raises(KeyboardInterrupt):
            predict(context, session_of(0), [data / "features"], outputs=outputs)
    assert set(content(data / "out")) == {"a.txt", "a.eaf", "b.txt", "b.eaf"}
    _, written = work(outputs=outputs)
    assert written == ["c.d", "e"]
    assert content(data / "out") == expected


def rewrite(path):
    np.save(path, np.ones((5, 40), np.float32))


CHANGES = {
    "a file is gone": lambda data: (data / "out" / "b.txt").unlink(),
    "the features changed": lambda data: rewrite(data / "features" / "b.npy"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_makes_a_video_be_done_again_and_no_other(data, work, change):
    work(resume=False)
    CHANGES[change](data)
    assert work()[1] == ["b"]
    assert work()[1] == []


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("name", ["b.json", "b.txt", "segments.csv"])
def test_what_somebody_has_edited_is_kept_and_made_again(data, work, name, resume, caplog):
    outputs = Outputs(formats=(Format.JSON,))
    work(resume=False, outputs=outputs)
    before = content(data / "out")
    for text, kept in (("corrected", name), ("corrected again", f"{name}~")):
        (data / "out" / name).write_text(text)
        work(resume=resume, outputs=outputs)
        before[f"edited/{kept}"] = text.encode()
        assert content(data / "out") == before
        assert f"{name}: was changed since g2l wrote it" in caplog.text
    work(outputs=outputs, features=[data / "features" / "a.npy"])
    assert (data / "out" / "edited" / name).read_text() == "corrected"


def test_a_file_that_was_only_touched_or_copied_is_left_alone(data, work):
    work(resume=False)
    os.utime(data / "out" / "b.txt", ns=(1, 1))
    assert work()[1] == []


def test_a_kill_while_a_video_is_replaced_is_no_edit(data, work, monkeypatch):
    work(resume=False)
    rewrite(data / "features" / "b.npy")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("g2l.pipeline.predict.append_line", killed)
        with pytest.raises(KeyboardInterrupt):
            work()
    assert work()[1] == ["b"]


@pytest.mark.parametrize("count", [1, 8])
def test_a_kill_while_files_are_removed_leaves_a_folder_that_is_known(data, work, monkeypatch, count):
    work(resume=False)

    def killed(folder, names):
        for name in sorted(names, reverse=True)[:count]:
            (folder / name).unlink(missing_ok=True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("g2l.pipeline.predict.remove_files", killed)
        with pytest.raises(KeyboardInterrupt):
            work(resume=False)
    refuse_foreign_folder(data / "out")
    assert work(resume=False)[0].videos == NAMES


def test_another_model_or_other_outputs_do_all_again(data, work):
    work(resume=False)
    assert work(seed=1)[1] == list(NAMES)
    assert work(seed=1, outputs=Outputs(probabilities=True))[1] == list(NAMES)
    assert work(seed=1, outputs=Outputs(probabilities=True))[1] == []
    assert work(seed=1)[1] == list(NAMES)
    assert work(seed=1, resume=False)[1] == list(NAMES)


def test_a_video_that_failed_is_tried_again(data, work):
    good = (data / "features" / "b.npy").read_bytes()
    (data / "features" / "b.npy").write_bytes(good[:100])
    outcome, written = work(resume=False)
    assert ([failure.name for failure in outcome.failures], written) == (["b"], ["a", "c.d", "e"])
    (data / "features" / "b.npy").write_bytes(good)
    outcome, written = work()
    assert (outcome.failures, written, outcome.resumed) == ((), ["b"], 3)
    rows = (data / "out" / "segments.csv").read_text().splitlines()[1:]
    videos = [row.partition(",")[0] for row in rows]
    assert list(dict.fromkeys(videos)) == list(NAMES)


LINE = {"video": "a", "made_by": "x", "features": None, "files": {}, "segments": []}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe garbage",
        b"[1]\n17\nnull\n",
        b'{"video": "a"}\n',
        json.dumps(LINE).encode(),
        json.dumps(LINE | {"files": 3, "segments": [[1]]}).encode(),
        b"[" * 100_000,
    ],
)
def test_a_record_that_says_nothing_is_as_good_as_none(data, work, text):
    (data / "out").mkdir()
    (data / "out" / "predictions.jsonl").write_bytes(text)
    assert work()[1] == list(NAMES)
    assert work()[1] == []


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
def test_a_line_torn_by_a_kill_is_done_again(data, work, keep):
    work(resume=False)
    path = data / "out" / "predictions.jsonl"
    *lines, last = path.read_text().splitlines()
    path.write_text("\n".join([*lines, last[: int(len(last) * keep)]]))
    assert work()[1] == ["e"]
    assert work()[1] == []


def test_names_that_can_have_no_files_are_refused_one_by_one_before_anything_is_predicted(data, work):
    """`a` comes before `a.txt`, whose recognition file would be the labels of `a`."""
    names = {
        "a.txt": "would belong to video 'a.txt', but is of video 'a'",
        "predictions.jsonl": "is of the folder itself",
        "line\nbreak": "holds a control character",
        "back\\slash": "holds a path separator",
        "..": "names a folder",
        "ä" * 101: "is too long",
    }
    for name in names:
        (data / "other").mkdir(exist_ok=True)
        os.link(data / "features" / "b.npy", data / "other" / f"{name}.npy")
    outputs = Outputs(formats=("mstcn",))
    features = [data / "features", *sorted((data / "other").iterdir())]
    for resume, done in ((False, list(NAMES)), (True, [])):
        outcome, written = work(resume=resume, outputs=outputs, features=features)
        assert written == done
        failures = {failure.name: failure.error for failure in outcome.failures}
        assert failures.keys() == names.keys()
        for name, error in failures.items():
            assert isinstance(error, InputError)
            assert names[name] in error.message
        assert outcome.videos == NAMES
    with pytest.raises(OperationalError, match=r"^6 of 10 videos could not be predicted"):
        require_success(outcome)
    files = {f"{name}{suffix}" for name in NAMES for suffix in ("", ".txt")}
    assert content(data / "out").keys() == files | {"segments.csv"}


def test_long_videos_leave_the_same_files_as_short_memory(data, work, monkeypatch):
    smoothing = Smoothing(kind=SmoothingKind.MEDIAN, duration="5")
    everything = Outputs(probabilities=True, formats=tuple(Format), smoothing=smoothing)
    plan = predictor.plan_capacity
    for outputs in (everything, Outputs()):
        with monkeypatch.context() as patch:
            work(resume=False, outputs=outputs)
            expected = content(data / "out")
            patch.setattr(tiling, "_SMALLEST", 1)
            patch.setattr(predictor, "plan_capacity", lambda *_: replace(plan(*_), frames=12, kept_bytes=0))
            work(resume=False, outputs=outputs)
        found = content(data / "out")
        assert found.keys() == expected.keys()
        for name, text in expected.items():
            if name.endswith(".npy"):
                values = (np.load(io.BytesIO(each)) for each in (found[name], text))
                np.testing.assert_allclose(*values, rtol=0, atol=1e-6)
            else:
                assert found[name] == text
