from __future__ import annotations

import json
import os
import unicodedata
from dataclasses import replace

import numpy as np
import pytest

from g2l.datasets.facts import write_dataset_facts
from g2l.errors import InputError
from g2l.inference.evaluate import data_set_of, evaluate_predictions, require_fitting
from g2l.inference.segments import RECOGNITION_HEADER
from g2l.metrics.segments import Convention

TRUTH = {"a": "background cut cut cut pour pour", "b.c": "cut pour pour pour"}
PREDICTED = {"a": "background cut cut pour pour pour", "b.c": "cut cut pour background"}


@pytest.fixture
def folders(tmp_path):
    for folder, videos in (("truth", TRUTH), ("predicted", PREDICTED)):
        (tmp_path / folder).mkdir()
        for name, frames in videos.items():
            (tmp_path / folder / f"{name}.txt").write_text("\n".join(frames.split()))
    (tmp_path / "truth" / "train-video.txt").write_text("cut\n")
    (tmp_path / "predicted" / "segments.csv").write_text("video,segment\n")
    (tmp_path / "predicted" / ".a.txt.half").write_text("cut\n")
    return tmp_path


def evaluate(folders, **options):
    return evaluate_predictions(folders / "predicted", folders / "truth", **options)


def test_all_predictions_are_scored_by_name(folders):
    report = evaluate(folders)
    assert report.metrics == {
        "videos": 2,
        "frames": 10,
        "accuracy": 70.0,
        "edit": 100.0,
        "f1@10": 100.0,
        "f1@25": 100.0,
        "f1@50": 75.0,
    }
    assert report.video_scores["a"].metrics()["accuracy"] == pytest.approx(500 / 6)
    assert report.video_scores["b.c"].metrics()["f1@50"] == 50.0
    assert report.classes == ("background", "cut", "pour")
    assert report.confusion == [[1, 0, 0], [0, 3, 1], [1, 1, 3]]
    assert report.per_class["classes"]["cut"]["precision"] == 75.0
    assert evaluate(folders, convention=Convention.G2L).metrics["f1@50"] != 75.0


def test_evaluation_json_holds_what_a_report_shows(folders, tmp_path):
    report = evaluate(folders)
    assert report.write(tmp_path / "out") == tmp_path / "out" / "metrics.json"
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (found["schema"], found["metrics"]) == ("g2l.evaluation/1", report.metrics)
    assert (found["classes"], found["background"]) == (["background", "cut", "pour"], ["background"])
    assert found["videos"]["a"] == {
        "metrics": report.video_scores["a"].metrics(),
        "truth": [[0, 1], [1, 4], [2, 6]],
        "prediction": [[0, 1], [1, 3], [2, 6]],
    }
    assert (found["confusion"], found["per_class"]) == (report.confusion, report.per_class)


def test_what_was_smoothed_is_scored_before_and_after(folders):
    plain = evaluate(folders)
    assert plain.unsmoothed is None
    kept = folders / "predicted" / "unsmoothed"
    kept.mkdir()
    (kept / "a.txt").write_text("\n".join(["cut", "background", "cut", "cut", "pour", "pour"]))
    report = evaluate(folders)
    assert report.metrics == plain.metrics
    assert report.unsmoothed.keys() == report.metrics.keys()
    assert report.unsmoothed["accuracy"] == 60.0  # 4 of 6 frames, and 2 of 4 of the video never smoothed
    assert report.unsmoothed["edit"] < report.metrics["edit"]
    written = json.loads(report.write(folders / "out").read_text())
    assert written == report.metrics | {"unsmoothed": report.unsmoothed}
    assert evaluate(folders, videos=["b.c"]).unsmoothed is None


def test_old_recognition_files_score_the_same(folders):
    expected = evaluate(folders)
    for name, frames in PREDICTED.items():
        (folders / "predicted" / f"{name}.txt").unlink()
        (folders / "predicted" / name).write_text(f"{RECOGNITION_HEADER}\n{frames}\n")
    assert evaluate(folders) == expected


def test_within_the_tolerance_the_common_prefix_is_scored(folders, caplog):
    expected = evaluate(folders).metrics
    with (folders / "predicted" / "a.txt").open("a") as file:
        file.write("\npour\n")
    assert evaluate(folders).metrics == expected
    assert "7 frames against 6; the common prefix is scored" in caplog.text
    with pytest.raises(InputError, match=r"predicted/a.txt: expected 6 frames as in .*truth/a.txt.* found 7"):
        evaluate(folders, length_tolerance=0)


def test_what_is_missing_is_named_up_to_ten(folders):
    videos = ["a", *(f"v{number:02}" for number in range(12))]
    message = r"expected the prediction of every requested video, but lacks v00, .*v09 and 2 more"
    with pytest.raises(InputError, match=message):
        evaluate(folders, videos=videos)
    (folders / "truth" / "b.c.txt").unlink()
    with pytest.raises(InputError, match=r"truth: expected the ground truth .*, but lacks b.c"):
        evaluate(folders)


def test_classes_have_the_numbers_of_the_model_and_absent_ones_no_scores(folders):
    report = evaluate(folders, classes=("pour", "stir", "background"))
    assert report.classes == ("pour", "stir", "background", "cut")
    assert report.strips["a"]["truth"] == [[2, 1], [3, 4], [0, 6]]
    assert report.metrics == evaluate(folders).metrics
    rows = report.per_class["classes"]
    assert (rows["stir"]["precision"], rows["stir"]["support"]) == (None, 0)
    assert rows["cut"]["precision"] == 75.0


def test_a_perfect_video_of_background_has_no_edit_and_no_f1(folders):
    for folder in ("truth", "predicted"):
        (folders / folder / "still.txt").write_text("background\n" * 5)
    report = evaluate(folders)
    assert report.metrics["f1@50"] == 75.0
    report.write(folders / "out")
    written = json.loads((folders / "out" / "evaluation.json").read_text())
    undefined = dict.fromkeys(("edit", "f1@10", "f1@25", "f1@50"))
    assert written["videos"]["still"]["metrics"] == {"frames": 5, "accuracy": 100.0, **undefined}


def test_names_of_files_match_in_any_unicode_form(folders):
    name = "cut_\u00e9"
    (folders / "predicted" / f"{name}.txt").write_text("cut\n")
    (folders / "truth" / f"{unicodedata.normalize('NFD', name)}.txt").write_text("cut\n")
    assert evaluate(folders, videos=[name]).metrics["accuracy"] == 100.0
    assert evaluate(folders, videos=[unicodedata.normalize("NFD", name)]).metrics["accuracy"] == 100.0


@pytest.mark.parametrize(("folder", "kind"), [("truth", "pipe"), ("predicted", "device")])
def test_labels_that_are_not_a_regular_file_are_refused_at_once(folders, folder, kind):
    path = folders / folder / "a.txt"
    path.unlink()
    os.mkfifo(folders / "pipe")
    path.symlink_to("/dev/zero" if kind == "device" else folders / "pipe")
    with pytest.raises(InputError, match=rf"{folder}/a\.txt: .*{kind}"):
        evaluate(folders)


def test_ground_truth_with_classes_that_the_model_lacks_is_refused_by_name(folders, metadata):
    videos = [folders / "features" / f"{name}.npy" for name in ("a", "b.c")]  # unreadable: passed over here
    require_fitting(videos, folders / "truth", metadata, 0)
    smaller = replace(metadata, classes=("background", "pour"))
    with pytest.raises(InputError, match=r"a\.txt: expected classes of the model, but found 'cut'") as caught:
        require_fitting(videos, folders / "truth", smaller, 0)
    assert "background, pour" in caught.value.hint


def test_ground_truth_of_another_length_is_refused_before_the_prediction(folders, metadata):
    np.save(folders / "a.npy", np.zeros((metadata.feature_dim, 9), np.float32))
    require_fitting([folders / "a.npy"], folders / "truth", metadata, 3)
    with pytest.raises(InputError, match=r"truth/a\.txt: expected 9 frames as in .*a\.npy, but found 6"):
        require_fitting([folders / "a.npy"], folders / "truth", metadata, 2)


def test_classes_and_background_are_those_of_the_data_set(folders):
    truth = (folders / "truth").rename(folders / "groundTruth")
    assert data_set_of(truth) == ((), {})
    (folders / "mapping.txt").write_text("0 pour\n1 cut\n2 background\n")
    write_dataset_facts(folders, {"background": ["cut"]})
    assert data_set_of(truth) == (("pour", "cut", "background"), {"background": ("cut",)})
