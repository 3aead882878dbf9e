"""The chain from search to predictions with backbones other than the plain MS-TCN."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from g2l.inference.sessions import open_session
from g2l.pipeline.pipeline import run_pipeline
from tests.pipeline.tiny_pipeline import CAUSAL, DUAL, pipeline_task

CAUSAL_DUAL = replace(DUAL, causal=True)
LAYERS = {
    "ms-tcn": [
        f"{stage}.layers.{layer}.conv_dilated" for stage in ("stage1", "stages.0") for layer in (0, 1)
    ],
    "ms-tcn++": [
        *("PG.conv_dilated_1.0", "PG.conv_dilated_2.0"),
        *("Rs.0.layers.0.conv_dilated", "Rs.0.layers.1.conv_dilated"),
    ],
}


def variant(backbone):
    return backbone.name + (" causal" if backbone.causal else "")


@pytest.mark.parametrize("backbone", [DUAL, CAUSAL, CAUSAL_DUAL], ids=variant)
def test_a_backbone_goes_through_all_stages(context, tiny, backbone):
    outcome = run_pipeline(context, pipeline_task(tiny, backbone))
    assert outcome.contestants["hand-designed"].structure == backbone.hand_designed()
    searched = outcome.contestants["searched"].structure
    kept = outcome.contest.shipped == "hand-designed"
    shipped = backbone.hand_designed() if kept else searched
    session = open_session(outcome.model, "cpu")
    assert (session.metadata.backbone, session.metadata.structure) == (backbone, shipped)
    assert len(list(outcome.predictions.glob("*.txt"))) == 3
    # Every convolution took part in the local search, in the order of the rates.
    journal = context.folder / "search-local" / "updates.jsonl"
    first, *_, last = (json.loads(line)["layers"] for line in journal.read_text().splitlines())
    assert list(last) == LAYERS[backbone.name]
    assert [layer["rate_after"] for layer in last.values()] == list(searched.rates)
    assert first != last
    # What was exported sees as far ahead as the structure says.
    features = torch.randn(4, 30)
    changed = features.clone()
    changed[:, 20:] += 1
    one, other = (torch.from_numpy(session.probabilities(x.numpy())) for x in (features, changed))
    same = torch.isclose(one, other, atol=1e-6).all(dim=0)
    assert same[: max(0, 20 - backbone.topology.receptive_field(shipped).future)].all()
    assert not same[20:].any()
