"""All metrics over many videos in one pass."""

from __future__ import annotations

import math
from collections.abc import Collection

from g2l.metrics.scores import F1_THRESHOLDS, F1Counts, VideoScores, video_scores
from g2l.metrics.segments import Convention, LabelArray, percentage


class SegmentationMetrics:
    """Accuracy, Edit and F1@{10,25,50} in percent over the videos seen so far (METHOD, section 5).

    Frames and segment counts are pooled over videos; Edit is averaged over videos. The result does not
    depend on the order of updates.

    Args:
        background: Class indices whose segments count neither for Edit nor for F1.
        convention: Where the last segment of a video ends.

    Attributes:
        videos: Scores of each video, in the order of the updates.
    """

    def __init__(
        self, *, background: Collection[int] = (), convention: Convention = Convention.MSTCN
    ) -> None:
        self.background = frozenset(int(index) for index in background)
        self.convention = Convention(convention)
        self.videos: list[VideoScores] = []

    def update(self, predicted: LabelArray, truth: LabelArray) -> VideoScores:
        """Add one video and return its scores.

        Args:
            predicted: Predicted class index of every frame, (T,).
            truth: True class index of every frame, (T,).

        Raises:
            InputError: The lengths differ, or one is not a one-dimensional array of integers; nothing is
                added.
        """
        scores = video_scores(predicted, truth, background=self.background, convention=self.convention)
        self.videos.append(scores)
        return scores

    @property
    def undefined(self) -> int:
        """Number of videos without any segment on either side: Edit and F1 of such a video are undefined."""
        return sum(video.edit is None for video in self.videos)

    def compute(self) -> dict[str, float]:
        """Return `videos`, `frames` and the percentages; without videos all are 0, never NaN.

        A video without any segment on either side counts as an Edit of 100 in the mean (METHOD, section 5).
        """
        frames = sum(video.frames for video in self.videos)
        # An exactly rounded sum does not depend on the order of the videos.
        edits = [100.0 if video.edit is None else video.edit for video in self.videos]
        counts = [F1Counts() for _ in F1_THRESHOLDS]
        for video in self.videos:
            counts = [mine + new for mine, new in zip(counts, video.f1, strict=True)]
        return {
            "videos": len(self.videos),
            "frames": frames,
            "accuracy": percentage(sum(video.correct for video in self.videos), frames),
            "edit": math.fsum(edits) / len(edits) if edits else 0.0,
            **{f"f1@{k}": count.score() for k, count in zip(F1_THRESHOLDS, counts, strict=True)},
        }
