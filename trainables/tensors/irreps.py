"""Cartesian tensors as irreducible parts, between which an orthonormal basis leads.

Legend: B tensors, R rotations, P 3^rank entries, C components, M = 2l + 1, n copies of an order.

A symmetric tensor of rank 2 is a number and a deviator, l = 0 and 2; a stiffness has l = 0 and 2
twice and 4 once; a piezoelectric tensor has l = 1 twice, 2 and 3. The basis is not typed in: it is
the space of matrices W with D(R) W = W D_l(R) for any R, D being the tensor's own representation.
Components have the order and the signs of `harmonics.py`. The basis is orthonormal, so that the
Frobenius norm of a tensor is the norm of its components.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import permutations, product

import numpy as np

from trainables.tensors.harmonics import wigner

Places = tuple[int, ...]
SMALL = 1e-9  # below it, an eigenvalue of the conditions on W is zero, and equal pivots are equal


@dataclass(frozen=True)
class Form:
    """A kind of tensor.

    Attributes:
        name: of the kind of target.
        rank: number of indices.
        same: permutations of the places of the indices that change nothing; the identity is one.
        orders: l of its irreducible parts, copies of one l after each other.
    """

    name: str
    rank: int
    same: tuple[Places, ...]
    orders: tuple[int, ...]

    @property
    def width(self) -> int:
        """C."""
        return sum(2 * order + 1 for order in self.orders)

    @property
    def isotropic(self) -> int:
        """The number of components, the first ones, of tensors without a direction."""
        return self.orders.count(0)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the Cartesian tensor."""
        return (3,) * self.rank

    @cached_property
    def basis(self) -> np.ndarray:
        """[C, P] orthonormal rows: components = basis · entries, entries = basisᵀ · components."""
        own = self._symmetric
        found = []
        for order in dict.fromkeys(self.orders):
            copies = intertwiners(lambda turn: own @ powers(turn, self.rank) @ own.T, order)
            if len(copies) != self.orders.count(order):
                raise ArithmeticError(f"{self.name}: {len(copies)} parts of l = {order}")
            found += [one.T @ own for one in copies]
        return np.concatenate(found)

    @cached_property
    def _symmetric(self) -> np.ndarray:
        """[C, P] orthonormal rows, one for each set of entries that are the same."""
        places = list(product(range(3), repeat=self.rank))
        rows: dict[Places, np.ndarray] = {}
        for at, place in enumerate(places):
            first = min(tuple(place[i] for i in order) for order in self.same)
            rows.setdefault(first, np.zeros(len(places)))[at] = 1
        stacked = np.stack(list(rows.values()))
        return np.asarray(stacked / np.linalg.norm(stacked, axis=1, keepdims=True))

    def components(self, tensors: np.ndarray) -> np.ndarray:
        """[…, C] of Cartesian tensors […, 3, …]; what is not symmetric in their indices is lost."""
        flat = tensors.reshape(*tensors.shape[: tensors.ndim - self.rank], -1)
        return np.asarray(flat @ self.basis.T)

    def cartesian(self, components: np.ndarray) -> np.ndarray:
        """[…, 3, …] from components […, C]."""
        flat = components @ self.basis
        return np.asarray(flat.reshape(*components.shape[:-1], *self.shape))

    def turned(self, components: np.ndarray, rotations: np.ndarray) -> np.ndarray:
        """Components [B, C] after rotations or reflections [B, 3, 3], one each."""
        return np.einsum("bcd,bd->bc", self.matrices(rotations), components)

    def matrices(self, rotations: np.ndarray) -> np.ndarray:
        """[R, C, C] orthogonal matrices by which components turn, block by block.

        Args:
            rotations: [R, 3, 3] orthogonal; a reflection changes the sign of a part of the other
                parity than (-1)^l.
        """
        found = np.zeros((len(rotations), self.width, self.width))
        signs = np.sign(np.linalg.det(rotations))[:, None, None]
        start = 0
        for order in self.orders:
            end = start + 2 * order + 1
            own = wigner(order, rotations)
            found[:, start:end, start:end] = own * signs if (order + self.rank) % 2 else own
            start = end
        return found

    def invariant(self, rotations: np.ndarray) -> np.ndarray:
        """[C, C] the projection onto what a group [R, 3, 3] leaves unchanged."""
        return np.asarray(self.matrices(rotations).mean(axis=0))


def powers(rotation: np.ndarray, rank: int) -> np.ndarray:
    """[P, P] how the entries of a tensor, row by row, turn: the Kronecker power."""
    found = np.ones((1, 1))
    for _ in range(rank):
        found = np.kron(found, rotation)
    return found


def intertwiners(represented: Callable[[np.ndarray], np.ndarray], order: int) -> np.ndarray:
    """[n, D, M] all ways in which order l is in a representation of the rotations.

    Each W has D(R) W = W D_l(R) and orthonormal columns; two copies are orthogonal too. Which ones
    of equal worth are taken depends on nothing but the representation: they are pivots.

    Args:
        represented: the orthogonal matrix D [D, D] of a proper rotation [3, 3].
    """
    turns = _generic()
    size = len(represented(turns[0]))
    width = 2 * order + 1
    conditions = np.zeros((size * width, size * width))
    for turn, own in zip(turns, wigner(order, turns), strict=True):
        one = np.kron(represented(turn), np.eye(width)) - np.kron(np.eye(size), own.T)
        conditions += one.T @ one
    values, vectors = np.linalg.eigh(conditions)
    kept = vectors[:, values < SMALL]
    space = kept @ kept.T
    found = []
    for _ in range(kept.shape[1]):
        sizes = space.diagonal()
        pivot = int((sizes > sizes.max() - SMALL).argmax())
        one = space[:, pivot] / sizes[pivot] ** 0.5
        found.append(one.reshape(size, width) * width**0.5)
        space = space - np.outer(one, one)
    return np.array(found).reshape(-1, size, width)


@cache
def _generic() -> np.ndarray:
    """[3, 3, 3] proper rotations that are in no group together but that of all rotations."""
    drawn = np.random.default_rng(0).normal(size=(3, 3, 3))
    turns, _ = np.linalg.qr(drawn)
    return np.asarray(turns * np.linalg.det(turns)[:, None, None])


@cache
def coupling(one: int, other: int, order: int) -> np.ndarray:
    """[2l₁+1, 2l₂+1, M] the part of order l of a product of two features, of norm √M.

    Up to sign the Clebsch-Gordan coefficients of real harmonics. An order l of odd l₁ + l₂ + l is
    of the other parity than (-1)^l.
    """
    (found,) = intertwiners(
        lambda turn: np.kron(wigner(one, turn[None])[0], wigner(other, turn[None])[0]), order
    )
    return np.asarray(found.reshape(2 * one + 1, 2 * other + 1, 2 * order + 1))


def _generated(*generators: Places) -> tuple[Places, ...]:
    """The permutations that some of them generate."""
    rank = len(generators[0])
    known = {tuple(range(rank)), *generators}
    while True:
        more = known | {tuple(one[place] for place in other) for one in known for other in known}
        if more == known:
            return tuple(one for one in permutations(range(rank)) if one in known)
        known = more


DIELECTRIC = Form("dielectric", 2, _generated((1, 0)), (0, 2))
ELASTIC = Form("elastic", 4, _generated((1, 0, 2, 3), (2, 3, 0, 1)), (0, 0, 2, 2, 4))
PIEZO = Form("piezo", 3, _generated((0, 2, 1)), (1, 1, 2, 3))
FORMS = {form.name: form for form in (DIELECTRIC, ELASTIC, PIEZO)}
