"""Voigt's notation: one index 1 to 6 for a symmetric pair, in the order xx yy zz yz xz xy.

Entries of permittivities, stiffnesses and piezoelectric stress tensors (e, C/m²) are the same in
both notations.
The factors 2 and 4 that compliances and strain tensors (d) carry occur nowhere here: a compliance
is the inverse in Mandel's notation, where a pair of unequal indices has √2 (Nye 1985, Physical
Properties of Crystals, chapters VII and VIII).
"""

from __future__ import annotations

from itertools import permutations

import numpy as np

PAIRS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
SHEAR = ("yz", "xz", "xy")
_FIRST, _SECOND = map(list, zip(*PAIRS, strict=True))
_PLACE = np.zeros((3, 3), np.int64)
_PLACE[_FIRST, _SECOND] = _PLACE[_SECOND, _FIRST] = range(6)
MANDEL = np.array([1, 1, 1, *[2**0.5] * 3])
# Other orders of the shear components in use: what stands where yz, xz, xy should.
OTHER_ORDERS = tuple(order for order in permutations(range(3)) if order != (0, 1, 2))


def stiffness(matrices: np.ndarray) -> np.ndarray:
    """[…, 3, 3, 3, 3] from Voigt matrices […, 6, 6]."""
    return np.asarray(matrices[..., _PLACE[:, :, None, None], _PLACE])


def stiffness_matrix(tensors: np.ndarray) -> np.ndarray:
    """[…, 6, 6] the inverse of `stiffness`."""
    rows = tensors[..., _FIRST, _SECOND, :, :]
    return np.asarray(rows[..., _FIRST, _SECOND])


def mandel(tensors: np.ndarray) -> np.ndarray:
    """[…, 6, 6] stiffnesses as matrices whose products and inverses are those of the tensors."""
    return stiffness_matrix(tensors) * MANDEL * MANDEL[:, None]


def symmetric(vectors: np.ndarray) -> np.ndarray:
    """[…, 3, 3] from Voigt vectors […, 6]."""
    return np.asarray(vectors[..., _PLACE])


def symmetric_vector(tensors: np.ndarray) -> np.ndarray:
    """[…, 6] the inverse of `symmetric`."""
    return np.asarray(tensors[..., _FIRST, _SECOND])


def piezo(matrices: np.ndarray) -> np.ndarray:
    """[…, 3, 3, 3] from Voigt matrices […, 3, 6], the field's index first."""
    return symmetric(matrices)


def piezo_matrix(tensors: np.ndarray) -> np.ndarray:
    """[…, 3, 6] the inverse of `piezo`."""
    return symmetric_vector(tensors)


def reordered(matrices: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """A Voigt vector [6], or matrices […, 3 or 6, 6], read as if the shears had another order.

    Args:
        order: what stands in the places of yz, xz and xy, by number among these.
    """
    places = np.empty(6, np.int64)
    places[:3] = range(3)
    places[3 + np.array(order)] = np.arange(3) + 3
    found = matrices[..., places]
    return found[..., places, :] if matrices.shape[-2:] == (6, 6) else found


def order_in_words(order: tuple[int, ...] = (0, 1, 2)) -> str:
    """Like `xx yy zz xy yz xz`; without an order, that in which tensors are read and written."""
    return " ".join(("xx yy zz", *(SHEAR[place] for place in order)))
