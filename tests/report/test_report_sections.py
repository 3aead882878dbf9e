"""What a report says, in words and numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.comparison_coverage import simulate
from g2l.metrics.video_comparison import compare_videos
from g2l.progress import duration
from g2l.report import progress
from g2l.report.answer import PAPER_TRAININGS, across, cost, full_trainings, result
from g2l.report.blocks import Matrix
from g2l.report.facts import RunFacts, SeedFacts, TrainingFacts, VideoFacts
from g2l.report.origin import command_line, data, reproduce
from g2l.report.predictions import chosen, predictions
from g2l.report.progress import curves, fitness, shapes
from g2l.report.reading import read_run
from g2l.report.render import build_report
from g2l.report.structures import paths, structure
from g2l.report.words import count, frames, points, receptive_field
from g2l.structure import DilationStructure, LayerTopology
from tests.report.generated_run import context, metrics, search_of_shapes

EMPTY = RunFacts(label="nothing", source="nothing", kind="predict", settings={})
ONES = DilationStructure(((1, 1),))


@pytest.fixture(scope="module")
def run(generated):
    return read_run(generated)


def texts(section) -> str:
    return " ".join(getattr(block, "text", "") for block in section)


def tables(section) -> list:
    inner = [getattr(block, "table", None) for block in section]
    return [block for block in (*section, *inner) if getattr(block, "kind", "") == "table"]


def test_the_result_is_the_verdict_then_the_figure_then_the_table(run):
    shipped, lead, picture, means, seeds, reason, seen, accuracy, leaders = result([run])
    assert (shipped.text, shipped.kind) == ("The local structure is shipped: shown to be better.", "lead")
    assert (reason.text, reason.kind) == ("It was tried.", "paragraph")
    assert lead.text.startswith(
        "Searched structure, compared with the hand-designed structure in mean F1 on the test videos of "
        "kitchen split 1: better by 2.0 (95 % interval "
    )
    assert picture.alternative.startswith("From 60.5 to 62.5 in mean F1, at 1.00 × the multiply-adds.")
    names = [text.get_text() for text in picture.draw().axes[0].texts]
    assert names[1:] == ["hand-designed (4×10)", "searched (4×10, shipped)"]
    assert (
        "of the hand-designed structure: 8,185 frames (545.67 s). The search cost as much as 5.1 full"
        in seen.text
    )
    assert means.rows[1][:4] == ("searched", "4×10", "1.00 ×", "2")
    assert means.rows[1][4:7] == ("72.5 ± 0.7", "63.5 ± 0.7", "65.5 ± 0.7")
    assert seeds.rows[3] == ("searched", "1", "73.0", "64.0", "66.0", "63.0", "60.0", "63.0")
    assert accuracy.text.startswith("kitchen split 1, accuracy: better by 2.0")
    assert (leaders.folded, len(leaders.rows)) == (True, 1)


def test_the_size_of_a_network_of_another_kind_is_not_guessed(run):
    other = replace(run, backbone=replace(run.backbone, name="custom"))
    assert [block.kind for block in result([other])][:3] == ["lead", "lead", "table"]


def test_shapes_are_shown_with_their_intervals_and_curves(tmp_path):
    run = read_run(search_of_shapes(tmp_path / "run"))
    (picture,) = shapes([run])
    assert picture.alternative == "4,2,2 is shown to be as good."
    assert result([run])[0].text == "On the hold-outs of kitchen split 1: 4,2,2 is shown to be as good."
    assert picture.table.rows[0] == (
        "4,2,2",
        "0.40 ×",
        "−1.0",
        "−1.4",
        "+0.5",
        "2",
        "shown",
    )
    assert "chosen" in [text.get_text() for text in picture.draw().legends[0].get_texts()]
    (picture,) = curves([run])
    assert picture.alternative.endswith("4,2,2: best at epoch 5 of 6 (59.5).")
    assert fitness([run]) == []


def test_curves_of_trainings_name_their_best_length(run):
    (picture,) = curves([run])
    assert picture.alternative == (
        "hand-designed: best at epoch 6 of 10 (59.3). searched: best at epoch 6 of 10 (61.3)."
    )
    (axes,) = picture.draw().axes
    assert axes.lines[1].get_xydata().tolist() == [[6, pytest.approx(59 + 1 / 3)]]


def test_context_is_its_sentence_and_its_scores(tmp_path):
    run = read_run(context(tmp_path / "run"))
    assert texts(result([run])) == "Beyond ± 62 frames nothing is gained."
    (picture,) = progress.context([run])
    assert picture.table.rows[1] == ("125", "60.0", "60.0", "70.0")
    assert picture.draw().axes[0].get_xlabel() == "receptive field (s)"


def test_trainings_of_two_runs_are_compared_if_nothing_else_differs(run):
    hand_designed, searched = run.trainings
    settings = {"data": {"dataset": "d", "split": 1, "data_root": "here"}, "recipe": {"epochs": 9}}
    known = replace(EMPTY, kind="train", settings=settings, dataset="d", split="1")
    baseline = replace(known, label="b", trainings=(hand_designed,))
    moved = settings | {"data": settings["data"] | {"data_root": "there"}}
    ours = replace(known, label="ours", settings=moved, trainings=(searched,))
    ((subject, name, difference),) = across([ours, baseline])
    assert (subject, name) == ("d split 1", "Structure searched of “ours”")
    assert (difference.estimate, difference.seeds) == (2.0, 2)
    assert texts(result([ours, baseline])).startswith("Structure searched of “ours”, compared with the hand-")
    assert list(across([replace(ours, settings=settings | {"recipe": {"epochs": 8}}), baseline])) == []
    other_seeds = replace(searched, seeds=tuple(replace(seed, seed=seed.seed + 5) for seed in searched.seeds))
    assert list(across([replace(ours, trainings=(other_seeds,)), baseline])) == []
    untested = [
        replace(one, seeds=tuple(replace(seed, test={}, videos={}) for seed in one.seeds))
        for one in run.trainings
    ]
    runs = [replace(ours, trainings=(untested[1],)), replace(baseline, trainings=(untested[0],))]
    assert list(across(runs)) == []


def test_the_splits_of_several_pipelines_are_compared_as_one(run):
    ours, theirs = simulate(np.random.default_rng(0), seeds=2, folds=2, videos=6, seed_points=1.0)
    runs = [
        replace(
            run,
            label=f"split {fold}",
            split=str(fold),
            trainings=tuple(
                replace(one, seeds=tuple(replace(seed, videos=side[fold, seed.seed]) for seed in one.seeds))
                for one, side in zip(run.trainings, (theirs, ours), strict=True)
            ),
        )
        for fold in range(2)
    ]
    ((subject, name, difference),) = across(runs)
    assert (subject, name) == ("kitchen splits 0, 1", "Structure searched")
    assert difference == compare_videos(ours, theirs)
    assert list(across(runs[:1])) == []


def test_cost_is_told_in_full_trainings_and_against_the_paper(run):
    assert full_trainings(run) == pytest.approx((12 * 120 + 400) / 360)
    assert pytest.approx(507.7, abs=0.05) == PAPER_TRAININGS
    section = cost([run])
    assert "The search cost as much as 5.1 full trainings" in texts(section)
    assert "about 508 (99 times as much)" in texts(section)
    (table,) = tables(section)
    assert table.columns == ("part", "trainings of candidates", "steps", "full trainings", "time")
    assert table.rows == [
        ("global search", "12", "1,440", "4.0", "12 s"),
        ("local search", "", "400", "1.1", ""),
        ("total", "", "1,840", "5.1", ""),
        ("G2L's settings", "5,800", "", "508", ""),
    ]


def test_splits_of_one_data_set_are_averaged_each_with_the_same_weight():
    def split(number, values):
        seeds = tuple(SeedFacts(seed, metrics(value), 9) for seed, value in enumerate(values))
        training = TrainingFacts("hand-designed", ONES, seeds)
        return replace(EMPTY, label=str(number), dataset="d", split=str(number), trainings=(training,))

    section = result([split(1, [50, 60]), split(2, [70])])
    assert tables(section)[-1].rows == [
        ("d", "hand-designed", "2", "72.5", "63.5", "65.5", "62.5", "59.5", "62.5")
    ]


def test_a_random_search_is_drawn_as_the_line_to_beat(run):
    chance = replace(run, label="by chance", search=replace(run.search, strategy="random"))
    assert "--strategy random" in texts(fitness([run]))
    (picture,) = fitness([run, chance])
    labels = [text.get_text() for text in picture.draw().legends[0].get_texts()]
    assert "by chance: best so far (random)" in labels
    assert "by chance (random): 12 scores" in picture.alternative


def test_the_structure_is_shown_beside_the_hand_designed_one(run):
    field, rates = structure([run])
    assert field.table.rows[0][:4] == (
        "hand-designed",
        "8,185 frames (545.67 s)",
        "4,092 frames (272.80 s)",
        "2,047",
    )
    bars = field.draw().axes[0].patches
    assert min(bar.get_x() for bar in bars) == pytest.approx(-4092 / 15)
    assert rates.table.rows[0][1] == "1 2 4 8 16 32 64 128 256 512"
    assert "no frame rate was given" in texts(structure([replace(run, fps=None)]))


def test_what_to_know_before_numbers_are_believed_is_a_warning(run):
    stopped = replace(run, unfinished="This run was stopped before its end (disk full).")
    assert "disk full" in result([stopped])[2].items[0]
    kept = replace(run, ending="multiple")
    assert structure([kept])[2].items[0].startswith("The network that was kept has several branches")


def test_paths_name_the_layer_that_went_furthest(run):
    (picture,) = paths([run])
    assert picture.alternative.startswith("10 updates of 40 layers; ")
    assert " Furthest, in proportion, went layer " in picture.alternative
    row = picture.table.rows[0]
    assert (row[0], row[1].count("→"), len(row[3].split())) == ("stage1.layers.0.conv_dilated", 10, 3)


def test_strips_show_the_truth_above_the_predictions_of_all_runs(run):
    shown, every = predictions([run])
    axes = shown.draw().axes
    assert [text.get_text() for text in axes[0].get_yticklabels()] == ["ground truth", "prediction"]
    assert (axes[-1].get_xlabel(), len(axes), every.caption[:12]) == ("seconds", 3, "All 4 videos")
    assert axes[0].get_title(loc="left") == "S0_Salad (best): mean F1 90.0, accuracy 100.0"
    other = replace(run, label="other")
    shown, _, _ = predictions([run, other])
    rows = [text.get_text() for text in shown.draw().axes[0].get_yticklabels()]
    assert rows == ["ground truth", "pipeline of kitchen split 1", "other"]
    fewer = replace(run.predictions, videos=dict(list(run.predictions.videos.items())[1:]))
    blocks = predictions([run, replace(other, predictions=fewer)])
    assert [block.kind for block in blocks] == ["heading", "picture", "table"] * 2


def test_the_best_the_median_and_the_worst_video_are_shown():
    values = (("a", 3), ("b", 9), ("c", 5), ("d", 1), ("e", 7))
    videos = {name: VideoFacts(metrics(value), ((0, 4),), ((0, 4),)) for name, value in values}
    assert chosen(videos) == {"b": "best", "c": "median", "d": "worst"}
    assert chosen({"a": videos["a"]}) == {"a": "best"}
    assert chosen({name: videos[name] for name in "ab"}) == {"b": "best", "a": "worst"}
    assert chosen({name: replace(one, metrics={}) for name, one in videos.items()})["a"] == ""


def test_confusions_are_sorted_by_frames():
    matrix = Matrix(
        caption="", names=("a", "b", "c"), numbers=(0, 1, 2), frames=((8, 2, 0), (5, 5, 0), (0, 0, 0))
    )
    assert matrix.shares == [[80, 20, 0], [50, 50, 0], [0, 0, 0]]
    assert matrix.confusions == [("b", "a", 5, 50.0), ("a", "b", 2, 20.0)]


def test_data_and_command_are_told(run):
    partitions = tables(data([run]))[1]
    assert partitions.rows[0] == ("train", "1", "700 (47 s)", "700", "700")
    command = reproduce([run])[0]
    assert command.text == "g2l pipeline --dataset kitchen --seeds 2"
    assert command_line(["/x/cli/__main__.py", "train", "--note", "a b"]) == "g2l train --note 'a b'"
    assert command_line(["script.py", "x"]) == "script.py x"


def test_sections_without_data_are_left_out():
    assert list(build_report([EMPTY]).sections) == ["result", "reproduce"]


def test_numbers_are_said_alike():
    assert (points(-0.04), points(-1.25, plus=True), points(None)) == ("0.0", "−1.2", "–")
    assert (count(1234.5), duration(89), duration(600), duration(9000)) == (
        "1,234",
        "89 s",
        "10 min",
        "2.5 h",
    )
    assert (frames(1, None), frames(30, 0.5)) == ("1 frame", "30 frames (15.00 s)")
    whole = LayerTopology(whole_video=True)
    assert receptive_field(whole, ONES, None) == ("whole video [5 frames]", "whole video [2 frames]")
