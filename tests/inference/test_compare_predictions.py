from __future__ import annotations

import json

import numpy as np
import pytest

from g2l.errors import InputError
from g2l.inference.evaluate import COMPARED, compare_predictions, evaluate_predictions

CLASSES = np.array(["background", "cut", "pour"])


@pytest.fixture
def reports(tmp_path):
    """Evaluations of good and of bad predictions of twelve videos."""
    generator = np.random.default_rng(0)
    for number in range(12):
        truth = np.repeat(generator.integers(0, 3, 8), 10)
        good, bad = np.roll(truth, 1), np.where(generator.random(80) < 0.3, 1, truth)
        for folder, labels in (("truth", truth), ("good", good), ("bad", bad)):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / f"v{number}.txt").write_text("\n".join(CLASSES[labels]))
    return [evaluate_predictions(tmp_path / folder, tmp_path / "truth") for folder in ("good", "bad")]


def test_the_better_folder_is_better_by_every_metric(reports):
    good, bad = reports
    found = compare_predictions(good, bad)
    assert list(found.metrics) == list(COMPARED)
    for name, one in found.metrics.items():
        if name != "f1":
            assert one.estimate == pytest.approx(good.metrics[name] - bad.metrics[name])
        assert one.verdict == "better"
        assert (one.sample(), one.videos) == ("12 videos", 12)
    assert compare_predictions(bad, good).metrics["edit"].verdict == "worse"
    assert compare_predictions(good, good).metrics["edit"].verdict == "equal"


def test_classes_are_compared_by_their_frames(reports):
    good, bad = reports
    found = compare_predictions(good, bad)
    assert set(found.classes) == set(CLASSES)
    here, there = found.classes["cut"]
    assert here == good.per_class["classes"]["cut"]["f1-score"]
    assert there == bad.per_class["classes"]["cut"]["f1-score"]
    written = json.loads(json.dumps(found.as_dict()))
    assert written["classes"]["cut"]["difference"] == here - there
    assert written["metrics"]["f1"]["verdict"] == "better"


def test_other_videos_cannot_be_compared(reports, tmp_path):
    (tmp_path / "bad" / "v3.txt").unlink()
    fewer = evaluate_predictions(tmp_path / "bad", tmp_path / "truth")
    for pair in ((reports[0], fewer), (fewer, reports[0])):
        with pytest.raises(InputError, match=r"bad: expected the prediction of every compared video.* v3"):
            compare_predictions(*pair)
