"""What a search with a super-network keeps and records."""

from __future__ import annotations

import json

from g2l.config import CandidateCheckpoints, Strategy
from g2l.pipeline.search_global import prepare_search, search_globally
from tests.pipeline.tiny_pipeline import global_task


def test_what_shares_weights_is_a_row_and_keeps_none(context, tiny):
    task = global_task(
        tiny, strategy=Strategy.ONE_SHOT, generations=1, candidate_checkpoints=CandidateCheckpoints.ALL
    )
    outcome = search_globally(context, prepare_search(context.data, task), on_plan=lambda plan: None)
    lines = [json.loads(line) for line in (context.folder / "journal.jsonl").read_text().splitlines()]
    evaluations = [line["evaluation"] for line in lines if line["event"] == "evaluation"]
    shared = [one for one in evaluations if "lineage" in one]
    alone = [one for one in evaluations if "lineage" not in one]
    assert shared
    assert all(one["checkpoint"] is None for one in shared)
    assert all(one["checkpoint"] for one in alone)
    assert outcome.evaluations == len(alone)
    assert str(outcome.structure.as_lists()) in {str(one["structure"]) for one in alone}
