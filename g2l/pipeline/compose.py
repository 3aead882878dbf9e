"""The whole pipeline: global search, local search, training against the baseline, export, prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from g2l.config import BackboneConfig, DataConfig, RecipeConfig, Selection
from g2l.datasets.dataset import SegmentationDataset
from g2l.files import write_json
from g2l.inference.sessions import open_session
from g2l.metrics.comparison import Comparison
from g2l.models.artifact import load_model
from g2l.pipeline.candidates import GlobalSearchTask
from g2l.pipeline.contest import Contender, differences, tracked_differences
from g2l.pipeline.export import export_model
from g2l.pipeline.global_search import check_plan, search_globally
from g2l.pipeline.local_search import LocalSearchOutcome, LocalSearchTask, search_locally
from g2l.pipeline.predict import predict, require_success
from g2l.pipeline.search_outcome import GlobalSearchOutcome
from g2l.pipeline.stage import Stage, Workplace, open_stage
from g2l.pipeline.train import Training, TrainingOutcome, train
from g2l.receptive_field import Ending
from g2l.report.write import write_report
from g2l.search.budget import CostPlan
from g2l.search.events import SearchObserver
from g2l.search.loop import WITHOUT_INFLUENCE
from g2l.search.space import check_limits
from g2l.search_config import GlobalSearchConfig, LocalSearchConfig
from g2l.structure import DilationStructure
from g2l.structure_files import write_structure
from g2l.tracking.protocol import RunKind

MODEL = "model.onnx"
SUMMARY = "summary.json"
REPORT = "report.html"


@dataclass(frozen=True, kw_only=True)
class PipelineTask:
    """What the pipeline does.

    Attributes:
        data: Data set, split and how it is read.
        backbone: Size of the network.
        recipe: How networks are trained, the baseline and the searched one alike.
        global_search: Settings of the global search.
        local_search: Settings of the local search.
        seeds: Trainings of each structure.
        seed: First seed; also that of both searches.
    """

    data: DataConfig
    backbone: BackboneConfig
    recipe: RecipeConfig
    global_search: GlobalSearchConfig
    local_search: LocalSearchConfig
    seeds: int
    seed: int

    def settings(self) -> dict[str, Any]:
        """Return the resolved configuration as JSON values."""
        return {
            "data": self.data.as_dict(),
            "backbone": self.backbone.as_dict(),
            "recipe": self.recipe.as_dict(),
            "global_search": {
                name: value
                for name, value in self.global_search.as_dict().items()
                if name not in WITHOUT_INFLUENCE
            },
            "local_search": self.local_search.as_dict(),
            "seeds": self.seeds,
            "seed": self.seed,
        }


@dataclass(frozen=True, kw_only=True)
class PipelineOutcome:
    """What the pipeline made.

    Attributes:
        contenders: `hand-designed` and `searched`, by the same recipe and seeds.
        differences: Searched minus hand-designed on test, by metric, paired by seed.
        model: The exported network of the searched structure.
        predictions: Folder of its predictions on the test partition.
        report: What was found, as one page.
        run_id: The tracked run, or None.
    """

    contenders: Mapping[str, Contender]
    differences: Mapping[str, Comparison]
    model: Path
    predictions: Path
    report: Path
    run_id: str | None = None


def run_pipeline(
    place: Workplace,
    task: PipelineTask,
    *,
    on_plan: Callable[[CostPlan], None],
    observers: Sequence[SearchObserver] = (),
) -> PipelineOutcome:
    """Search, train, export and predict; each finished stage is skipped on resume.

    Args:
        place: Output folder, tracker, progress, device.
        task: What is done.
        on_plan: Told what the global search will cost before it starts.
        observers: Told of every evaluation and generation of the global search.

    Raises:
        InputError: Data or settings are wrong.
        OperationalError: A stage failed.
    """
    # A wrong input is told before a run is opened.
    for search in (task.global_search, task.local_search):
        check_limits(search, task.backbone)
    dataset = SegmentationDataset.open(task.data)
    check_plan(_global_task(task), dataset)
    name = f"{task.data.dataset} split {task.data.split}"
    with open_stage(place, RunKind.PIPELINE, f"pipeline {name}", task.settings()) as stage:
        place_of_search = stage.below("search-global")
        found = search_globally(place_of_search, _global_task(task), on_plan=on_plan, observers=observers)
        refined = _search_locally(stage, task, found.structure)
        write_structure(
            stage.folder / "structure.json",
            refined.structure,
            backbone=task.backbone.name,
            causal=task.backbone.causal,
            provenance={"search": "global, local", "seed": task.seed, "data": dataset.fingerprint},
        )
        baseline = _train(stage, task, task.backbone.hand_designed(), "hand-designed")
        searched = _train(stage, task, refined.structure, "searched")
        model = _export(stage, task, searched)
        predictions = _predict(stage, dataset, model)
        outcome = PipelineOutcome(
            contenders=_contenders(found, refined, baseline, searched),
            differences=differences(searched, baseline),
            model=model,
            predictions=predictions,
            report=stage.folder / REPORT,
            run_id=stage.run.run_id,
        )
        if stage.result is None:
            _record(stage, task, outcome)
        if stage.result is None or not outcome.report.exists():
            write_report({str(stage.folder): stage.folder}, outcome.report)
        stage.run.log_artifact(outcome.report)  # again on resume: it may have been killed in between
    return outcome


def _global_task(task: PipelineTask) -> GlobalSearchTask:
    return GlobalSearchTask(
        data=task.data,
        backbone=task.backbone,
        recipe=task.recipe,
        search=task.global_search.replace(final_seeds=0),  # the pipeline compares at its own end
        seed=task.seed,
    )


def _search_locally(stage: Stage, task: PipelineTask, start: DilationStructure) -> LocalSearchOutcome:
    search = LocalSearchTask(
        data=task.data,
        backbone=task.backbone,
        recipe=task.recipe,
        search=task.local_search.replace(ending=Ending.SINGLE),  # what was found is trained anew
        structure=start,
        seed=task.seed,
    )
    return search_locally(stage.below("search-local"), search)


def _train(stage: Stage, task: PipelineTask, structure: DilationStructure, origin: str) -> TrainingOutcome:
    ends_branched = origin == "searched" and task.local_search.ending is not Ending.SINGLE
    training = Training(
        data=task.data,
        backbone=task.backbone,
        recipe=task.recipe,
        structure=structure,
        origin=origin,
        branching=task.local_search if ends_branched else None,
    )
    place = stage.below(f"train-{origin}")
    return train(place, training, range(task.seed, task.seed + task.seeds))


def _export(stage: Stage, task: PipelineTask, searched: TrainingOutcome) -> Path:
    """Export the seed that is best on the hold-out, unless that was done before."""
    output = stage.folder / MODEL

    def export(place: Workplace) -> None:
        model, metadata = load_model(searched.chosen(task.recipe.monitor).model, backbone=task.backbone.name)
        export_model(place, model, metadata, output)

    stage.once("export", export)
    return output


def _predict(stage: Stage, dataset: SegmentationDataset, model: Path) -> Path:
    """Predict the test partition with the exported file alone, unless that was done before."""
    root = dataset.config.data_root / dataset.config.dataset
    videos = [root / "features" / f"{name}.npy" for name in dataset.partitions(Selection.LAST).test]

    def predict_test(place: Workplace) -> None:
        session = open_session(model, place.device)
        require_success(predict(place, session, videos, ground_truth=root / "groundTruth"))

    stage.once("predictions", predict_test)
    return stage.folder / "predictions"


def _contenders(
    found: GlobalSearchOutcome,
    refined: LocalSearchOutcome,
    baseline: TrainingOutcome,
    searched: TrainingOutcome,
) -> dict[str, Contender]:
    full = baseline.seeds[0].steps
    return {
        "hand-designed": Contender(
            structure=baseline.structure, test=baseline.test(), training_equivalents=0.0
        ),
        "searched": Contender(
            structure=searched.structure,
            test=searched.test(),
            training_equivalents=(found.steps + refined.steps) / full,
        ),
    }


def _record(stage: Stage, task: PipelineTask, outcome: PipelineOutcome) -> None:
    topology = task.backbone.topology
    summary: dict[str, Any] = {
        name: contender.as_dict(topology) for name, contender in outcome.contenders.items()
    }
    summary["difference"] = {metric: found.as_dict() for metric, found in outcome.differences.items()}
    write_json(stage.folder / SUMMARY, summary)
    stage.run.log_artifact(stage.folder / SUMMARY)
    stage.run.log_artifact(stage.folder / "structure.json")
    for name, contender in outcome.contenders.items():
        stage.run.log_metrics({f"{name}/{metric}": s.mean for metric, s in contender.test.items()})
    stage.run.log_metrics(tracked_differences(outcome.differences))
    stage.finish(summary)
