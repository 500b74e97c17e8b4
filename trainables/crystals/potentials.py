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
from scipy.interpolate import CubicSpline

from trainables.crystals.crystal import BadCrystal, Crystal
from trainables.crystals.targets import LARGEST
from trainables.crystals.vacuum import Vacuum, find_vacuum, window_points

FEWEST = 16  # points
LONGEST = 100_000  # points
COARSEST = 0.5  # Å between points; the well of an atom is an Å wide
LEAST_VACUUM = 5.0  # Å between atoms along the normal, of which either side has half
SAME_HEIGHT = 0.01  # relative difference of the heights of a cell that two columns give
SAME_LEVEL = 0.05  # eV between a vacuum level as given and as the profile has it
UNEVEN = 1e-3  # relative difference of spacings, as rounded text has it
WORK_FUNCTIONS = (0.5, 15.0)  # eV; caesium on a metal has 1.5, the noble gases as solids 12 to 21


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
            height: Å, of the cell along its normal, as `height_of` has it.
            fermi: eV.
            vacuum: eV, one level or those below and above the slab; None for what the flat region
                of the profile says.
            z: [P] Å of the points, ascending with equal steps; None for i/P · height.

        Raises:
            BadCrystal: they are no potential of a slab; the reason in one line.
        """
        _demand_numbers(potential, fermi, vacuum)
        if z is not None:
            potential = potential[: _points(potential, z, height)]
        _demand_points(len(potential), height)
        found = find_vacuum(potential, height / len(potential))
        _demand_wells(potential, found)
        levels = found.levels if vacuum is None else _levels(found.levels, vacuum)
        _demand_fermi(potential, fermi, levels)
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


def height_of(crystal: Crystal) -> float:
    """Å, the height of a cell along the normal of a and b: the period of a planar average."""
    a, b, c = crystal.lattice
    normal = np.cross(a, b)
    return abs(float(c @ normal)) / float(np.linalg.norm(normal))


def demand_slab(crystal: Crystal, height: float) -> None:
    """Refuses a crystal that is no slab normal to a and b, or whose potential is another's.

    Args:
        height: Å, of the potential.

    Raises:
        BadCrystal: there is no vacuum along c, or the cell has another height.
    """
    own = height_of(crystal)
    if abs(own - height) > SAME_HEIGHT * own:
        raise BadCrystal(
            f"heights differ: the potential spans {height:.4g} Å, and the cell has {own:.4g} Å"
            " along the normal of a and b; is the vacuum along c?"
        )
    places = np.sort(crystal.frac[:, 2] % 1.0)
    gap = own * float(np.diff(places, append=places[0] + 1).max())
    if gap < LEAST_VACUUM:
        raise BadCrystal(
            f"no vacuum: atoms are {gap:.3g} Å apart along c at most, {LEAST_VACUUM:g} Å are needed"
        )


def _centre(z: np.ndarray, depth: np.ndarray) -> float:
    weights = depth * depth
    return float(z @ weights / weights.sum())


def _demand_numbers(potential: np.ndarray, fermi: float, vacuum: Sequence[float] | None) -> None:
    if len(potential) < FEWEST:
        raise BadCrystal(f"too few points: {len(potential)}, a potential has {FEWEST} at least")
    if len(potential) > LONGEST:
        raise BadCrystal(
            f"too many points: {len(potential)}, a potential has {LONGEST} at most; give every n-th"
        )
    wrong = ~np.isfinite(potential)
    if wrong.any():
        raise BadCrystal(f"potential is not finite: point {int(wrong.argmax()) + 1}")
    if abs(potential).max() > LARGEST:
        place = int(abs(potential).argmax())
        raise BadCrystal(f"potential too large: point {place + 1} is beyond {LARGEST:g}")
    for what, values in (("Fermi level", [fermi]), ("vacuum level", vacuum or [])):
        if not all(math.isfinite(one) and abs(one) <= LARGEST for one in values):
            raise BadCrystal(f"{what} is no finite number within {LARGEST:g}")


def _points(potential: np.ndarray, z: np.ndarray, height: float) -> int:
    """How many points belong to one period."""
    if len(z) != len(potential):
        raise BadCrystal(f"z and potential differ in length: {len(z)} and {len(potential)}")
    if not np.isfinite(z).all():
        raise BadCrystal(f"z is not finite: point {int((~np.isfinite(z)).argmax()) + 1}")
    steps = np.diff(z)
    if (steps <= 0).any():
        raise BadCrystal(f"z is not ascending: after point {int((steps <= 0).argmax()) + 1}")
    step = float(z[-1] - z[0]) / len(steps)
    uneven = abs(steps - step) > max(UNEVEN * step, UNEVEN)
    if uneven.any():
        raise BadCrystal(f"z is not evenly spaced: after point {int(uneven.argmax()) + 1}")
    points = round(height / step)
    if points not in (len(z), len(z) - 1) or abs(points * step - height) > SAME_HEIGHT * height:
        raise BadCrystal(
            f"z does not span the cell: {len(z)} points {step:.3g} Å apart, and the cell has"
            f" {height:.4g} Å along the normal of a and b; is the vacuum along c?"
        )
    return points


def _demand_points(points: int, height: float) -> None:
    spacing = height / points
    if spacing > COARSEST:
        raise BadCrystal(
            f"too coarse: {spacing:.3g} Å between points of the potential, at most {COARSEST:g} Å"
        )


def _demand_wells(potential: np.ndarray, found: Vacuum) -> None:
    """Refuses what is higher within the slab than outside."""
    own = potential[np.arange(found.first, found.last + 1) % len(potential)]
    if own.mean() > found.levels.max():
        raise BadCrystal(
            "atoms are hills of the potential, not wells: is it minus the potential energy of an"
            " electron?"
        )


def _levels(found: np.ndarray, given: Sequence[float]) -> np.ndarray:
    """Vacuum levels as given, which the profile has to confirm.

    Where there are two and one is given, it may be either or their mean, and those of the profile
    count.
    """
    levels = np.asarray(given, dtype=np.float64)
    if len(levels) == 1:
        usual = [*found.tolist(), float(found.mean())]
        off = min(abs(levels[0] - one) for one in usual)
        used = np.repeat(levels, 2) if abs(found[1] - found[0]) <= SAME_LEVEL else found
    elif len(levels) == 2:
        off, used = float(abs(levels - found).max()), levels
    else:
        raise BadCrystal(f"{len(levels)} vacuum levels: one, or those below and above the slab")
    if off > SAME_LEVEL:
        raise BadCrystal(
            f"vacuum level off: {_said(levels)} eV is given, and the potential is flat at"
            f" {_said(found)} eV (below and above the slab)"
        )
    return used


def _said(levels: np.ndarray) -> str:
    return " and ".join(f"{one:.4g}" for one in levels)


def _demand_fermi(potential: np.ndarray, fermi: float, levels: np.ndarray) -> None:
    if fermi < potential.min():
        raise BadCrystal(
            f"Fermi level outside: {fermi:.4g} eV lies below all of the potential, whose minimum is"
            f" {potential.min():.4g} eV"
        )
    if fermi >= levels.min():
        raise BadCrystal(
            f"Fermi level outside: {fermi:.4g} eV lies above the vacuum level {levels.min():.4g} eV"
        )
    low, high = WORK_FUNCTIONS
    work = float(levels.mean()) - fermi
    if not low <= work <= high:
        raise BadCrystal(
            f"work function {work:.3g} eV is outside {low:g} to {high:g} eV: is the unit eV?"
        )
