"""From oriented node features to a tensor of the crystal that its point group allows.

Legend: B crystals, N nodes, E edges, A node width, M components of orders l one after the other
(`harmonics.py`), of natural parity (-1)^l, C components of the tensor, I isotropic, S channels.

A node stands for the atoms of an orbit, which the operations of the group turn into each other. So
the sum over all atoms is P times that over nodes, weighted by their multiplicities, with P the mean
of D(R) over the point group: what comes out is allowed by symmetry, whatever the weights are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from trainables.models import cutoffs
from trainables.models.layers import GaussianBasis
from trainables.representations.allowed import invariants
from trainables.representations.graph_batch import OrbitBatch
from trainables.tensors.irreps import Form, coupling

HIGHEST = 3  # l of node features
GAUSSIANS = 12
CHANNELS = 16  # of moments
# Parts of l = 2 that change sign under inversion: a natural l = 2 does not, but these products do.
ODD = ((1, 2), (3, 2))


def natural(form: Form, order: int) -> bool:
    """Whether a part of a tensor has the parity (-1)^l that node features have."""
    return (form.rank + order) % 2 == 0


def highest(form: Form) -> int:
    """The highest l of node features from which a tensor is read."""
    return max(
        order if natural(form, order) else max(map(max, ODD))
        for order in form.orders
        if order <= HIGHEST
    )


class Readout(nn.Module):
    """Some parts of one order: channels added up, by weights that the invariants decide.

    Args:
        width: A, of the invariants; channels: S, to be added up; copies: of the order.
    """

    def __init__(self, width: int, channels: int, copies: int) -> None:
        super().__init__()
        self.copies = copies
        self.hidden = nn.Linear(width, width)
        self.weights = nn.Linear(width, channels * copies)

    def forward(self, scalars_na: Tensor, part_nms: Tensor) -> Tensor:
        """[N, copies · (2l + 1)] of the components [N, 2l + 1, S] of one order."""
        weight = self.weights(silu(self.hidden(scalars_na))).unflatten(-1, (self.copies, -1))
        return torch.einsum("nms,ncs->ncm", part_nms, weight).flatten(-2)


class Moments(nn.Module):
    """What the directions to the neighbours come to, weighted by lengths and what the ends know.

    It has the orders that the network's own features have, which are small at first, and l = 4,
    which none of them has.

    Args:
        width: A; channels: S.
        orders: those that are wanted, 1 to 4.
    """

    def __init__(self, width: int, channels: int, orders: tuple[int, ...]) -> None:
        super().__init__()
        self.orders = orders
        spacing = cutoffs.TENSOR / (GAUSSIANS - 1)
        self.basis = GaussianBasis(0.0, cutoffs.TENSOR, GAUSSIANS, spacing * math.sqrt(2))
        self.ends = nn.Linear(2 * width, width)
        self.near = nn.Linear(GAUSSIANS, width)
        self.weights = nn.Linear(width, channels * len(orders))

    def forward(self, scalars_na: Tensor, batch: OrbitBatch) -> dict[int, Tensor]:
        """[N, 2l + 1, S] for each order l, means over the neighbours of a node."""
        both = torch.cat([scalars_na[batch.dst], scalars_na[batch.src]], dim=-1)
        known = silu(self.ends(both) + self.near(self.basis(batch.length)))
        fade_e = (1 - (batch.length / cutoffs.TENSOR).square()).clamp(min=0).square()
        weight_els = self.weights(known).unflatten(-1, (len(self.orders), -1))
        weight_els = weight_els * (fade_e * batch.count)[:, None, None]
        reach_n = batch.count.new_zeros(batch.nodes).index_add(0, batch.dst, batch.count)
        found = {}
        for place, order in enumerate(self.orders):
            message = harmonics_of(batch, order)[:, :, None] * weight_els[:, None, place]
            zero = message.new_zeros(batch.nodes, *message.shape[1:])
            total = zero.index_add(0, batch.dst, message)
            found[order] = total / reach_n.clamp(min=1)[:, None, None]
        return found


def harmonics_of(batch: OrbitBatch, order: int) -> Tensor:
    """[E, 2l + 1] of the direction to the neighbour, as far as the site of the node allows it.

    In the frame of an edge only the middle component is not zero, and is 1.
    """
    if order > HIGHEST:
        return batch.fourth
    start = sum((2 * lower + 1) ** 2 for lower in range(1, order))
    return batch.out[:, start + order : start + (2 * order + 1) ** 2 : 2 * order + 1]


class OddProducts(nn.Module):
    """Products of order 2 of the other parity, of features of odd and of even order.

    Args:
        width: of the features; channels: of the products.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.first, self.second = (
            nn.ModuleList(nn.Linear(width, channels, bias=False) for _ in ODD) for _ in range(2)
        )
        for place, (one, other) in enumerate(ODD):
            constants = torch.from_numpy(coupling(one, other, 2))
            self.register_buffer(f"constants{place}", constants, persistent=False)

    def forward(self, parts: Mapping[int, Tensor]) -> Tensor:
        """[N, 5, channels] of features [N, 2l + 1, width] by order."""
        return torch.stack(
            [
                torch.einsum(
                    "nia,nja,ijm->nma",
                    self.first[place](parts[one]),
                    self.second[place](parts[other]),
                    self.get_buffer(f"constants{place}").to(parts[one].dtype),
                )
                for place, (one, other) in enumerate(ODD)
            ]
        ).sum(dim=0)


class TensorHead(nn.Module):
    """Components [B, C] of a tensor, standardised, in the orientation of the given crystals.

    Args:
        width: A.
        form: of the tensor.
        pooled: makes the head of its isotropic components, of A and I: as of I numbers.
    """

    def __init__(self, width: int, form: Form, pooled: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        self.form = form
        directed = list(dict.fromkeys(order for order in form.orders if order))
        odd = [order for order in directed if not natural(form, order)]
        needed = {*directed} - {*odd} | {order for pair in ODD for order in pair if odd}
        self.moments = Moments(width, CHANNELS, tuple(sorted(needed)))
        self.isotropic = pooled(width, form.isotropic) if form.isotropic else None
        wide = {order: CHANNELS + (width if order <= HIGHEST else 0) for order in needed}
        self.odd = OddProducts(width + CHANNELS, CHANNELS) if odd else None
        self.read = nn.ModuleDict(
            {
                str(order): Readout(
                    width, CHANNELS if order in odd else wide[order], form.orders.count(order)
                )
                for order in directed
            }
        )
        # in double precision, and rounded where they are used
        self.register_buffer("basis", torch.from_numpy(form.basis), persistent=False)
        allowed = torch.from_numpy(invariants(form.name))
        self.register_buffer("allowed", allowed, persistent=False)

    def forward(self, nodes_mna: Tensor, batch: OrbitBatch) -> Tensor:
        """[B, C] of node features [M, N, A]."""
        weight_n1 = batch.multiplicity[:, None]
        site_nc = self._sites(nodes_mna, batch) * weight_n1
        zero = site_nc.new_zeros(batch.crystals, site_nc.shape[-1])
        total_bc = zero.index_add(0, batch.node_crystal, site_nc)
        zero_b1 = weight_n1.new_zeros(batch.crystals, 1)
        atoms_b1 = zero_b1.index_add(0, batch.node_crystal, weight_n1)
        mean_bc = total_bc / atoms_b1
        if self.isotropic is not None:
            mean_bc = torch.cat([self.isotropic(nodes_mna[0], batch), mean_bc], dim=-1)
        allowed_bcc = self.get_buffer("allowed")[batch.group].to(mean_bc.dtype)
        return self._turned(torch.einsum("bcd,bd->bc", allowed_bcc, mean_bc), batch.frame)

    def _sites(self, nodes_mna: Tensor, batch: OrbitBatch) -> Tensor:
        """[N, C - I] what each node adds to the components with a direction."""
        scalars_na = nodes_mna[0]
        parts = self.moments(scalars_na, batch)
        for order in parts:
            if order <= HIGHEST:
                features = nodes_mna[order**2 : (order + 1) ** 2].transpose(0, 1)
                parts[order] = torch.cat([features, parts[order]], dim=-1)
        found = []
        for order, read in self.read.items():
            own = natural(self.form, int(order))
            found.append(read(scalars_na, parts[int(order)] if own else self._odd(parts)))
        return torch.cat(found, dim=-1)

    def _odd(self, parts: Mapping[int, Tensor]) -> Tensor:
        assert self.odd is not None
        product: Tensor = self.odd(parts)
        return product

    def _turned(self, components_bc: Tensor, frame: Tensor) -> Tensor:
        """[B, C] after the rotations [B, 3, 3], index by index of the Cartesian tensor."""
        basis_cp = self.get_buffer("basis").to(components_bc.dtype)
        entries = components_bc @ basis_cp
        for _ in range(self.form.rank):  # turns the first index, and makes it the last
            turned = frame @ entries.unflatten(-1, (3, -1))
            entries = turned.transpose(-1, -2).flatten(-2)
        return entries @ basis_cp.T
