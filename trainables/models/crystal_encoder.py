"""The encoder of crystals of the contrastive model, one model, over `SlabGraph`s.

Legend: B crystals, N nodes, E edges, Z elements, A width of the convolutions, D width of the
transformer, G Gaussians, P pairs of nodes that have edges, C heads, V channels, W nodes of the
crystal that has most.

All atoms of a crystal are looked at, and all edges within the cutoff; a node and an edge of an
orbit graph count as often as what they stand for. So the embedding depends neither on the symmetry
that was found nor on the cell. Where that takes another form than the published one, it is said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from trainables.kernels.ops import gather, scatter_sum
from trainables.models import cutoffs
from trainables.models.layers import GaussianBasis
from trainables.models.options import ContrastOptions
from trainables.models.plain_layers import bounded
from trainables.representations.graph_batch import SlabBatch

GEOMETRY = 363  # local features of an atom
BIAS_WIDTH = 32  # of the network φ
ROUNDING = 1e-2  # below which a norm fades: rounding noise at symmetric sites has no direction


@dataclass(frozen=True)
class Table:
    """The nodes of a batch in a table of B × W places, a crystal a row.

    Attributes:
        crystals, width: B, W.
        place: [N] int64 of the nodes.
        pair: [E] int64 place, in B × W × W, of the ends dst and src.
        share: [N] of the atoms of its crystal that a node stands for.
    """

    crystals: int
    width: int
    place: Tensor
    pair: Tensor
    share: Tensor

    @classmethod
    def of(cls, batch: SlabBatch) -> Table:
        """The table of a batch, whose nodes are sorted by crystal."""
        size_b = torch.bincount(batch.node_crystal, minlength=batch.crystals)
        width = int(size_b.max())
        first_b = torch.cumsum(size_b, 0) - size_b
        rank_n = torch.arange(batch.nodes, device=size_b.device) - first_b[batch.node_crystal]
        place_n = batch.node_crystal * width + rank_n
        zero_b = batch.multiplicity.new_zeros(batch.crystals)
        atoms_b = zero_b.index_add(0, batch.node_crystal, batch.multiplicity)
        return cls(
            crystals=batch.crystals,
            width=width,
            place=place_n,
            pair=place_n[batch.dst] * width + rank_n[batch.src],
            share=batch.multiplicity / atoms_b[batch.node_crystal],
        )

    def spread(self, x_nf: Tensor) -> Tensor:
        """[B, W, F] of nodes [N, F]; 0 where there is none."""
        spread = scatter_sum(x_nf, self.place, self.crystals * self.width)
        return spread.unflatten(0, (self.crystals, self.width))

    def collect(self, x_bwf: Tensor) -> Tensor:
        """[N, F], the inverse of `spread`."""
        return gather(x_bwf.flatten(0, 1), self.place)

    def sums(self, x_ef: Tensor, weight_e: Tensor) -> Tensor:
        """[B, W, W, F] weighted sums over the edges from one node to another."""
        size = self.crystals * self.width * self.width
        total = scatter_sum(x_ef, self.pair, size, weight_e)
        return total.unflatten(0, (self.crystals, self.width, self.width))


class GatedConvolution(nn.Module):
    """h + softplus(Σ_j σ(z_ij) ⊙ softplus(z'_ij)), [z, z'] = W [h_i, h_j, e_ij] + b.

    Xie & Grossman 2018, eq. 5, doi:10.1103/PhysRevLett.120.145301. W is applied to nodes and edges
    apart, before they are gathered.

    Args:
        width: A; gaussians: G.
    """

    def __init__(self, width: int, gaussians: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(2 * width + gaussians)  # of torch's Linear on all that is joined
        self.own = nn.Linear(width, 2 * width)
        self.other = nn.Linear(width, 2 * width, bias=False)
        self.edge = nn.Linear(gaussians, 2 * width, bias=False)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, h_na: Tensor, basis_eg: Tensor, batch: SlabBatch, weight_e: Tensor) -> Tensor:
        """[N, A].

        Args:
            weight_e: how often an edge counts in the sum.
        """
        ends_ec = gather(self.own(h_na), batch.dst) + gather(self.other(h_na), batch.src)
        gate_ea, core_ea = (ends_ec + self.edge(basis_eg)).chunk(2, dim=-1)
        message_ea = torch.sigmoid(gate_ea) * softplus(core_ea)
        return h_na + softplus(scatter_sum(message_ea, batch.dst, batch.nodes, weight_e))


class AdjacencyBias(nn.Module):
    """What the edges between two nodes add to the logits of their attention, [B, C, W, W].

    The softmax of node i runs over its edges, each with the logit q_i·k_j/√d + φ(e_ij), and over
    all atoms of the cell as a mean field, each with its share of the atoms and a bias b of the
    head. Edges between the same two nodes have q_i·k_j in common, so that

        Σ_e n_e exp(q_i·k_j/√d + φ(e)) = exp(q_i·k_j/√d + log(Σ_e n_e exp φ(e) + m_j exp b)),

    and one number a pair of nodes says all. (In the published code there is one edge a pair of
    atoms, and the bias is added after the softmax.) The logarithm is finite, as the mean field
    reaches all; places without a node get none.

    Args:
        gaussians: G; heads: C.
    """

    def __init__(self, gaussians: int, heads: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(gaussians, BIAS_WIDTH)
        self.out = nn.Linear(BIAS_WIDTH, heads)
        self.field = nn.Parameter(torch.zeros(heads))

    def forward(self, basis_eg: Tensor, batch: SlabBatch, table: Table) -> Tensor:
        """[B, C, W, W] for rows dst and columns src."""
        near_ec = torch.exp(bounded(self.out(silu(self.hidden(basis_eg)))))
        weight_bwwc = table.sums(near_ec, batch.count)
        share_bw1 = table.spread(table.share[:, None])
        field_bwc = share_bw1 * torch.exp(bounded(self.field))
        nobody = (share_bw1 == 0)[:, None, None, :, 0]
        total_bcww = (weight_bwwc + field_bwc[:, None]).permute(0, 3, 1, 2)
        # 1 before the logarithm, so that its gradient is finite there
        return torch.log(total_bcww.masked_fill(nobody, 1.0)).masked_fill(nobody, -math.inf)


class Block(nn.Module):
    """Attention of all nodes of a crystal, and a dense network: x [N, D] -> [N, D].

    Args:
        width: D; heads: C; hidden: of the dense network.
    """

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.asks = nn.Linear(width, 3 * width)
        self.tells = nn.Linear(width, width)
        self.dense = nn.Sequential(nn.Linear(width, hidden), nn.SiLU(), nn.Linear(hidden, width))

    def forward(self, x_nd: Tensor, bias_bcww: Tensor, table: Table) -> Tensor:
        """Each added to what comes in, after a layer norm."""
        parts = table.spread(self.asks(self.before(x_nd)))
        query, key, value = parts.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        logit_bcww = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]) + bias_bcww
        heard = torch.softmax(logit_bcww, dim=-1) @ value
        x_nd = x_nd + self.tells(table.collect(heard.transpose(1, 2).flatten(2)))
        added: Tensor = self.dense(self.between(x_nd))
        return x_nd + added


class Vectors(nn.Module):
    """Polar vectors of nodes from the vectors of their edges, [N, 3, V].

    The mean over the neighbours of their direction times a function of their distance and of what
    they are. In the published code the vectors are a linear layer of scalars, which does not turn
    with the crystal.

    Args:
        width: D; gaussians: G; channels: V.
    """

    def __init__(self, width: int, gaussians: int, channels: int) -> None:
        super().__init__()
        self.kind = nn.Linear(width, channels)
        self.radial = nn.Parameter(torch.randn(gaussians, channels))

    def forward(self, x_nd: Tensor, basis_eg: Tensor, batch: SlabBatch) -> Tensor:
        """In standard orientation; as far as the site of a node allows it."""
        weight_e = batch.count / neighbours_of(batch)[batch.dst]
        spread_eg3 = basis_eg[:, None, :] * batch.direction[:, :, None]
        # what edges between the same nodes have in common is computed once
        pairs, of_e = torch.unique(batch.dst * batch.nodes + batch.src, return_inverse=True)
        between = scatter_sum(spread_eg3.flatten(1), of_e, len(pairs), weight_e)
        vector_p3v = between.unflatten(-1, (3, -1)) @ self.radial
        vector_p3v = vector_p3v * gather(self.kind(x_nd), pairs % batch.nodes)[:, None]
        total_nx = scatter_sum(vector_p3v.flatten(1), pairs // batch.nodes, batch.nodes)
        return total_nx.unflatten(-1, (3, -1))


class IrrepLinear(nn.Module):
    """Scalars and vectors mixed, each among themselves: e3nn's Linear of V × 0e + V × 1o.

    Args:
        channels: V.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scalars = nn.Linear(channels, channels)
        self.vectors = nn.Linear(channels, channels, bias=False)

    def forward(self, scalar_nv: Tensor, vector_n3v: Tensor) -> tuple[Tensor, Tensor]:
        """[N, V] and [N, 3, V]; a vector's components have no weights of their own."""
        return self.scalars(scalar_nv), self.vectors(vector_n3v)


def norms(vector_n3v: Tensor) -> Tensor:
    """[N, V] lengths of vectors, smooth at 0."""
    square_nv = vector_n3v.square().sum(dim=-2)
    return torch.sqrt(square_nv + ROUNDING**2) - ROUNDING


def neighbours_of(batch: SlabBatch) -> Tensor:
    """[N] number of neighbours; 1 where there is none."""
    zero_n = batch.count.new_zeros(batch.nodes)
    return zero_n.index_add(0, batch.dst, batch.count).clamp(min=1)


class CrystalEncoder(nn.Module):
    """Embeddings of crystals.

    Invariant to rotations and reflections, to the origin, to the order of atoms and to the cell.
    The mean over atoms takes the place of the published sum, which grows with the cell.

    Args:
        options: widths.
    """

    def __init__(self, options: ContrastOptions) -> None:
        super().__init__()
        spacing = cutoffs.SLABS / (options.gaussians - 1)
        self.mean = options.mean
        self.basis = GaussianBasis(0.0, cutoffs.SLABS, options.gaussians, spacing)
        self.convolutions = nn.ModuleList(
            GatedConvolution(options.elements, options.gaussians)
            for _ in range(options.convolutions)
        )
        self.join = nn.Linear(options.elements + GEOMETRY, options.width)
        self.norm = nn.LayerNorm(options.width)
        self.bias = AdjacencyBias(options.gaussians, options.heads)
        self.blocks = nn.ModuleList(
            Block(options.width, options.heads, options.hidden) for _ in range(options.blocks)
        )
        self.scalars = nn.Linear(options.width, options.channels)
        self.vectors = Vectors(options.width, options.gaussians, options.channels)
        self.mix = IrrepLinear(options.channels)
        self.atom = nn.Linear(2 * options.channels, options.width)
        self.out = nn.Linear(options.width + options.channels, options.dim)

    def forward(self, elements_za: Tensor, batch: SlabBatch) -> Tensor:
        """[B, dim]."""
        scalar_nv, vector_n3v, table = self.features(elements_za, batch)
        known_nd = silu(self.atom(torch.cat([silu(scalar_nv), norms(vector_n3v)], dim=-1)))
        mean_bd = scatter_sum(known_nd, batch.node_crystal, batch.crystals, table.share)
        vector_b3v = self.crystal_vectors(vector_n3v, batch, table)
        return self.out(torch.cat([mean_bd, norms(vector_b3v)], dim=-1))

    def features(self, elements_za: Tensor, batch: SlabBatch) -> tuple[Tensor, Tensor, Table]:
        """Scalars [N, V] and vectors [N, 3, V] of nodes, in standard orientation."""
        table, basis_eg = Table.of(batch), self.basis(batch.length)
        weight_e = batch.count / neighbours_of(batch)[batch.dst] if self.mean else batch.count
        h_na = gather(elements_za, batch.z)
        for convolution in self.convolutions:
            h_na = convolution(h_na, basis_eg, batch, weight_e)
        x_nd = self._joined(h_na, batch.environment)
        bias_bcww = self.bias(basis_eg, batch, table)
        for block in self.blocks:
            x_nd = block(x_nd, bias_bcww, table)
        vector_n3v = self.vectors(x_nd, basis_eg, batch)
        return *self.mix(self.scalars(x_nd), vector_n3v), table

    def _joined(self, h_na: Tensor, environment_nf: Tensor) -> Tensor:
        """Both ends of a linear layer, as `environment` has no axis of models."""
        own, local = self.join.weight.split([h_na.shape[-1], GEOMETRY], dim=-1)
        return self.norm(h_na @ own.T + environment_nf @ local.T + self.join.bias)

    def crystal_vectors(self, vector_n3v: Tensor, batch: SlabBatch, table: Table) -> Tensor:
        """[B, 3, V] of crystals: means over all atoms, of which nodes stand for some."""
        sums = scatter_sum(
            vector_n3v.flatten(1), batch.node_crystal, batch.crystals, table.share
        ).unflatten(-1, (3, -1))
        return batch.polar @ sums
