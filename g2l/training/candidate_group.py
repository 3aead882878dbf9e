"""The training of several candidates as one network: what they share is computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from g2l.config import BackboneConfig, DataConfig, RecipeConfig, Selection
from g2l.datasets.batching import IGNORE_INDEX, Batch, BatchSource, collate
from g2l.evaluation import EvaluationTask
from g2l.models.candidate_batch import LANES, CandidateBatch
from g2l.models.ms_tcn import MSTCN
from g2l.models.registry import find_backbone
from g2l.training.averaging import AveragedWeights
from g2l.training.candidate import open_dataset
from g2l.training.device import resolve_device, seed_everything
from g2l.training.evaluation import NetworkScore, evaluating
from g2l.training.run import Training


def can_be_grouped(backbone: BackboneConfig) -> bool:
    """Return whether candidates of this backbone can be trained as one network."""
    return find_backbone(backbone.name) is MSTCN and not backbone.causal


class CandidateGroup:
    """The live objects of the training of a group; the weights of each are a function of its task alone.

    They are not, bit for bit, those of `CandidateTraining`: sums are rounded in another order, and the coins
    of dropout fall otherwise where the frames of a batch are no multiple of `LANES`. There are no lineages,
    and no checkpoints to go on from.

    Args:
        tasks: At most `size` tasks of one budget and seed, without lineage.
        size: Candidates of the network; missing ones are copies of the first, lest the shape change the bits.
        data: Data set, split and how it is read.
        backbone: Size of the network.
        recipe: How it is trained; its epochs and selection do not matter here.
        device: `auto`, `cpu` or `cuda`.
        averaging: Decay of the averaged weights, or None to keep none.
        feature_folder: Where processes share decoded features, or None to keep them in RAM.

    Attributes:
        dataset: The data, standardised on what is trained on.

    Raises:
        InputError: The data cannot be read, a structure does not fit the backbone, or there is no GPU.
    """

    def __init__(
        self,
        tasks: Sequence[EvaluationTask],
        *,
        size: int,
        data: DataConfig,
        backbone: BackboneConfig,
        recipe: RecipeConfig,
        device: str,
        averaging: float | None,
        feature_folder: Path | None = None,
    ) -> None:
        first = tasks[0]
        for task in tasks:
            backbone.fit(task.structure)
        self.dataset = open_dataset(data, Path.cwd(), feature_folder)
        partitions = self.dataset.partitions(Selection.BEST)
        self._holdout, self._tasks, self._device = partitions.holdout, tuple(tasks), resolve_device(device)
        seed_everything(first.seed)
        self._network = MSTCN(
            first.structure,
            feature_dim=self.dataset.feature_dim,
            num_classes=len(self.dataset.mapping.names),
            feature_maps=backbone.feature_maps,
            dropout=backbone.dropout,
        )
        structures = [task.structure for task in tasks]
        self._model = CandidateBatch(self._network, structures + [first.structure] * (size - len(tasks)))
        if recipe.gradient_clip is not None:
            self._model.clip_gradients(recipe.gradient_clip)
        self._averaged = None if averaging is None else AveragedWeights(averaging)
        self._training = Training(
            self._model,
            _AlignedBatches(self.dataset, partitions.train, batch_size=recipe.batch_size, seed=first.seed),
            # Gradients are clipped above, one by one.
            replace(recipe, selection=Selection.LAST, gradient_clip=None, compile=False),
            seed=first.seed,
            device=self._device,
            callbacks=[] if self._averaged is None else [self._averaged],
        )

    def train(self) -> None:
        """Train to the end of the budget.

        Raises:
            OperationalError: The loss of a candidate is not finite, or memory runs out.
        """
        budget = self._tasks[0].budget
        self._training.advance(budget.amount * (len(self._training.source) if budget.unit == "epochs" else 1))

    def averaged_weights(self) -> AbstractContextManager[None]:
        """Let the candidates have their averaged weights inside a `with`; their own where none are kept."""
        return nullcontext() if self._averaged is None else self._averaged.applied(self._model)

    def scores(self) -> list[dict[str, float]]:
        """Return the hold-out metrics of each task's network as it is, in percent."""
        scores = [NetworkScore(self.dataset) for _ in self._tasks]
        for name in self._holdout:
            video = self.dataset.load(name)
            targets = torch.from_numpy(video.targets).to(self._device)
            logits = self._logits(aligned(collate([video])).to(self._device))
            for score, of_candidate in zip(scores, logits, strict=False):  # copies have no score
                score.update(name, of_candidate[0, :, : len(targets)], targets)
        return [score.compute() for score in scores]

    def networks(self) -> Iterator[MSTCN]:
        """Yield the network of each task: one object with changing weights, and the rates of the first."""
        for number in range(len(self._tasks)):
            self._model.load_into(self._network, number)
            yield self._network

    def _logits(self, batch: Batch) -> Tensor:
        """Return the logits of the last stage of every candidate, (P, B, C, T)."""
        with evaluating(self._model), torch.inference_mode():
            logits: Tensor = self._model(batch.features, batch.frame_mask)
        return logits[-len(self._model.structures) :]


class _AlignedBatches(BatchSource):
    """Batches whose number of frames is a multiple of `LANES`."""

    def epoch(self, number: int, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """Yield the batches that the base class does, padded."""
        return map(aligned, super().epoch(number, start, stop))


def aligned(batch: Batch) -> Batch:
    """Return the batch padded to the next multiple of `LANES` frames."""
    missing = -batch.targets.shape[1] % LANES
    return replace(
        batch,
        features=functional.pad(batch.features, (0, missing)),
        targets=functional.pad(batch.targets, (0, missing), value=IGNORE_INDEX),
        frame_mask=functional.pad(batch.frame_mask, (0, missing)),
        padded=batch.padded or missing > 0,
    )
