"""What the tests of the tracker share."""

from __future__ import annotations

import os
from pathlib import Path

from g2l.config import BackboneConfig, Normalization
from g2l.models.metadata import ModelMetadata
from g2l.structure import DilationStructure
from g2l.tracking.protocol import RunKind, Tracker

METADATA = ModelMetadata(
    structure=DilationStructure(((1,),)),
    backbone=BackboneConfig(stages=1, layers=1),
    classes=("background", "cut", "pour"),
    feature_dim=4,
    sample_rate=2,
    normalize=Normalization.TRAIN,
    mean=(0.1, 0.0, -0.2, 0.3),
    std=(1.0, 2.0, 0.0, 0.5),
)
"""Of the model that is logged; the third feature row never varied in training."""


def root(tracker: Tracker, **options):
    return tracker.start(name="root", kind=RunKind.PIPELINE, **options)


def runs(client, experiment="g2l"):
    found = client.get_experiment_by_name(experiment)
    return [] if found is None else client.search_runs([found.experiment_id])


def files(client, run_id):
    return {item.path for item in client.list_artifacts(run_id)}


def environment():
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
