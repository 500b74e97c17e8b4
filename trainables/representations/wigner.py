"""Real Wigner matrices up to l = 3, of proper and improper rotations, in double precision.

Legend: R rotations, K sample points, M = 2l + 1 components, W = 9 + 25 + 49 packed entries.

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

ORDERS = (1, 2, 3)  # that of l = 0 is the number 1
WIDTH = sum((2 * order + 1) ** 2 for order in ORDERS)


def harmonics(order: int, vectors: np.ndarray) -> np.ndarray:
    """[…, M] real solid harmonics of order 1, 2 or 3, whose squares sum to r^2l.

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


def wigner(order: int, rotations: np.ndarray) -> np.ndarray:
    """[R, M, M] matrices D(R) of one order.

    Args:
        rotations: [R, 3, 3] orthogonal matrices.
    """
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


def packed(rotations: np.ndarray) -> np.ndarray:
    """[R, W] the matrices of l = 1, 2 and 3 behind each other, each row by row."""
    return pack([wigner(order, rotations) for order in ORDERS])


def pack(matrices: list[np.ndarray]) -> np.ndarray:
    """[R, W] from [R, M, M] of l = 1, 2 and 3."""
    return np.concatenate([one.reshape(len(one), one.shape[1] ** 2) for one in matrices], axis=1)


def unpack(flat: np.ndarray) -> list[np.ndarray]:
    """The inverse of `pack`."""
    matrices, start = [], 0
    for order in ORDERS:
        size = 2 * order + 1
        matrices.append(flat[:, start : start + size**2].reshape(-1, size, size))
        start += size**2
    return matrices


def multiply(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """[R, W] products of packed matrices."""
    return pack([a @ b for a, b in zip(unpack(one), unpack(other), strict=True)])


def transpose(flat: np.ndarray) -> np.ndarray:
    """[R, W] packed matrices transposed: of the inverse rotations."""
    return pack([one.swapaxes(1, 2) for one in unpack(flat)])


def to_pole(vectors: np.ndarray) -> np.ndarray:
    """[R, 3, 3] proper rotations that turn vectors onto the positive z axis.

    A tensor product with the harmonics of the vector is diagonal in |m| in the frame that they
    lead to. The angle about z is free there, and jumps where a vector crosses the plane z = 0:
    nothing is differentiated with respect to it.

    Args:
        vectors: [R, 3], none of them zero.
    """
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    upper = unit[:, 2] >= 0
    # The mirror that exchanges the vector and the far pole, so that nothing cancels.
    normal = unit + np.where(upper, 1.0, -1.0)[:, None] * np.array([0.0, 0.0, 1.0])
    mirror = (
        np.eye(3) - 2 * (normal[:, :, None] * normal[:, None]) / (normal**2).sum(1)[:, None, None]
    )
    # The inversion brings the far pole to the pole; below, a second mirror keeps the pole.
    second = np.where(upper[:, None], -np.ones(3), np.array([1.0, -1.0, 1.0]))
    turned: np.ndarray = second[:, :, None] * mirror
    return turned
