"""Graphs whose edges also know the potential of the whole sublattice of a neighbour.

Legend: B crystals, N atoms, M nodes of the quotient, E edges, R lattice translations, G reciprocal
vectors.

PotNet (Lin et al. 2023, arXiv:2306.10045) sums a potential over all images of a neighbour. Such a
sum depends on the choice of the cell; the potential of all atoms of the neighbour's class at an
atom does not, and is the same for all edges of a quotient between two classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from scipy.special import erfc

from trainables.representations.columns import Columns, Scope, column
from trainables.representations.graph import (
    CrystalGraph,
    Graphs,
    MeasuredGraphs,
    Neighbours,
)
from trainables.representations.graph_batch import GraphBatch, Taken
from trainables.representations.quotient import quotient, refine

POTENTIALS = 3
_REACH = 12.0  # Å, of the sums of the short-ranged potentials; the rest is taken as a continuum
_PRECISION = 20.0
_DECAY = 3.0  # 1/Å


@dataclass(frozen=True)
class PotentialGraphs(Graphs):
    """Quotients with potentials.

    Attributes:
        potential: [E, 3] at an atom of dst, of all atoms of src's class: Coulomb's in 1/Å, with a
            uniform background that neutralises it, and the logarithms of those of dispersion
            (r^-6) and repulsion (exp(-3r)).
    """

    potential: Annotated[np.ndarray, column(Scope.EDGE, "float32", (POTENTIALS,))]

    def prepared(self) -> MeasuredPotentialGraphs:
        """See `Graphs`."""
        measured = super().prepared()
        return MeasuredPotentialGraphs(**vars(measured), potential=self.potential)


@dataclass(frozen=True)
class MeasuredPotentialGraphs(MeasuredGraphs):
    """`MeasuredGraphs` with potentials."""

    potential: Annotated[np.ndarray, column(Scope.EDGE, "float32", (POTENTIALS,))]

    @classmethod
    def batch(cls, taken: Taken) -> PotentialBatch:
        """See `Columns`."""
        return PotentialBatch(**vars(super().batch(taken)), potential=taken["potential"])


@dataclass(frozen=True, kw_only=True)
class PotentialBatch(GraphBatch):
    """A batch of graphs with potential: [E, 3]."""

    potential: object


@dataclass(frozen=True, kw_only=True)
class PotentialGraph(CrystalGraph):
    """Quotients with potentials of sublattices."""

    columns: ClassVar[type[Columns]] = PotentialGraphs
    keeps_atoms: ClassVar[bool] = False

    def build(self, neighbours: Neighbours) -> PotentialGraphs:
        """See `CrystalGraph`."""
        full = Graphs.full(neighbours, self)
        merged = quotient(full)
        classes = _classes(full)
        parts = []
        for crystal in range(len(merged)):
            atoms = slice(*neighbours.node_ptr[crystal : crystal + 2])
            own = classes[atoms] - merged.node_ptr[crystal]
            sums = sublattice_potentials(
                neighbours.lattice[crystal], neighbours.frac[atoms], own
            )
            edges = slice(*merged.edge_ptr[crystal : crystal + 2])
            parts.append(sums[merged.dst[edges], merged.src[edges]])
        potential = np.concatenate([np.zeros((0, POTENTIALS)), *parts]).astype(np.float32)
        return PotentialGraphs(**vars(merged), potential=potential)


def _classes(full: Graphs) -> np.ndarray:
    """[N] node of the quotient of each atom, over all crystals."""
    colour = refine(full)
    order = np.lexsort((colour, full.z, full.node_crystal))
    new = np.ones(len(order), dtype=bool)
    crystal = full.node_crystal
    new[1:] = (np.diff(crystal[order]) != 0) | (colour[order][1:] != colour[order][:-1])
    found = np.empty(len(order), dtype=np.int64)
    found[order] = np.cumsum(new) - 1
    return found


def sublattice_potentials(
    lattice: np.ndarray, frac: np.ndarray, classes: np.ndarray
) -> np.ndarray:
    """[M, M, 3] potentials at an atom of the first class (mean over it) of all of the second."""
    pair = np.stack(
        [
            _coulomb(lattice, frac),
            _short(lattice, frac, lambda r: r**-6.0, lambda r: 4 * math.pi / (3 * r**3)),
            _short(lattice, frac, lambda r: np.exp(-_DECAY * r), lambda r: 0.0),
        ],
        axis=-1,
    )
    member = np.eye(int(classes.max()) + 1)[classes]  # [N, M]
    total = np.einsum("im,ijp,jn->mnp", member / member.sum(0), pair, member)
    total[..., 1:] = np.log10(np.maximum(total[..., 1:], 1e-30))
    return total


def _shifts(lattice: np.ndarray, radius: float) -> np.ndarray:
    heights = 1.0 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    reach = np.ceil(radius / heights).astype(int) + 1
    grid = np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij")
    shifts = np.stack(grid, -1).reshape(-1, 3) @ lattice
    longest = np.linalg.norm(lattice.sum(0)) + np.linalg.norm(lattice, axis=1).sum()
    return np.asarray(shifts[np.linalg.norm(shifts, axis=1) < radius + longest])


def _distances(lattice: np.ndarray, frac: np.ndarray, radius: float) -> np.ndarray:
    """[N, N, R] distances to all images within a radius, inf beyond and for an atom itself."""
    vectors = (frac[None] - frac[:, None]) @ lattice
    shifts = _shifts(lattice, radius)
    found = np.linalg.norm(vectors[:, :, None] + shifts, axis=-1)
    found[(found > radius) | (found < 1e-6)] = np.inf
    return np.asarray(found)


def _short(lattice, frac, potential, rest) -> np.ndarray:  # type: ignore[no-untyped-def]
    """[N, N] sums of a potential over all images, as a continuum beyond the reach."""
    near = potential(_distances(lattice, frac, _REACH)).sum(-1)
    return np.asarray(near + rest(_REACH) / abs(np.linalg.det(lattice)))


def _coulomb(lattice: np.ndarray, frac: np.ndarray) -> np.ndarray:
    """[N, N] Ewald's sum of 1/r over all images, with a neutralising background."""
    volume = abs(float(np.linalg.det(lattice)))
    width = math.sqrt(math.pi) * (len(frac) / volume**2) ** (1 / 6)
    distance = _distances(lattice, frac, math.sqrt(_PRECISION) / width)
    with np.errstate(invalid="ignore"):
        real = np.where(np.isinf(distance), 0.0, erfc(width * distance) / distance).sum(-1)
    reciprocal = 2 * math.pi * np.linalg.inv(lattice).T
    waves = _shifts(reciprocal, 2 * width * math.sqrt(_PRECISION))
    squares = (waves**2).sum(1)
    kept = (squares > 1e-12) & (squares < 4 * width**2 * _PRECISION)
    waves, squares = waves[kept], squares[kept]
    weights = np.exp(-squares / (4 * width**2)) / squares
    phase = np.exp(1j * (frac @ lattice) @ waves.T)  # [N, G]
    far = 4 * math.pi / volume * ((phase * weights) @ phase.conj().T).real
    itself = -2 * width / math.sqrt(math.pi) * np.eye(len(frac))
    return np.asarray(real + far + itself - math.pi / (volume * width**2))
