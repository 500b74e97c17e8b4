"""Formulas on the training device, and the training problem of composition models.

Legend: K models, B compositions, b of a batch, M elements.

The members of an array may differ in their fold. All get the same batches of the whole data set,
and each learns from the rows of a batch that are in its own training part. A transformer has no
statistics over a batch, so the other rows change nothing; rows that no member learns from are not
computed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainables.compositions.dataset import Compositions
from trainables.crystals.split import Split
from trainables.models.crabnet import CompositionBatch, Noise
from trainables.models.recipe import Recipe
from trainables.targets.binary import roc_auc
from trainables.targets.scalar import standardisation
from trainables.training.problem import EVALUATION_BATCH, Forward

# Standard deviation of the factors that jitter the shares, about the precision of a formula.
JITTER = 0.02


@dataclass(frozen=True)
class DeviceCompositions:
    """Formulas on a device, in batches."""

    data: Compositions
    device: torch.device
    dtype: torch.dtype

    def batch(
        self, rows: np.ndarray, kept: np.ndarray, generator: torch.Generator | None = None
    ) -> CompositionBatch:
        """The compositions `rows` [b] for which `kept` [b] is true.

        Args:
            generator: of jitter and dropout, which are drawn for all rows; None for neither.
        """
        sizes = np.diff(self.data.ptr)[rows]
        chosen = np.flatnonzero(kept)
        owner = np.repeat(np.arange(len(rows)), sizes)
        inside = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        tokens = np.flatnonzero(kept[owner])
        source = self.data.ptr[rows][owner] + inside
        places = int(sizes.max())  # of all rows, so that the noise's shape depends on nothing else
        owner_kept = (np.cumsum(kept) - 1)[owner[tokens]]
        filled = np.arange(places) < sizes[chosen][:, None]

        def moved(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, non_blocking=True)

        fraction = moved(self.data.fraction[source]).to(self.dtype)
        noise = None
        if generator is not None:
            fraction = self._jittered(fraction, moved(owner), len(rows), generator)
            noise = Noise(generator, len(rows), len(owner), moved(chosen), moved(tokens))
        return CompositionBatch(
            compositions=len(chosen),
            places=places,
            z=moved(self.data.z[source[tokens]].astype(np.int64)),
            fraction=fraction[moved(tokens)],
            owner=moved(owner_kept),
            place=moved(owner_kept * places + inside[tokens]),
            filled=moved(filled),
            rows=torch.from_numpy(rows[chosen]),
            noise=noise,
        )

    def _jittered(
        self, fraction: Tensor, owner: Tensor, count: int, generator: torch.Generator
    ) -> Tensor:
        drawn = torch.randn(len(fraction), generator=generator, device=self.device)
        moved = (fraction * (1 + JITTER * drawn.to(self.dtype))).clamp(0, 1)
        total = fraction.new_zeros(count).index_add(0, owner, moved)
        return moved / total[owner]

    def predict(self, model: nn.Module, rows: np.ndarray) -> Tensor:
        """[K, b] predictions of a model for rows: standardised targets, or logits."""
        model.eval()
        parts = np.array_split(rows, max(1, -(-len(rows) // EVALUATION_BATCH)))
        with torch.no_grad():
            said = [model(self.batch(part, np.ones(len(part), bool)))[..., 0] for part in parts]
        return torch.cat(said, dim=1)


def scaling(known: np.ndarray, classes: bool) -> tuple[float, float]:
    """Mean and standard deviation of training targets `known` [B]; 0 and 1 for classes."""
    return (0.0, 1.0) if classes else standardisation(known)


class CompositionProblem:
    """Regression or classification of formulas, each member on its own fold.

    Args:
        data: the whole data set.
        splits: of each member.
        recipe: determines the loss.
        steps: batches of an epoch.
        order_seed: determines batches, jitter and dropout, for all members alike.
    """

    def __init__(
        self,
        data: DeviceCompositions,
        splits: Sequence[Split],
        recipe: Recipe,
        steps: int,
        order_seed: int,
    ) -> None:
        self.recipe, self.steps = recipe, steps
        self.data = data
        self.splits = list(splits)
        known = [scaling(data.data.target[split.train], data.data.classes) for split in splits]
        self.means, self.scales = [mean for mean, _ in known], [scale for _, scale in known]
        self._order = np.random.default_rng(order_seed)
        self._generator = torch.Generator(data.device).manual_seed(order_seed)
        self._place()

    def _place(self) -> None:
        """Updates what depends on the present members."""
        target = self.data.data.target
        rows = np.zeros((len(self.splits), len(target)))
        for k, split in enumerate(self.splits):
            rows[k, split.train] = 1
        means, scales = np.array(self.means)[:, None], np.array(self.scales)[:, None]
        self._trained: np.ndarray = np.asarray(rows.any(axis=0))
        self._weight = torch.from_numpy(rows).to(self.data.device, self.data.dtype)
        standard = torch.from_numpy((target - means) / scales)
        self._target = standard.to(self.data.device, self.data.dtype)

    @property
    def device(self) -> torch.device:
        """The device of the training."""
        return self._target.device

    @property
    def dtype(self) -> torch.dtype:
        """The float type of targets and weights."""
        return self._target.dtype

    def batches(self) -> Iterator[CompositionBatch]:
        """The whole data set in a new random order, without the rows that no member learns from.

        Advances the random generators of order, jitter and dropout.
        """
        order = self._order.permutation(len(self.data.data))
        for rows in np.array_split(order, self.steps):
            kept = self._trained[rows]
            if kept.any():
                yield self.data.batch(rows, kept, self._generator)

    def loss(self, forward: Forward, batch: CompositionBatch) -> Tensor:
        """[K] mean loss of each member over the rows of a batch that are in its training part.

        Binary cross-entropy for classes; else absolute or squared error, or the negative logarithm
        of a Laplace distribution: √2·|error|·e^(−scale) + scale. A member without a row has loss 0.

        Args:
            forward: batch -> [K, b, 2], prediction (or logit) and logarithmic scale.
        """
        said, scale = forward(batch).unbind(-1)
        rows = batch.rows.to(said.device, non_blocking=True)
        target, weight = self._target[:, rows], self._weight[:, rows]
        if self.data.data.classes:
            loss = nn.functional.binary_cross_entropy_with_logits(said, target, reduction="none")
        elif self.recipe.loss == "laplace":
            loss = math.sqrt(2) * (said - target).abs() * torch.exp(-scale) + scale
        else:
            error = nn.functional.l1_loss if self.recipe.loss == "l1" else nn.functional.mse_loss
            loss = error(said, target, reduction="none")
        return (loss * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)

    def share(self, batch: CompositionBatch) -> Tensor:
        """[K] share of each member's training part that is in a batch."""
        rows = batch.rows.to(self._weight.device, non_blocking=True)
        return self._weight[:, rows].sum(dim=1) / self._weight.sum(dim=1)

    def errors(self, model: nn.Module) -> Tensor:
        """[K] validation MAE in the target's unit; 1 − area under the ROC curve for classes."""
        union = np.unique(np.concatenate([split.validation for split in self.splits]))
        said = self.data.predict(model, union)
        found = []
        for k, split in enumerate(self.splits):
            own = torch.from_numpy(np.searchsorted(union, split.validation)).to(said.device)
            found.append(self._error(k, said[k, own], split.validation))
        return torch.stack(found)

    def _error(self, k: int, said: Tensor, rows: np.ndarray) -> Tensor:
        if not self.data.data.classes:
            target = self._target[k, torch.from_numpy(rows).to(said.device)]
            return (said - target).abs().mean() * self.scales[k]
        truth = self.data.data.target[rows]
        return said.new_tensor(1 - roc_auc(truth, said.double().cpu().numpy()))

    def select(self, rows: Sequence[int]) -> None:
        """Keeps only the members at the given positions, with their targets and splits."""
        self.splits = [self.splits[k] for k in rows]
        self.means = [self.means[k] for k in rows]
        self.scales = [self.scales[k] for k in rows]
        self._place()

    def state_dict(self) -> dict[str, Any]:
        """States of the generators of the batches' order, and of jitter and dropout."""
        return {"order": self._order.bit_generator.state, "noise": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Problem`."""
        self._order.bit_generator.state = state["order"]
        self._generator.set_state(state["noise"])
