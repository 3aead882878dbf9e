"""What the tests of the tracker share."""

from __future__ import annotations

import os
from pathlib import Path

from g2l.tracking.protocol import RunKind, Tracker


def root(tracker: Tracker, **options):
    return tracker.start(name="root", kind=RunKind.PIPELINE, **options)


def runs(client, experiment="g2l"):
    found = client.get_experiment_by_name(experiment)
    return [] if found is None else client.search_runs([found.experiment_id])


def files(client, run_id):
    return {item.path for item in client.list_artifacts(run_id)}


def environment():
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
