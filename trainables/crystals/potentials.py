"""Planar-averaged potentials of slabs and monolayers: checked, and put onto one grid.

The potential is the potential energy of an electron, averaged over planes parallel to the slab, in
eV; atoms are wells. Along the normal, z, it is periodic with the cell.

Legend: P points of a file's profile, L of the grid.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trainables.crystals.crystal import BadCrystal
from trainables.crystals.potential_checks import (
    demand_fermi,
    demand_numbers,
    demand_points,
    demand_wells,
    levels_of,
    points_of,
)
from trainables.crystals.vacuum import find_vacuum, window_points


@dataclass(frozen=True, kw_only=True)
class Potential:
    """The potential of one slab as its file has it.

    Attributes:
        potential: [P] float64, eV, at z = i/P · height.
        height: Å, the period along the normal.
        fermi: eV, the Fermi level E_F.
        vacuum: [2] float64, eV: the vacuum level below the slab and that above it.
    """

    potential: np.ndarray
    height: float
    fermi: float
    vacuum: np.ndarray

    @property
    def work_function(self) -> float:
        """W in eV: the mean of both vacuum levels, relative to the Fermi level."""
        return float(self.vacuum.mean()) - self.fermi

    @property
    def step(self) -> float:
        """Vacuum level above the slab minus that below, in eV; 0 without a dipole."""
        return float(self.vacuum[1] - self.vacuum[0])

    @property
    def spacing(self) -> float:
        """Å between two points."""
        return self.height / len(self.potential)

    @property
    def text(self) -> str:
        """The potential as a cell of a source, which `read` reads."""
        numbers = np.concatenate([[self.height, self.fermi], self.vacuum, self.potential])
        return base64.b64encode(numbers.astype("<f8").tobytes()).decode()

    def rounded(self, digits: int) -> Potential:
        """With that many decimals, in which computers agree."""
        return Potential(
            potential=self.potential.round(digits),
            height=round(self.height, digits),
            fermi=round(self.fermi, digits),
            vacuum=self.vacuum.round(digits),
        )

    @classmethod
    def read(cls, text: str) -> Potential:
        """The inverse of `text`."""
        numbers = np.frombuffer(base64.b64decode(text), "<f8")
        height, fermi = numbers[:2].tolist()
        return cls(potential=numbers[4:], height=height, fermi=fermi, vacuum=numbers[2:4])

    @classmethod
    def of(
        cls,
        potential: np.ndarray,
        *,
        height: float,
        fermi: float,
        vacuum: Sequence[float] | None = None,
        z: np.ndarray | None = None,
    ) -> Potential:
        """The potential of the cells of a file.

        Args:
            potential: [P] eV over one period; where `z` reaches both ends of the cell, the last
                point repeats the first and is left out.
            height: Å, of the cell along its normal, as `slab_cell.height_of` has it.
            fermi: eV.
            vacuum: eV, one level or those below and above the slab; None for what the flat region
                of the profile says.
            z: [P] Å of the points, ascending with equal steps; None for i/P · height.

        Raises:
            BadCrystal: they are no potential of a slab; the reason in one line.
        """
        demand_numbers(potential, fermi, vacuum)
        if z is not None:
            potential = potential[: points_of(potential, z, height)]
        demand_points(len(potential), height)
        found = find_vacuum(potential, height / len(potential))
        demand_wells(potential, found)
        levels = found.levels if vacuum is None else levels_of(found.levels, vacuum)
        demand_fermi(potential, fermi, levels)
        return cls(potential=potential, height=height, fermi=fermi, vacuum=levels)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The points at which potentials are learned, relative to the slab's centre.

    Attributes:
        points: L, evenly spaced.
        span: Å that they cover.
    """

    points: int = 128
    span: float = 32.0

    def __post_init__(self) -> None:
        """Raises ValueError if no potential could be put onto the grid."""
        if self.points < 2:
            raise ValueError(f"{self.points} points: a grid has two at least")
        if not 0 < self.span < math.inf:
            raise ValueError(f"span {self.span:g}: a length is a finite number above 0")

    @cached_property
    def z(self) -> np.ndarray:
        """[L] Å, symmetric about 0."""
        return ((np.arange(self.points) + 0.5) / self.points - 0.5) * self.span

    def profile(self, potential: Potential) -> np.ndarray:
        """[L] eV relative to the Fermi level, so that its ends are the work functions.

        The origin is the centre of the squared depth below the vacuum, and each side is continued
        by its vacuum level: neither the place of the slab in its cell nor the amount of vacuum
        matters. Between its points the potential is a cubic spline.

        Raises:
            BadCrystal: the slab is thicker than the grid.
        """
        from scipy.interpolate import CubicSpline  # here: no worker needs scipy to begin

        found = find_vacuum(potential.potential, potential.spacing)
        beyond = window_points(potential.spacing) - 1
        at = np.arange(found.first - beyond, found.last + beyond + 1)
        own = potential.potential[at % len(potential.potential)]
        z = (at - found.first) * potential.spacing
        bottom, top = potential.vacuum
        z -= _centre(z, np.clip(min(bottom, top) - own, 0.0, None))
        edge = max(-z[beyond], z[-1 - beyond])
        if 2 * edge > self.span:
            raise BadCrystal(
                f"slab too thick: it reaches {edge:.3g} Å from its centre, and the grid"
                f" {self.span / 2:.3g} Å"
            )
        inner = CubicSpline(z, own)(self.z)
        outer = np.where(self.z < 0, bottom, top)
        within = (self.z >= z[0]) & (self.z <= z[-1])
        return np.asarray(np.where(within, inner, outer) - potential.fermi)


def _centre(z: np.ndarray, depth: np.ndarray) -> float:
    weights = depth * depth
    return float(z @ weights / weights.sum())
