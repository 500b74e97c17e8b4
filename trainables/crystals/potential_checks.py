"""What is refused as the potential of a slab, in one line each: raises BadCrystal.

Legend: P points of a profile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from trainables.crystals.crystal import BadCrystal
from trainables.crystals.slab_cell import SAME_HEIGHT
from trainables.crystals.targets import LARGEST
from trainables.crystals.vacuum import Vacuum

FEWEST = 16  # points
LONGEST = 100_000  # points
COARSEST = 0.5  # Å between points; the well of an atom is an Å wide
SHALLOWEST = 0.5  # eV; those of atoms are several eV deep
SAME_POINT = 0.05  # eV between a first point and a last one that repeats it
SAME_LEVEL = 0.05  # eV between a vacuum level as given and as the profile has it
UNEVEN = 1e-3  # relative difference of spacings, as rounded text has it
# eV below the vacuum. Even with whole nuclei, -Z e²/r averaged over a plane is finite, some hundred
# eV for the heaviest elements: 2π e² Z r / A of one lead atom in 10 Å² within r = 0.5 Å is 370 eV.
DEEPEST = 1000.0
HIGHEST = 100.0  # eV above the vacuum; cores of pseudopotentials average to some eV
WORK_FUNCTIONS = (1.0, 15.0)  # eV; caesium on tungsten has 1.5, solid argon 14
UNIT = "is the unit eV?"  # ends each reason that another unit gives


def demand_numbers(potential: np.ndarray, fermi: float, vacuum: Sequence[float] | None) -> None:
    """Refuses what is not finite, too large, or too few or too many points."""
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
            raise BadCrystal(f"{what} is no finite number: it has to be within {LARGEST:g}")


def points_of(potential: np.ndarray, z: np.ndarray, height: float) -> int:
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
    off = float(abs(potential[-1] - potential[0]))
    if points < len(z) and off > SAME_POINT:
        raise BadCrystal(
            f"the last point does not repeat the first: z spans a whole period, up to"
            f" {z[-1]:.4g} Å, and the potential differs by {off:.3g} eV; give one period"
        )
    return points


def demand_points(points: int, height: float) -> None:
    """Refuses points that are too far apart for wells of atoms."""
    spacing = height / points
    if spacing > COARSEST:
        raise BadCrystal(
            f"too coarse: {spacing:.3g} Å between points of the potential, at most {COARSEST:g} Å"
        )


def demand_wells(potential: np.ndarray, found: Vacuum) -> None:
    """Refuses what is higher within the slab than outside, or hardly or absurdly lower."""
    own = potential[np.arange(found.first, found.last + 1) % len(potential)]
    if own.mean() > found.levels.max():
        raise BadCrystal(
            "atoms are hills of the potential, not wells: is it minus the potential energy of an"
            " electron?"
        )
    depth = float(found.levels.min() - own.min())
    if depth < SHALLOWEST:
        raise BadCrystal(
            f"no wells: the potential goes {max(depth, 0.0):.3g} eV below the vacuum level at most,"
            f" atoms {SHALLOWEST:g} eV at least; {UNIT}"
        )
    height = float(own.max() - found.levels.max())
    for off, most, what, place in (
        (depth, DEEPEST, "deep", int(potential.argmin())),
        (height, HIGHEST, "high", int(potential.argmax())),
    ):
        if off > most:
            raise BadCrystal(
                f"potential too {what}: point {place + 1} is {off:.3g} eV"
                f" {'below' if what == 'deep' else 'above'} the vacuum level, {most:g} eV are"
                f" plausible; is it a spike, or the unit not eV?"
            )


def levels_of(found: np.ndarray, given: Sequence[float]) -> np.ndarray:
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
        raise BadCrystal(
            f"number of vacuum levels: {len(levels)}; one, or those below and above the slab"
        )
    if off > SAME_LEVEL:
        raise BadCrystal(
            f"vacuum level off: {_said(levels)} eV is given, and the potential is flat at"
            f" {_said(found)} eV (below and above the slab)"
        )
    return used


def _said(levels: np.ndarray) -> str:
    return " and ".join(f"{one:.4g}" for one in levels)


def demand_fermi(potential: np.ndarray, fermi: float, levels: np.ndarray) -> None:
    """Refuses a Fermi level at which no slab has it, and work functions in another unit."""
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
        raise BadCrystal(f"work function outside {low:g} to {high:g} eV: {work:.3g} eV; {UNIT}")
