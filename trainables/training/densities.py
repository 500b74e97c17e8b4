"""Densities of states: an ensemble of networks on one fold, trained as an array. Needs no Ray.

Legend: K models, B crystals of a batch, N nodes, L energies, Z elements.

Each member holds back another equal part of what the fold learns from, by which its epoch is
chosen; all get the same batches. So the ensemble has learned from all crystals outside the test
part. Of several workers each computes its share of every batch; losses are divided by what is
known in the whole batch, so that the gradients add up to those of one worker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from trainables.crystals.split import InnerFold, Split, inner_split
from trainables.models.backbones import BACKBONES
from trainables.models.densities import DensityStack, of_crystals, own, published
from trainables.models.gathering import ALONE, Group
from trainables.models.layers import Generators
from trainables.models.recipe import Recipe
from trainables.representations.batches import DeviceColumns, even_parts
from trainables.representations.densities import (
    Densities,
    by_element,
    density_column,
    fold_split,
    mean_spectrum,
)
from trainables.representations.graph_batch import Batch
from trainables.training.array import ArrayTraining, Member, Trained
from trainables.training.density_spec import SE3_TRANSFORMER, DensitySpec, EnsembleSpec
from trainables.training.fitted import FittedArray
from trainables.training.outcome import Outcome, not_evaluated
from trainables.training.problem import Forward, InRandomOrder
from trainables.training.rebuilding import dtype_of

EVALUATED = 64  # crystals at once


@dataclass(frozen=True)
class Share:
    """A worker's share of a batch.

    Attributes:
        rows: positions [B] of its crystals.
        counted: [B] 1, or 0 for a crystal that only keeps a worker busy.
        known: [K] entries of the whole batch that each member learns from.
    """

    rows: Tensor
    counted: Tensor
    known: Tensor
    batch: Batch


class DensityProblem(InRandomOrder):
    """One fold, of which each member holds back a part: `problem.Problem`.

    Args:
        data: all crystals, with the densities of nodes.
        known: [B] number of energies that each curve reaches.
        splits: of each member, whose validation part it holds back.
        options: weight of the sites.
    """

    def __init__(
        self,
        data: DeviceColumns,
        known: np.ndarray,
        splits: Sequence[Split],
        recipe: Recipe,
        *,
        sites: float,
        order_seed: int,
        group: Group,
    ) -> None:
        super().__init__(data, recipe, splits[0].learned, order_seed)
        self._sites, self._group = sites, group
        learns, held = (np.zeros((len(splits), len(data))) for _ in range(2))
        for k, split in enumerate(splits):
            learns[k, split.train], held[k, split.validation] = known[split.train], 1
        self._learned, self._held = self._own(learns), self._own(held)

    def _own(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self.device, self.dtype)

    def batches(self) -> Iterator[Share]:
        """This worker's shares of one pass, in random order; advances the generator."""
        for rows in even_parts(self._shuffled(), self.recipe.batch_size):
            yield self._share(rows)

    def _share(self, rows: Tensor) -> Share:
        """Every worker has gradients to add, so one without a crystal takes one that counts 0."""
        mine = rows[self._group.rank :: self._group.size]
        counted = torch.ones(len(mine)) if len(mine) else torch.zeros(1)
        mine = mine if len(mine) else rows[:1]
        return Share(
            rows=mine.to(self.device),
            counted=counted.to(self.device, self.dtype),
            known=self._learned[:, rows.to(self.device)].sum(dim=1),
            batch=self.data.take(mine),
        )

    def loss(self, forward: Forward, batch: Share) -> Tensor:
        """[K] mean squared error, over the entries of the whole batch that a member learns from.

        Errors of sites are means over the atoms of a crystal.
        """
        said_knl = forward(batch.batch)
        error_kb = self._squared(said_knl, batch.batch)
        learns_kb = (self._learned[:, batch.rows] > 0).to(error_kb.dtype) * batch.counted
        return (error_kb * learns_kb).sum(dim=1) / batch.known.clamp(min=1)

    def _squared(self, said_knl: Tensor, batch: Batch) -> Tensor:
        """[K, B] squared errors, added up over the energies that a curve reaches."""
        error_kb = squared_errors(said_knl, batch)
        if not self._sites:
            return error_kb
        apart_knl = (said_knl - batch.target.nan_to_num()) * batch.target.isfinite()
        site_kbl = of_crystals(apart_knl.square(), batch)
        return error_kb + self._sites * site_kbl.sum(dim=2)

    def share(self, batch: Share) -> Tensor:
        """[K] share of what each member learns from that is in a batch."""
        return batch.known / self._learned.sum(dim=1)

    @torch.no_grad()
    def errors(self, model: nn.Module) -> Tensor:
        """[K] mean squared error of each member on the part that it holds back."""
        model.eval()
        total = self._held.new_zeros(2, len(self._held))
        for rows in self._train[self._group.rank :: self._group.size].split(EVALUATED):
            batch = self.data.take(rows)
            held_kb = self._held[:, rows.to(self.device)]
            error_kb = squared_errors(model(batch), batch)
            known_b = _first_node(batch.target.isfinite().sum(dim=1), batch)
            total += torch.stack([error_kb * held_kb, known_b * held_kb]).sum(dim=2)
        self._group.add(total)
        return total[0] / total[1]

    def select(self, rows: Sequence[int]) -> None:
        """See `Problem`."""
        self._learned, self._held = self._learned[rows], self._held[rows]


def squared_errors(said_knl: Tensor, batch: Batch) -> Tensor:
    """[K, B] squared errors of crystals, added up over the energies that a curve reaches."""
    said_kbl, true_kbl = of_crystals(said_knl, batch), of_crystals(batch.target[None], batch)
    apart_kbl = (said_kbl - true_kbl.nan_to_num()) * true_kbl.isfinite()
    return apart_kbl.square().sum(dim=2)


def _first_node(values_n: Tensor, batch: Batch) -> Tensor:
    """[B] values of nodes that all nodes of a crystal have in common."""
    return values_n.new_zeros(batch.crystals).scatter(0, batch.node_crystal, values_n)


class DensityFit(FittedArray):
    """An ensemble of one fold in training.

    Args:
        spec: the members.
        densities: featurised for their network.
        device: "cpu" or "cuda".
        group: the workers that train it together.
    """

    def __init__(
        self, spec: EnsembleSpec, densities: Densities, device: str = "cpu", group: Group = ALONE
    ) -> None:
        self.spec, self.densities, self._group = spec, densities, group
        first = spec.first
        whole = fold_split(densities.data.ids, first.fold, first.seed, first.share)
        self.splits = {
            label: inner_split(whole, InnerFold(one.member, one.members), [one.seed, one.fold])
            for label, one in spec.models.items()
        }
        dtype = dtype_of(first.precision)
        self.data = DeviceColumns.load(
            densities.data.graphs,
            densities.data.target,
            device,
            dtype,
            density_column(first.window.points),
        )
        _, order = np.random.SeedSequence([first.seed, first.fold]).generate_state(2)
        problem = DensityProblem(
            self.data,
            np.isfinite(densities.crystals).sum(axis=1),
            list(self.splits.values()),
            first.recipe,
            sites=first.options.sites if densities.per_site else 0.0,
            order_seed=int(order),
            group=group,
        )
        members = [
            Member(key=one.key, label=label, seed=_initial(one))
            for label, one in spec.models.items()
        ]
        self.training = ArrayTraining(members, self._build, problem, first.recipe, group)

    def _build(self, generators: Generators, members: Sequence[Member]) -> nn.Module:
        labels = [member.label for member in members]
        trains = [self.splits[label].train for label in labels]
        start = [mean_spectrum(self.densities.crystals[train]) for train in trains]
        return build(self.spec.first, generators, start)

    def _evaluate(self, trained: Trained) -> Outcome:
        """The only use of the test part."""
        split = self.splits[trained.history.member.label]
        outcome = not_evaluated(trained, split)
        if outcome.history.diverged:
            return outcome
        arrays, metrics = dict(outcome.arrays), {}
        for part, rows in (("validation", split.validation), ("test", split.test)):
            said = predictions(trained.model, self.data, rows)
            crystals, nodes = said
            name = "val" if part == "validation" else part
            metrics[f"{name}_error"] = mean_squared(self.densities.crystals[rows], crystals)
            arrays[f"predictions/{part}/row"] = rows
            arrays[f"predictions/{part}/value"] = crystals
        numbers, density, _ = by_element(self.densities, split.test, nodes)
        arrays |= {"elements/numbers": numbers, "elements/density": density}
        arrays |= {
            f"weights/{name}": value[0].cpu().numpy()
            for name, value in trained.model.state_dict().items()
        }
        return replace(outcome, metrics=metrics, arrays=arrays)


def _initial(spec: DensitySpec) -> int:
    """Seed of a member's initial weights."""
    entropy = np.random.SeedSequence([spec.seed, spec.fold, spec.member])
    return int(entropy.generate_state(1)[0])


def build(spec: DensitySpec, generators: Generators, start: Sequence[np.ndarray]) -> DensityStack:
    """Untrained models, stacked.

    Args:
        start: [L] for each, the mean spectrum of its training part.
    """
    options, points = spec.options, spec.window.points
    if spec.network == SE3_TRANSFORMER:
        return published(generators, points=points, width=options.width)
    network = BACKBONES[spec.network].network()
    sizes = {name: getattr(options, name) for name in ("width", "layers", "l_max")}
    backbone = partial(network, hidden=options.edge, **sizes)
    return own(
        generators,
        backbone,
        points=points,
        dim=options.dim,
        hidden=options.hidden,
        start=start,
    )


def mean_squared(true: np.ndarray, said: np.ndarray) -> float:
    """Mean squared error over the energies that the curves [B, L] reach."""
    known = np.isfinite(true)
    return float(np.square(said[known] - true[known]).mean())


@torch.no_grad()
def predictions(
    model: nn.Module, data: DeviceColumns, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Densities of crystals [B, L] and of their nodes [N, L], of a stack of one model."""
    model.eval()
    crystals, nodes = [], []
    for part in torch.from_numpy(rows).split(EVALUATED):
        batch = data.take(part)
        said = model(batch)
        nodes.append(said[0].double().cpu().numpy())
        crystals.append(of_crystals(said, batch)[0].double().cpu().numpy())
    return np.concatenate(crystals), np.concatenate(nodes)


def fit_densities(spec: Any, densities: Any, device: str, group: Group = ALONE) -> DensityFit:
    """Starts the training of an ensemble."""
    return DensityFit(cast(EnsembleSpec, spec), cast(Densities, densities), device, group)
