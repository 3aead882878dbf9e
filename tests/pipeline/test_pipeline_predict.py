from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from g2l.config import Selection
from g2l.datasets.dataset import SegmentationDataset
from g2l.errors import InputError, OperationalError
from g2l.files import read_json
from g2l.inference.evaluate import evaluate_predictions
from g2l.inference.sessions import open_session
from g2l.inference.smoothing import Smoothing, SmoothingKind
from g2l.inference.writers import Outputs, PredictionWriter
from g2l.pipeline.context import RunContext
from g2l.pipeline.output import read_manifest
from g2l.pipeline.predict import predict, record_evaluation, require_success
from g2l.pipeline.train import train
from g2l.records import RunKind, RunRecord, RunStatus, StatusRecord, read_result
from tests.pipeline.tiny_pipeline import training


@pytest.fixture(scope="module")
def model(tiny, tmp_path_factory):
    context = RunContext(folder=tmp_path_factory.mktemp("model") / "train", device="cpu")
    return train(context, training(tiny), 0, 1).seeds[0]


@pytest.fixture
def session(model):
    return open_session(model.model, "cpu")


@pytest.fixture
def test_videos(tiny):
    return SegmentationDataset.open(tiny).partitions(Selection.BEST).test


@pytest.fixture
def features(tiny, test_videos):
    return [tiny.data_root / "tiny" / "features" / f"{name}.npy" for name in test_videos]


def test_scores_are_those_of_the_training(context, tiny, model, session, features, test_videos):
    truth = tiny.data_root / "tiny" / "groundTruth"
    outcome = predict(context, session, features, ground_truth=truth)
    assert (outcome.videos, outcome.failures) == (test_videos, ())
    expected = dict(model.test)
    assert outcome.report.metrics == expected == read_json(context.folder / "metrics.json")
    assert StatusRecord.read(context.folder).status is RunStatus.FINISHED
    settings = RunRecord.read(context.folder).settings
    assert (settings["videos"], settings["device"]) == (3, session.device_report)
    result = read_result(context.folder)
    assert result["recorded"]["metrics"] == expected
    labels = {f"{name}.txt" for name in test_videos}
    assert set(result["artifacts"]) == {"segments.csv", "metrics.json", "evaluation.json", *labels}
    assert read_manifest(context.folder) == {*result["artifacts"], "predictions.jsonl"}
    for name in test_videos:
        lines = (context.folder / f"{name}.txt").read_text().splitlines()
        assert len(lines) == len((truth / f"{name}.txt").read_text().splitlines())
    require_success(outcome)


def test_turned_files_cause_one_warning(context, session, features, tmp_path, caplog):
    for path in features:
        np.save(tmp_path / path.name, np.load(path).T)
    outcome = predict(context, session, sorted(tmp_path.glob("*.npy")))
    assert outcome.failures == ()
    (warning,) = [record.getMessage() for record in caplog.records if "feature_dim" in record.getMessage()]
    assert "2 more like it" in warning


def test_without_ground_truth_there_are_no_scores(context, session, features):
    outcome = predict(context, session, features, outputs=Outputs(probabilities=True))
    assert outcome.report is None
    assert "recorded" not in read_result(context.folder)
    probabilities = [np.load(path, allow_pickle=False) for path in context.folder.glob("*.npy")]
    assert len(probabilities) == 3
    assert not (context.folder / "metrics.json").exists()


def test_the_effect_of_smoothing_is_recorded(context, tiny, session, features):
    smoothing = Smoothing(kind=SmoothingKind.VITERBI, weight=3)
    truth = tiny.data_root / "tiny" / "groundTruth"
    outcome = predict(context, session, features, ground_truth=truth, outputs=Outputs(smoothing=smoothing))
    report = outcome.report
    assert RunRecord.read(context.folder).settings["smoothing"] == "viterbi 3"
    before = {f"unsmoothed/{name}": value for name, value in report.unsmoothed.items()}
    assert read_result(context.folder)["recorded"]["metrics"] == report.metrics | before
    assert read_json(context.folder / "metrics.json") == report.as_dict()


def test_a_file_that_cannot_be_read_stops_no_other(context, session, features, tmp_path):
    (tmp_path / "torn.npy").write_bytes(features[0].read_bytes()[:200])
    outcome = predict(context, session, [tmp_path / "torn.npy", *features])
    assert len(outcome.videos) == 3
    assert [failure.name for failure in outcome.failures] == ["torn"]
    assert "torn.npy" in read_result(context.folder)["failures"]["torn"]
    with pytest.raises(OperationalError, match=r"^1 of 4 videos could not be predicted: torn\."):
        require_success(outcome)


def test_a_video_that_cannot_be_written_stops_no_other(context, session, features, monkeypatch):
    add = PredictionWriter.add

    def refusing(self, result):
        if result.name == features[0].stem:
            raise InputError("truth.txt: was changed.")
        return add(self, result)

    monkeypatch.setattr(PredictionWriter, "add", refusing)
    outcome = predict(context, session, features)
    assert [failure.name for failure in outcome.failures] == [features[0].stem]
    assert len(outcome.videos) == len(features) - 1


def test_when_nothing_can_be_read_nothing_is_left(context, session, tmp_path):
    np.save(tmp_path / "wide.npy", np.zeros((7, 20), np.float32))
    with pytest.raises(InputError, match=r"wide\.npy"):
        predict(context, session, [tmp_path / "wide.npy"])
    assert list(context.folder.iterdir()) == []


def test_a_missing_truth_is_told_first(context, tiny, session, features, tmp_path):
    shutil.copytree(tiny.data_root / "tiny" / "groundTruth", tmp_path / "truth")
    (tmp_path / "truth" / f"{features[0].stem}.txt").unlink()
    with pytest.raises(InputError, match=features[0].stem):
        predict(context, session, features, ground_truth=tmp_path / "truth")
    assert not (context.folder / "run.json").exists()


def test_predictions_made_before_can_be_recorded(context, tiny, session, features, tmp_path):
    predict(context, session, features)
    report = evaluate_predictions(context.folder, tiny.data_root / "tiny" / "groundTruth")
    scores = RunContext(folder=tmp_path / "scores")
    record_evaluation(scores, report)
    assert RunRecord.read(scores.folder).kind is RunKind.EVALUATE
    assert read_result(scores.folder)["recorded"]["metrics"] == report.metrics


def test_a_folder_of_predictions_is_replaced_only_when_asked_for(context, session, features, tiny):
    truth = tiny.data_root / "tiny" / "groundTruth"
    predict(context, session, features, ground_truth=truth, outputs=Outputs(probabilities=True))
    before = {path.name: path.read_bytes() for path in context.folder.iterdir()}
    with pytest.raises(InputError, match="already holds a predict run") as error:
        predict(context, session, features)
    assert "--overwrite" in error.value.hint
    assert {path.name: path.read_bytes() for path in context.folder.iterdir()} == before
    (context.folder / "notes.md").write_text("mine")
    predict(context, session, features[:1], overwrite=True)
    ours = {"run.json", "status.json", "result.json", "manifest.json", "predictions.jsonl", "segments.csv"}
    left = {path.name for path in context.folder.iterdir()}
    assert left == {*ours, f"{features[0].stem}.txt", "notes.md"}


@pytest.mark.parametrize("resume", [False, True])
def test_labels_that_g2l_did_not_write_are_not_replaced(context, session, features, resume):
    context.folder.mkdir()
    path = context.folder / f"{features[0].stem}.txt"
    path.write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(InputError, match=rf"not written by g2l: {path.name}"):
            predict(replace(context, resume=resume), session, features, overwrite=overwrite)
    assert [(each.name, each.read_text()) for each in context.folder.iterdir()] == [(path.name, "mine")]


def test_stale_files_do_not_stay_beside_resumed_predictions(context, session, features, tiny):
    truth = tiny.data_root / "tiny" / "groundTruth"
    outputs = Outputs(probabilities=True)
    predict(context, session, features, ground_truth=truth, outputs=outputs)
    outcome = predict(replace(context, resume=True), session, features[1:], outputs=outputs)
    assert outcome.resumed == 2
    names = {path.name for path in context.folder.iterdir()}
    assert not names & {"metrics.json", "evaluation.json", f"{features[0].stem}.txt"}
    assert not any(name.startswith(features[0].stem) for name in names)
    assert f"{features[1].stem}.probabilities.npy" in names
