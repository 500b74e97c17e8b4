"""Real Wigner matrices up to l = 3 behind each other, of proper and improper rotations.

Legend: R rotations, M = 2l + 1 components, W = 9 + 25 + 49 packed entries.

Components and signs are those of `trainables/tensors/harmonics.py`.
"""

from __future__ import annotations

import numpy as np

from trainables.tensors.harmonics import wigner

ORDERS = (1, 2, 3)  # that of l = 0 is the number 1
WIDTH = sum((2 * order + 1) ** 2 for order in ORDERS)


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
