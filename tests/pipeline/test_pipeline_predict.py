from __future__ import annotations

import shutil

import numpy as np
import pytest

from g2l.config import Selection
from g2l.datasets.dataset import SegmentationDataset
from g2l.errors import InputError, OperationalError
from g2l.files import read_json
from g2l.inference.evaluate import evaluate_predictions
from g2l.inference.sessions import open_session
from g2l.inference.smoothing.settings import Smoothing, SmoothingKind
from g2l.inference.writers import Outputs
from g2l.pipeline.predict import predict, record_evaluation, require_success
from g2l.pipeline.stage import Workplace
from g2l.pipeline.train import train
from g2l.tracking.protocol import RunKind, RunStatus
from tests.pipeline.tiny_pipeline import training


@pytest.fixture(scope="module")
def model(tiny, tmp_path_factory):
    place = Workplace(folder=tmp_path_factory.mktemp("model") / "train", device="cpu")
    return train(place, training(tiny), [0]).seeds[0]


@pytest.fixture
def session(model):
    return open_session(model.model, "cpu")


@pytest.fixture
def test_videos(tiny):
    return SegmentationDataset.open(tiny).partitions(Selection.BEST).test


@pytest.fixture
def features(tiny, test_videos):
    return [tiny.data_root / "tiny" / "features" / f"{name}.npy" for name in test_videos]


def test_scores_are_those_of_the_training(place, tracker, tiny, model, session, features, test_videos):
    truth = tiny.data_root / "tiny" / "groundTruth"
    outcome = predict(place, session, features, ground_truth=truth)
    assert (outcome.videos, outcome.failures) == (test_videos, ())
    expected = dict(model.test)
    assert outcome.report.metrics == expected == read_json(place.folder / "metrics.json")
    run = tracker.only(RunKind.PREDICT)
    assert run.status is RunStatus.FINISHED
    assert run.params["videos"] == 3
    assert outcome.device_report == run.params["device"]
    assert run.latest() == expected
    assert run.dicts["metrics.json"] == expected
    assert {"per_class.json", "confusion.json"} <= set(run.dicts)
    assert set(run.artifacts) == {"run.json", "segments.csv", "evaluation.json"}
    for name in test_videos:
        lines = (place.folder / f"{name}.txt").read_text().splitlines()
        assert len(lines) == len((truth / f"{name}.txt").read_text().splitlines())
    require_success(outcome)


def test_without_ground_truth_there_are_no_scores(place, tracker, session, features):
    outcome = predict(place, session, features, outputs=Outputs(probabilities=True))
    assert outcome.report is None
    assert tracker.only(RunKind.PREDICT).metrics == []
    probabilities = [np.load(path, allow_pickle=False) for path in place.folder.glob("*.npy")]
    assert len(probabilities) == 3
    assert not (place.folder / "metrics.json").exists()


def test_the_effect_of_smoothing_is_recorded(place, tracker, tiny, session, features):
    smoothing = Smoothing(kind=SmoothingKind.VITERBI, weight=3)
    truth = tiny.data_root / "tiny" / "groundTruth"
    outcome = predict(place, session, features, ground_truth=truth, outputs=Outputs(smoothing=smoothing))
    report, run = outcome.report, tracker.only(RunKind.PREDICT)
    assert run.params["smoothing"] == "viterbi 3"
    before = {f"unsmoothed/{name}": value for name, value in report.unsmoothed.items()}
    assert run.latest() == report.metrics | before
    assert run.dicts["metrics.json"] == read_json(place.folder / "metrics.json") == report.as_dict()


def test_a_file_that_cannot_be_read_stops_no_other(place, tracker, session, features, tmp_path):
    (tmp_path / "torn.npy").write_bytes(features[0].read_bytes()[:200])
    outcome = predict(place, session, [tmp_path / "torn.npy", *features])
    assert len(outcome.videos) == 3
    assert [failure.name for failure in outcome.failures] == ["torn"]
    assert tracker.only(RunKind.PREDICT).status is RunStatus.FINISHED
    with pytest.raises(OperationalError, match=r"^1 of 4 videos could not be predicted: torn\."):
        require_success(outcome)


def test_when_nothing_can_be_read_the_run_fails(place, tracker, session, tmp_path):
    np.save(tmp_path / "wide.npy", np.zeros((7, 20), np.float32))
    with pytest.raises(InputError, match=r"wide\.npy"):
        predict(place, session, [tmp_path / "wide.npy"])
    run = tracker.only(RunKind.PREDICT)
    assert run.status is RunStatus.FAILED
    assert "wide.npy" in run.reason


def test_a_missing_truth_is_told_first(place, tracker, tiny, session, features, tmp_path):
    shutil.copytree(tiny.data_root / "tiny" / "groundTruth", tmp_path / "truth")
    (tmp_path / "truth" / f"{features[0].stem}.txt").unlink()
    with pytest.raises(InputError, match=features[0].stem):
        predict(place, session, features, ground_truth=tmp_path / "truth")
    assert not tracker.runs


def test_predictions_made_before_can_be_recorded(place, tracker, tiny, session, features):
    predict(place, session, features)
    report = evaluate_predictions(place.folder, tiny.data_root / "tiny" / "groundTruth")
    record_evaluation(place, report)
    run = tracker.only(RunKind.EVALUATE)
    assert (run.status, run.latest()) == (RunStatus.FINISHED, report.metrics)
