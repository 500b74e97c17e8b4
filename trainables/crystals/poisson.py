"""The one-dimensional Poisson equation of planar-averaged charges, for an electron.

    d²U/dz² = (e²/ε₀) ρ(z),

U the potential energy of an electron in eV and ρ the charge density in e/Å³, averaged over planes.
Each charge is a Gaussian in z, of which a Fourier series is known in closed form, so that the
solution is exact but for the waves that are shorter than two points of the grid.

Legend: M charges, P points of a period, G waves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

COUPLING = 180.951_28  # e²/ε₀ in eV·Å, CODATA 2018


@dataclass(frozen=True, kw_only=True)
class Charges:
    """Gaussian charges in a cell that is periodic along z, of which the sum is 0.

    Attributes:
        charge: [M] e, each spread over the area of the cell.
        z: [M] Å.
        width: [M] Å, standard deviations.
        area: Å² of the cell across z.
        height: Å of the cell along z.
        cut: Å, a place in the vacuum: the dipole is that of the charges between it and its image.
    """

    charge: np.ndarray
    z: np.ndarray
    width: np.ndarray
    area: float
    height: float
    cut: float = 0.0

    @property
    def above_cut(self) -> np.ndarray:
        """[M] Å from the cut upwards, below the height."""
        return np.asarray((self.z - self.cut) % self.height)

    @property
    def drop(self) -> float:
        """The potential above the charges minus that below, in eV, where nothing is periodic.

        It is -(e²/ε₀) Σ q z / A: a double layer σ at a distance d makes the drop σ d / ε₀.
        """
        return -COUPLING * float(self.charge @ self.above_cut) / self.area


@dataclass(frozen=True)
class Waves:
    """The periodic solution as a Fourier series, whose mean is 0.

    Attributes:
        of: the charges.
        amplitudes: [G] eV, complex, of the waves exp(2πi g z / height), g = 1, 2, …
    """

    of: Charges
    amplitudes: np.ndarray

    def periodic(self, z: np.ndarray) -> np.ndarray:
        """[P] eV at z [P] in Å: the boundary is that of a periodic cell."""
        waves = np.arange(1, len(self.amplitudes) + 1)
        turns = np.exp(2j * np.pi / self.of.height * np.outer(z, waves))
        return np.asarray(2 * (turns @ self.amplitudes).real)

    def corrected(self, z: np.ndarray) -> np.ndarray:
        """[P] eV at z [P] in Å, with the dipole of the cell corrected.

        The field with which the periodic boundary closes the drop is taken away, and the drop
        becomes a step at the cut: two vacuum levels. L. Bengtsson, Phys. Rev. B 59, 12301 (1999),
        doi:10.1103/PhysRevB.59.12301.
        """
        along = ((z - self.of.cut) / self.of.height) % 1.0
        return self.periodic(z) + self.of.drop * (along - 0.5)


def solve(charges: Charges, points: int) -> Waves:
    """The solution in the waves that `points` points of a period resolve.

    A Gaussian's Fourier coefficients are Gaussians, q exp(-k²w²/2 - i k z) / (A h), and those of
    the potential -(e²/ε₀) / k² times these.

    Raises:
        ValueError: the charges have a sum, so that there is no potential.
    """
    if abs(charges.charge.sum()) > 1e-9 * max(1.0, float(abs(charges.charge).sum())):
        raise ValueError(f"the charges add up to {charges.charge.sum():.3g} e instead of 0")
    k = 2 * math.pi / charges.height * np.arange(1, points // 2 + 1)
    shape = np.exp(-0.5 * np.square(np.outer(k, charges.width)))
    density = (shape * np.exp(-1j * np.outer(k, charges.z))) @ charges.charge
    volume = charges.area * charges.height
    return Waves(charges, -COUPLING / volume * density / (k * k))
