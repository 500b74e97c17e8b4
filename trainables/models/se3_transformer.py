"""The SE(3)-transformer of "paper 2" (docs/references.md), of one model, over orbit graphs.

Legend: N nodes, E edges dst <- src, Z elements, T types of atoms, H hidden numbers of a filter,
U channels in, V channels out, M = 2l + 1 components, L energies.

Layers and sizes are those of its code: three layers f' = product(f, f₀) + linear(attention(f)),
with self-interaction by a product of the features with the embedding of the atom's own element.
Degrees have their natural parity. The code's second layer goes up to l = 4, but its third, whose
edges have l = 0 alone, reads no more than l = 2: what nobody reads is not computed here.

A product with the direction of an edge is diagonal in m in the frame in which the edge points
along z. Each is computed there, once for all edges that symmetry exchanges.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from trainables.models import cutoffs
from trainables.representations.graph_batch import OrbitBatch

BASIS, HIDDEN, HIDDEN_LAYERS = 8, 8, 3  # of a filter's network
FADE = 6  # power of the polynomial cutoff
TYPES = 118
MOST_OF_KEYS = 2  # highest degree of queries and keys
PUBLISHED, PUBLISHED_KEYS = 259, 118  # widths
SILU_NORM = 1.6765324703310907  # 1 / √E[silu(x)²] of a normal x

Features = Mapping[int, Tensor]  # degree -> [N, M, U]


@dataclass(frozen=True)
class Degrees:
    """Highest degrees of a layer: of its inputs, of its edges, and of what is read of it."""

    given: int
    edge: int
    read: int


LAYERS = (Degrees(0, 3, 3), Degrees(3, 4, 2), Degrees(2, 0, 0))


@dataclass(frozen=True)
class Path:
    """A way from features, by the direction of an edge, to features; of natural parity."""

    given: int
    edge: int
    out: int

    @property
    def shared(self) -> int:
        """Components |m| up to this pass, in the frame of the edge."""
        return min(self.given, self.out)

    def factors(self) -> Tensor:
        """[2 shared + 1] what components are multiplied by, in double precision.

        Harmonics of the edge have the norm √(2l + 1), as e3nn's "component".
        """
        scale = math.sqrt(2 * self.edge + 1)
        orders = range(-self.shared, self.shared + 1)
        found = [scale * coupling(self.given, self.edge, self.out, abs(m)) for m in orders]
        return torch.tensor(found, dtype=torch.float64)


def coupling(given: int, edge: int, out: int, m: int) -> float:
    """The Clebsch–Gordan coefficient ⟨given m, edge 0 | out m⟩.

    Racah 1942, doi:10.1103/PhysRev.62.438, eq. 16.
    """
    f = math.factorial
    total = sum(
        (-1) ** k
        / (
            f(k)
            * f(given + edge - out - k)
            * f(given - m - k)
            * f(edge - k)
            * f(out - edge + m + k)
            * f(out - given + k)
        )
        for k in range(given + edge - out + 1)
        if min(given - m - k, edge - k, out - edge + m + k, out - given + k) >= 0
    )
    sides = f(given + edge - out) * f(given - edge + out) * f(edge - given + out)
    ends = f(given + m) * f(given - m) * f(edge) ** 2 * f(out + m) * f(out - m)
    return total * math.sqrt((2 * out + 1) * sides * ends / f(given + edge + out + 1))


def paths(given: int, edge: int, outs: Sequence[int]) -> list[Path]:
    """All paths up to some degrees, those to one degree one after the other."""
    return [
        Path(i, j, k)
        for k in outs
        for i in range(given + 1)
        for j in range(edge + 1)
        if abs(i - j) <= k <= i + j and (i + j + k) % 2 == 0
    ]


def bessel(length_e: Tensor, frequency_b: Tensor) -> Tensor:
    """[E, 8] Bessel functions that fade to 0 at the cutoff.

    Gasteiger et al. 2020 (arXiv:2003.03123), eq. 7 and 8 with p = 6, scaled as in the code.
    """
    x_e1, p = (length_e / cutoffs.SE3)[:, None], FADE
    fade_e1 = (
        1
        - (p + 1) * (p + 2) / 2 * x_e1**p
        + p * (p + 2) * x_e1 ** (p + 1)
        - p * (p + 1) / 2 * x_e1 ** (p + 2)
    ) * (x_e1 < 1)
    return 2 / cutoffs.SE3 * torch.sin(frequency_b * x_e1) / length_e[:, None] * fade_e1


def turned(features: Features, matrices_ew: Tensor) -> dict[int, Tensor]:
    """Features [E, M, U] of degrees up to 3, turned by packed Wigner matrices [E, W]."""
    found, start = {}, 0
    for degree in range(max(features) + 1):
        size = 2 * degree + 1
        if not degree:
            found[0] = features[0]
            continue
        matrix_emm = matrices_ew[:, start : start + size * size].view(-1, size, size)
        if degree in features:
            found[degree] = torch.bmm(matrix_emm, features[degree])
        start += size * size
    return found


def middle(feature: Tensor, degree: int, shared: int) -> Tensor:
    """The components |m| ≤ shared of a feature [E, M, U]."""
    return feature[:, degree - shared : degree + shared + 1]


def widened(feature: Tensor, degree: int) -> Tensor:
    """A feature with components that are 0 up to |m| = degree."""
    missing = (2 * degree + 1 - feature.shape[1]) // 2
    return nn.functional.pad(feature, (0, 0, missing, missing))


class Perceptron(nn.Module):
    """Layers without bias and with SiLU, whose numbers have the mean square 1 at the start.

    As e3nn's `FullyConnectedNet`.

    Args:
        widths: of the input and of each layer.
        open_end: whether the last layer is linear.
    """

    def __init__(self, widths: Sequence[int], *, open_end: bool = True) -> None:
        super().__init__()
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(given, width)) for given, width in pairwise(widths)
        )
        self._active = len(self.weights) - open_end

    def forward(self, x: Tensor) -> Tensor:
        """[…, last width] of […, first width]."""
        for place, weight in enumerate(self.weights):
            x = x @ weight / math.sqrt(len(weight))
            if place < self._active:
                x = SILU_NORM * silu(x)
        return x


class Linear(nn.Module):
    """A matrix a degree, as e3nn's `o3.Linear`.

    Args:
        sizes: degree -> U.
        width: V, of all degrees.
    """

    def __init__(self, sizes: Mapping[int, int], width: int) -> None:
        super().__init__()
        self.weights = nn.ParameterDict(
            {str(degree): nn.Parameter(torch.randn(size, width)) for degree, size in sizes.items()}
        )

    def forward(self, features: Features) -> dict[int, Tensor]:
        """Degree -> [N, M, V]."""
        return {
            int(degree): features[int(degree)] @ weight / math.sqrt(len(weight))
            for degree, weight in self.weights.items()
        }


class SelfInteraction(nn.Module):
    """A fully connected product of features with the embedding of the own element.

    A matrix an element is made first, so that its cost does not grow with the atoms.

    Args:
        degrees: of the features.
        given, width: U, V.
    """

    def __init__(self, degrees: Sequence[int], given: int, width: int) -> None:
        super().__init__()
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(given, TYPES, width)) for _ in degrees
        )
        self._degrees, self._norm = list(degrees), math.sqrt(given * TYPES)

    def forward(self, features: Features, elements_zt: Tensor, z_n: Tensor) -> dict[int, Tensor]:
        """Degree -> [N, M, V].

        Args:
            elements_zt: embeddings of the elements that occur.
            z_n: [N] place of a node's element among them.
        """
        found = {}
        for degree, weight in zip(self._degrees, self.weights, strict=True):
            matrix_zuv = torch.einsum("utv,zt->zuv", weight, elements_zt) / self._norm
            found[degree] = torch.bmm(features[degree], matrix_zuv[z_n])
        return found


@dataclass(frozen=True)
class Edges:
    """Edges of a batch as layers need them.

    Attributes:
        basis: [E, 8] of the lengths.
        others: as in `OrbitBatch`.
    """

    nodes: int
    dst: Tensor
    src: Tensor
    count: Tensor
    into: Tensor
    out: Tensor
    basis: Tensor

    def added(self, sent: Tensor) -> Tensor:
        """[N, …] sums of what is sent [E, …], already weighed."""
        return sent.new_zeros(self.nodes, *sent.shape[1:]).index_add(0, self.dst, sent)

    def shares(self, logit_e: Tensor) -> Tensor:
        """[E] attention: of the edges that one stands for together, adding up to 1 at a node."""
        with torch.no_grad():
            lowest_n = logit_e.new_full((self.nodes,), -math.inf)
            most_n = lowest_n.scatter_reduce(0, self.dst, logit_e, "amax")
        raised_e = torch.exp(logit_e - most_n[self.dst]) * self.count
        return raised_e / self.added(raised_e)[self.dst]


class Keys(nn.Module):
    """The logits of the attention: queries of nodes times keys of edges.

    A key is a fully connected product whose weights are numbers of a filter. They are linear in
    the last hidden layer, so each node is multiplied by the matrices first, and edges mix them.

    Args:
        degrees: of the layer.
        given: U; width: of queries and keys.
    """

    def __init__(self, degrees: Degrees, given: int, width: int) -> None:
        super().__init__()
        self._outs = list(range(min(degrees.given, MOST_OF_KEYS) + 1))
        self.paths = paths(degrees.given, degrees.edge, self._outs)
        self.query = Linear(dict.fromkeys(self._outs, given), width)
        self.filter = Perceptron([BASIS, *[HIDDEN] * HIDDEN_LAYERS], open_end=False)
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(HIDDEN, given, width)) for _ in self.paths
        )
        self.dots = nn.ParameterList(nn.Parameter(torch.randn(width, width)) for _ in self._outs)
        for index, path in enumerate(self.paths):
            fan_in = given * sum(other.out == path.out for other in self.paths)
            factors = path.factors() / math.sqrt(fan_in * HIDDEN)
            self.register_buffer(f"factors{index}", factors[:, None], persistent=False)
        self._norm = math.sqrt(MOST_OF_KEYS + 1) * width  # also of degrees that are 0

    def forward(self, inner: Features, framed: Features, edges: Edges) -> Tensor:
        """[E].

        Args:
            framed: the features of src in the frames of the edges, [E, M, U].
        """
        filter_eh = self.filter(edges.basis)
        keys = {k: self._key(framed, filter_eh, k) for k in self._outs}
        query = self.query(inner)
        total_e = filter_eh.new_zeros(len(filter_eh))
        for k, key_emv in turned(keys, edges.out).items():
            wanted_nmv = query[k] @ self.dots[k] / math.sqrt(2 * k + 1)
            total_e = total_e + (wanted_nmv[edges.dst] * key_emv).sum((1, 2))
        return total_e / self._norm

    def _key(self, framed: Features, filter_eh: Tensor, out: int) -> Tensor:
        """[E, M, V] keys of a degree, in the frames of the edges."""
        total: Tensor | None = None
        for index, (path, weight_huv) in enumerate(zip(self.paths, self.weights, strict=True)):
            if path.out != out:
                continue
            sent_emu = middle(framed[path.given], path.given, path.shared)
            scaled_emu = sent_emu * getattr(self, f"factors{index}").to(sent_emu.dtype)
            mixed_emhu = scaled_emu[:, :, None] * filter_eh[:, None, :, None]
            flat = mixed_emhu.flatten(2) @ weight_huv.flatten(0, 1)
            found = widened(flat, out)
            total = found if total is None else total + found
        assert total is not None  # each degree of a key has the path by an edge of degree 0
        return total


class Values(nn.Module):
    """What is sent along edges: a product whose channels stay apart, then a linear layer.

    Args:
        degrees: of the layer.
        given, width: U, V.
    """

    def __init__(self, degrees: Degrees, given: int, width: int) -> None:
        super().__init__()
        self._outs, self._given = list(range(degrees.read + 1)), given
        self.paths = paths(degrees.given, degrees.edge, self._outs)
        widths = [BASIS, *[HIDDEN] * HIDDEN_LAYERS, len(self.paths) * given]
        self.filter = Perceptron(widths)
        sizes = {k: given * sum(path.out == k for path in self.paths) for k in self._outs}
        self.after = Linear(sizes, width)
        for index, path in enumerate(self.paths):
            self.register_buffer(f"factors{index}", path.factors()[:, None], persistent=False)

    def forward(self, framed: Features, share_e: Tensor, edges: Edges) -> dict[int, Tensor]:
        """Degree -> [N, M, V] sums over neighbours."""
        filter_eq = self.filter(edges.basis) * share_e[:, None]
        filters = filter_eq.view(-1, len(self.paths), 1, self._given).unbind(1)
        sent: dict[int, list[Tensor]] = {}
        for index, (path, filter_e1u) in enumerate(zip(self.paths, filters, strict=True)):
            passed = middle(framed[path.given], path.given, path.shared)
            factors = getattr(self, f"factors{index}").to(passed.dtype)
            sent.setdefault(path.out, []).append(widened(passed * factors * filter_e1u, path.out))
        joined = {k: torch.cat(parts, dim=2) for k, parts in sent.items()}
        return self.after({k: edges.added(of) for k, of in turned(joined, edges.out).items()})


class Layer(nn.Module):
    """f' = product(f, f₀) + linear(attention(f)).

    Args:
        degrees: highest ones.
        given, width: U, V; keys: width of queries and keys.
    """

    def __init__(self, degrees: Degrees, given: int, width: int, keys: int) -> None:
        super().__init__()
        kept = range(min(degrees.given, degrees.read) + 1)
        self.own = SelfInteraction(kept, given, width)
        self.before = Linear(dict.fromkeys(range(degrees.given + 1), given), given)
        self.keys = Keys(degrees, given, keys)
        self.values = Values(degrees, given, width)

    def forward(
        self, features: Features, elements_zt: Tensor, z_n: Tensor, edges: Edges
    ) -> dict[int, Tensor]:
        """Degree -> [N, M, V]; arguments as of `SelfInteraction`."""
        own = self.own(features, elements_zt, z_n)
        inner = self.before(features)
        framed = turned({k: of[edges.src] for k, of in inner.items()}, edges.into)
        share_e = edges.shares(self.keys(inner, framed, edges))
        new = self.values(framed, share_e, edges)
        return {k: of + own[k] if k in own else of for k, of in new.items()}


class SE3Transformer(nn.Module):
    """Densities of states of atoms, [N, L].

    Args:
        points: L.
        width: V of the first layer; the second has twice as many. 259 in the paper.
    """

    def __init__(self, points: int, width: int = 32) -> None:
        super().__init__()
        keys = max(1, round(width * PUBLISHED_KEYS / PUBLISHED))
        self.embedding = Perceptron(3 * [TYPES])
        self.frequency = nn.Parameter(math.pi * torch.arange(1.0, BASIS + 1))
        given, widths = (TYPES, width, 2 * width), (width, 2 * width, points)
        self.layers = nn.ModuleList(
            Layer(*sizes, keys) for sizes in zip(LAYERS, given, widths, strict=True)
        )
        self.out = Linear({0: points}, points)

    def forward(self, types_zt: Tensor, batch: OrbitBatch) -> Tensor:
        """[N, L].

        Args:
            types_zt: a row an atomic number, one-hot in 118 columns.
        """
        last = self.features(types_zt, batch)[-1]
        return silu(self.out(last)[0].squeeze(1))

    def features(self, types_zt: Tensor, batch: OrbitBatch) -> list[dict[int, Tensor]]:
        """Degree -> [N, M, V] after each layer, in standard orientation."""
        known, z_n = torch.unique(batch.z, return_inverse=True)
        elements_zt = self.embedding(types_zt[known])
        edges = Edges(
            nodes=batch.nodes,
            dst=batch.dst,
            src=batch.src,
            count=batch.count,
            into=batch.into,
            out=batch.out,
            basis=bessel(batch.length, self.frequency),
        )
        features: dict[int, Tensor] = {0: elements_zt[z_n][:, None]}
        found = []
        for layer in self.layers:
            features = layer(features, elements_zt, z_n, edges)
            found.append(features)
        return found
