"""What the contrastive model and the regression of the work function learn: `problem.Problem`.

Legend: K models, B materials of a worker, N materials of a batch, L points.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from trainables.crystals.split import Split
from trainables.models.batch_norm import Part
from trainables.models.contrast_loss import near_pairs, pair_losses, whole_batch
from trainables.models.contrastive import Embedded, Seen
from trainables.models.gathering import ALONE, Group
from trainables.models.recipe import Recipe
from trainables.representations.batches import DeviceColumns, even_parts
from trainables.representations.graph_batch import SlabBatch
from trainables.training.contrast_spec import NEAR
from trainables.training.problem import Forward, InRandomOrder

EVALUATED = 64  # materials at once


@dataclass(frozen=True)
class Share:
    """A worker's share of a batch.

    Attributes:
        rows: [N] positions of all its materials.
        own: [B] int64, which of them are the worker's; one that does not count if it has none.
        seen: what the model gets of these.
    """

    rows: Tensor
    own: Tensor
    seen: Seen


def seen_alone(batch: SlabBatch) -> Seen:
    """A batch of one worker."""
    return Seen(batch, Part(counted=True, rows=(batch.crystals,), group=ALONE))


class PairProblem(InRandomOrder):
    """One split of which all members get the same batches.

    Args:
        data: all materials, with their profiles.
        split: which learn and which validate.
        order_seed: determines the batches of every epoch.
        group: the workers.
    """

    def __init__(
        self, data: DeviceColumns, split: Split, recipe: Recipe, *, order_seed: int, group: Group
    ) -> None:
        super().__init__(data, recipe, split.train, order_seed)
        self._validation, self._group = split.validation, group

    def batches(self) -> Iterator[Share]:
        """This worker's shares of one pass, in random order; advances the generator."""
        for rows in even_parts(self._shuffled(), self.recipe.batch_size):
            yield self._share(rows)

    def _share(self, rows: Tensor) -> Share:
        """Every worker has gradients to add, so one without a material takes one that is none."""
        rank, size = self._group.rank, self._group.size
        own = torch.arange(len(rows))[rank::size]
        counts = tuple(len(range(other, len(rows), size)) for other in range(size))
        part = Part(counted=len(own) > 0, rows=counts, group=self._group)
        own = own if part.counted else torch.zeros(1, dtype=torch.int64)
        seen = Seen(self.data.take(rows[own]), part)
        return Share(rows.to(self.device), own.to(self.device), seen)

    def loss(self, forward: Forward, batch: Share) -> Tensor:
        """See `Problem`: the worker's part of it."""
        raise NotImplementedError

    def share(self, batch: Share) -> float:
        """See `Problem`."""
        return len(batch.rows) / len(self._train)

    def error(self, model: nn.Module, rows: np.ndarray) -> Tensor:
        """[K] errors on some materials."""
        raise NotImplementedError

    def errors(self, model: nn.Module) -> Tensor:
        """See `Problem`."""
        return self.error(model, self._validation)

    @torch.no_grad()
    def _said(self, model: nn.Module, rows: np.ndarray) -> Iterator[Any]:
        """Outputs for some materials; every worker computes all, so that all have the same bits."""
        model.eval()
        for part in torch.from_numpy(rows).split(EVALUATED):
            yield model(seen_alone(self.data.take(part)))


class ContrastProblem(PairProblem):
    """Which profile belongs to which crystal.

    Args:
        mask: eV; None for no mask.
        given: as of `PairProblem`.
    """

    def __init__(self, *given: Any, mask: float | None, **named: Any) -> None:
        super().__init__(*given, **named)
        self._mask = mask
        self._pairs = self._near = 0

    @property
    def duplicates(self) -> float:
        """Share of all pairs of different materials in the batches so far that are nearly equal."""
        return self._near / max(1, self._pairs)

    def loss(self, forward: Forward, batch: Share) -> Tensor:
        """[K] the worker's part of the mean loss of the whole batch."""
        views = cast(Embedded, forward(batch.seen))
        total, part = len(batch.rows), batch.seen.part
        own_kbd = torch.cat([views.crystal, views.profile], dim=-1) * part.counted
        both_knd = whole_batch(own_kbd, batch.own, total, self._group)
        crystal_knd, profile_knd = both_knd.chunk(2, dim=-1)
        masked_nn = self._masked(self.data.target[batch.rows])
        loss_kb = pair_losses(crystal_knd, profile_knd, views.scale, batch.own, masked_nn)
        return loss_kb.sum(dim=1) * part.counted / total

    def _masked(self, profile_nl: Tensor) -> Tensor | None:
        """Counts near pairs; those that the mask leaves out."""
        count = len(profile_nl)
        self._pairs += count * (count - 1)
        self._near += int(near_pairs(profile_nl, NEAR).sum())
        return None if self._mask is None else near_pairs(profile_nl, self._mask)

    def error(self, model: nn.Module, rows: np.ndarray) -> Tensor:
        """[K] symmetric cross-entropy of the materials as one batch, without a mask."""
        views: list[Embedded] = list(self._said(model, rows))
        crystal, profile = (
            torch.cat([getattr(one, name) for one in views], dim=1)
            for name in ("crystal", "profile")
        )
        own = torch.arange(len(rows), device=self.device)
        return pair_losses(crystal, profile, views[0].scale, own).mean(dim=1)

    def state_dict(self) -> dict[str, Any]:
        """State of the batches' order, and the pairs counted so far."""
        return super().state_dict() | {"pairs": self._pairs, "near": self._near}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Problem`."""
        super().load_state_dict(state)
        self._pairs, self._near = state["pairs"], state["near"]


class WorkFunctionProblem(PairProblem):
    """The work function from the crystal alone.

    Args:
        work: [B] eV, of all materials.
        given: as of `PairProblem`.
    """

    def __init__(self, *given: Any, work: Tensor, **named: Any) -> None:
        super().__init__(*given, **named)
        self._work = work
        learned = work[self._train.to(work.device)]
        self._scale = float(learned.std(correction=0)) or 1.0

    def loss(self, forward: Forward, batch: Share) -> Tensor:
        """[K] the worker's part of the mean loss, in standard deviations."""
        apart_kb = forward(batch.seen) - self._work[batch.rows[batch.own]]
        apart_kb = apart_kb / self._scale
        error_kb = apart_kb.abs() if self.recipe.loss == "l1" else apart_kb.square()
        return error_kb.sum(dim=1) * batch.seen.part.counted / len(batch.rows)

    def error(self, model: nn.Module, rows: np.ndarray) -> Tensor:
        """[K] mean absolute error in eV."""
        said = torch.cat(list(self._said(model, rows)), dim=1)
        places = torch.from_numpy(rows).to(self.device)
        return (said - self._work[places]).abs().mean(dim=1)
