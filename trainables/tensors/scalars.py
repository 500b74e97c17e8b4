"""Numbers and surfaces that engineers read off tensors.

Legend: … tensors, H directions.
"""

from __future__ import annotations

import numpy as np

from trainables.tensors.voigt import mandel


def refractive_index(permittivity: np.ndarray) -> np.ndarray:
    """[…] √(trace / 3) of permittivities at optical frequencies […, 3, 3]; 0 for a negative trace.

    Petousis et al. 2017, doi:10.1038/sdata.2016.134.
    """
    mean = np.trace(permittivity, axis1=-2, axis2=-1) / 3
    return np.asarray(np.sqrt(np.maximum(mean, 0.0)))


def stable(stiffness: np.ndarray) -> np.ndarray:
    """[…] bool: whether stiffnesses […, 3, 3, 3, 3] are positive definite.

    Any strain costs energy then (Mouhat & Coudert 2014, doi:10.1103/PhysRevB.90.224104).
    """
    return np.asarray(np.linalg.eigvalsh(mandel(stiffness))[..., 0] > 0)


def compliance(stiffness: np.ndarray) -> np.ndarray:
    """[…, 6, 6] inverses in Mandel's notation; the pseudo-inverse of what is singular."""
    return np.asarray(np.linalg.pinv(mandel(stiffness), hermitian=True))


def moduli(stiffness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bulk and shear modulus […] of polycrystals, the means of Voigt's and Reuss' bounds.

    Hill 1952, doi:10.1088/0370-1298/65/5/307. A stiffness that is not positive definite has no
    lower bound; its moduli are Voigt's alone.
    """
    bulk, shear = _averages(mandel(stiffness))
    soft = compliance(stiffness)
    lower, trace = _sums(soft)
    sound = stable(stiffness)
    with np.errstate(divide="ignore", invalid="ignore"):
        reuss_bulk, reuss_shear = 1 / lower, 15 / (2 * (3 * trace - lower))
    return (
        np.where(sound, (bulk + reuss_bulk) / 2, bulk),
        np.where(sound, (shear + reuss_shear) / 2, shear),
    )


def _averages(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Voigt's bulk and shear modulus."""
    total, trace = _sums(matrix)
    return total / 9, (3 * trace - total) / 30


def _sums(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """C_iijj and C_ijij of matrices in Mandel's notation."""
    return matrix[..., :3, :3].sum(axis=(-2, -1)), np.trace(matrix, axis1=-2, axis2=-1)


def youngs_modulus(stiffness: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """[…, H] stress over strain along unit vectors [H, 3]: 1 / (n n : S : n n).

    Nye 1985, Physical Properties of Crystals, section VIII.5.
    """
    pairs = directions[:, :, None] * directions[:, None, :]
    first, second = [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]
    flat = pairs[:, first, second] * np.array([1, 1, 1, *[2**0.5] * 3])
    return np.asarray(1 / np.einsum("hi,...ij,hj->...h", flat, compliance(stiffness), flat))
