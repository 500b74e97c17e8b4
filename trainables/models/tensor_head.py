"""From oriented node features to a tensor of the crystal that its point group allows.

Legend: B crystals, N nodes, E edges, A node width, M components of orders l one after the other
(`harmonics.py`), of natural parity (-1)^l, C components of the tensor, G Gaussians.

A node stands for the atoms of an orbit, which the operations of the group turn into each other. So
the sum over all atoms is P times that over nodes, weighted by their multiplicities, with P the mean
of D(R) over the point group: what comes out is allowed by symmetry, whatever the weights are.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from trainables.models.layers import GaussianBasis
from trainables.representations.allowed import invariants
from trainables.representations.graph_batch import OrbitBatch
from trainables.tensors.irreps import Form, coupling

HIGHEST = 3  # l of node features
REACH = 4.0  # Å from which on an edge's own l = 4 is not read
GAUSSIANS = 12
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
        width: A; copies: of the order.
    """

    def __init__(self, width: int, copies: int) -> None:
        super().__init__()
        self.copies = copies
        self.hidden = nn.Linear(width, width)
        self.weights = nn.Linear(width, width * copies)

    def forward(self, scalars_na: Tensor, part_nma: Tensor) -> Tensor:
        """[N, copies · (2l + 1)] of the components [N, 2l + 1, A] of one order."""
        weight = self.weights(silu(self.hidden(scalars_na))).unflatten(-1, (self.copies, -1))
        read = torch.einsum("nma,nca->ncm", part_nma, weight)
        return read.flatten(-2) / math.sqrt(part_nma.shape[-1])


class OddProducts(nn.Module):
    """Products of order 2 of the other parity, of features of odd and of even order.

    Args:
        width: A.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in ODD)
        self.second = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in ODD)
        for place, (one, other) in enumerate(ODD):
            constants = torch.from_numpy(coupling(one, other, 2)).float()
            self.register_buffer(f"constants{place}", constants, persistent=False)

    def forward(self, nodes_nma: Tensor) -> Tensor:
        """[N, 5, A] of node features [N, M, A]."""
        total = None
        for place, (one, other) in enumerate(ODD):
            first = self.first[place](_order(nodes_nma, one))
            second = self.second[place](_order(nodes_nma, other))
            constants: Tensor = getattr(self, f"constants{place}")
            product = torch.einsum("nia,nja,ijm->nma", first, second, constants)
            total = product if total is None else total + product
        assert total is not None
        return total


class EdgeReadout(nn.Module):
    """Order 4, which no node has: directions to neighbours, weighted by what the ends know.

    Args:
        width: A.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.basis = GaussianBasis(0.0, REACH, GAUSSIANS, REACH / (GAUSSIANS - 1) * math.sqrt(2))
        self.ends = nn.Linear(2 * width, width)
        self.near = nn.Linear(GAUSSIANS, width)
        self.weight = nn.Linear(width, 1)

    def forward(self, scalars_na: Tensor, batch: OrbitBatch) -> Tensor:
        """[N, 9] sums over the neighbours of a node."""
        both = torch.cat([scalars_na[batch.dst], scalars_na[batch.src]], dim=-1)
        known = self.ends(both) + self.near(self.basis(batch.length))
        fade_e = (1 - (batch.length / REACH).square()).clamp(min=0).square()
        weight_e1 = self.weight(silu(known)) * (fade_e * batch.count)[:, None]
        zero = weight_e1.new_zeros(batch.nodes, batch.fourth.shape[-1])
        return zero.index_add(0, batch.dst, weight_e1 * batch.fourth)


class TensorHead(nn.Module):
    """Components [B, C] of a tensor, standardised, in the orientation of the given crystals.

    Args:
        width: A.
        form: of the tensor.
    """

    def __init__(self, width: int, form: Form) -> None:
        super().__init__()
        self.form = form
        self.hidden = nn.Linear(width, width)
        copies = {order: form.orders.count(order) for order in dict.fromkeys(form.orders)}
        self.out = nn.Linear(width, copies[0]) if 0 in copies else None
        self.read = nn.ModuleDict(
            {str(order): Readout(width, copies[order]) for order in copies if 0 < order <= HIGHEST}
        )
        self.odd = None if all(natural(form, order) for order in copies) else OddProducts(width)
        self.edges = EdgeReadout(width) if max(copies) > HIGHEST else None
        self.copies = copies
        self.register_buffer("basis", torch.from_numpy(form.basis).float(), persistent=False)
        allowed = torch.from_numpy(invariants(form.name)).float()
        self.register_buffer("allowed", allowed, persistent=False)

    def forward(self, nodes_nma: Tensor, batch: OrbitBatch) -> Tensor:
        """[B, C]."""
        weight_n1 = batch.multiplicity[:, None]
        site_nc = self._sites(nodes_nma, batch) * weight_n1
        zero = site_nc.new_zeros(batch.crystals, site_nc.shape[-1])
        total_bc = zero.index_add(0, batch.node_crystal, site_nc)
        atoms_b1 = weight_n1.new_zeros(batch.crystals, 1).index_add(
            0, batch.node_crystal, weight_n1
        )
        allowed_bcc: Tensor = self.get_buffer("allowed")[batch.group]
        mean_bc = torch.einsum("bcd,bd->bc", allowed_bcc, total_bc / atoms_b1)
        return self._turned(mean_bc, batch.frame)

    def _sites(self, nodes_nma: Tensor, batch: OrbitBatch) -> Tensor:
        """[N, C] what each node adds."""
        scalars_na = nodes_nma[:, 0]
        found = []
        for order in self.copies:
            if order == 0:
                assert self.out is not None
                found.append(self.out(silu(self.hidden(scalars_na))))
            elif order > HIGHEST:
                assert self.edges is not None
                found.append(self.edges(scalars_na, batch))
            else:
                own = natural(self.form, order)
                part = _order(nodes_nma, order) if own else self._odd(nodes_nma)
                found.append(self.read[str(order)](scalars_na, part))
        return torch.cat(found, dim=-1)

    def _odd(self, nodes_nma: Tensor) -> Tensor:
        assert self.odd is not None
        part: Tensor = self.odd(nodes_nma)
        return part

    def _turned(self, components_bc: Tensor, frame: Tensor) -> Tensor:
        """[B, C] after the rotations [B, 3, 3], index by index of the Cartesian tensor."""
        basis_cp = self.get_buffer("basis")
        entries = components_bc @ basis_cp
        for _ in range(self.form.rank):  # turns the first index, and makes it the last
            turned = frame @ entries.unflatten(-1, (3, -1))
            entries = turned.transpose(-1, -2).flatten(-2)
        return entries @ basis_cp.T


def _order(nodes_nma: Tensor, order: int) -> Tensor:
    """[N, 2l + 1, A]."""
    return nodes_nma[:, order**2 : (order + 1) ** 2]
