"""Real solid harmonics up to l = 4, and how they turn: in double precision.

Legend: R rotations, K sample points, M = 2l + 1 components.

The components of order l are those of the real solid harmonics Y_l with the polar axis z, in the
order m = -l … l: (y, z, x) for l = 1. So they are e3nn's (Geiger & Smidt 2022, arXiv:2207.09453) of
the vector (y, z, x). D(R) is defined by Y(R v) = D(R) Y(v): a feature of natural parity, (-1)^l, as
1o, 2e and 3o. One of the other parity takes det(R) D(R).

Euler angles lose half of the digits where they are singular, as at the operations of a crystal. So
D(R) is solved for from Y at sample points and at their images, which is exact to rounding.
"""

from __future__ import annotations

from functools import cache

import numpy as np


def harmonics(order: int, vectors: np.ndarray) -> np.ndarray:
    """[…, M] real solid harmonics of order 1 to 4, whose squares sum to r^2l.

    Args:
        vectors: […, 3].
    """
    x, y, z = np.moveaxis(vectors, -1, 0)
    if order == 1:
        return np.stack([y, z, x], axis=-1)
    square = x * x + y * y + z * z
    if order == 2:
        diagonal = (3 * z * z - square) / 2
        half = (x * x - y * y) / 2
        return np.stack([x * y, y * z, diagonal / 3**0.5, x * z, half], axis=-1) * 3**0.5
    if order == 3:
        outer = 5 * z * z - square
        return np.stack(
            [
                (5 / 8) ** 0.5 * y * (3 * x * x - y * y),
                15**0.5 * x * y * z,
                (3 / 8) ** 0.5 * y * outer,
                z * (5 * z * z - 3 * square) / 2,
                (3 / 8) ** 0.5 * x * outer,
                15**0.5 / 2 * z * (x * x - y * y),
                (5 / 8) ** 0.5 * x * (x * x - 3 * y * y),
            ],
            axis=-1,
        )
    inner, outer = 7 * z * z - square, 7 * z * z - 3 * square
    return np.stack(
        [
            35**0.5 / 2 * x * y * (x * x - y * y),
            (35 / 8) ** 0.5 * y * z * (3 * x * x - y * y),
            5**0.5 / 2 * x * y * inner,
            (5 / 8) ** 0.5 * y * z * outer,
            (35 * z**4 - 30 * z * z * square + 3 * square * square) / 8,
            (5 / 8) ** 0.5 * x * z * outer,
            5**0.5 / 4 * (x * x - y * y) * inner,
            (35 / 8) ** 0.5 * x * z * (x * x - 3 * y * y),
            35**0.5 / 8 * (x**4 - 6 * x * x * y * y + y**4),
        ],
        axis=-1,
    )


def wigner(order: int, rotations: np.ndarray) -> np.ndarray:
    """[R, M, M] matrices D(R) of one order, 0 to 4.

    Args:
        rotations: [R, 3, 3] orthogonal matrices.
    """
    if order == 0:
        return np.ones((len(rotations), 1, 1))
    points, inverse = _samples(order)
    turned = harmonics(order, np.einsum("rij,kj->rki", rotations, points))
    return np.einsum("mk,rkn->rnm", inverse, turned)


@cache
def _samples(order: int) -> tuple[np.ndarray, np.ndarray]:
    """Points [K, 3] on the sphere, spread evenly, and the inverse [M, K] of the harmonics there."""
    steps = np.arange(24)
    height = 1 - (2 * steps + 1) / len(steps)
    angle = steps * np.pi * (3 - 5**0.5)  # the golden angle
    radius = np.sqrt(1 - height**2)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)
    return points, np.linalg.pinv(harmonics(order, points))
