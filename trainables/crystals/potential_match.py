"""Whether a potential is that of its atoms: raises BadCrystal.

Legend: R points of the region of a slab.
"""

from __future__ import annotations

import numpy as np

from trainables.crystals.crystal import BadCrystal, Crystal
from trainables.crystals.potentials import Potential
from trainables.crystals.vacuum import find_vacuum

OUTSIDE = 1.0  # Å that an atom may lie in the flat region
FARTHEST = 6.0  # Å from the outermost atom to the flat region; 1.0 to 3.7 Å of generated slabs
WIDTHS = (0.4, 0.8)  # Å of Gaussians, a narrow and a wide one of each element
# Least share of the variance that they explain. The 2 000 generated slabs have 0.971 at least; with
# the profile of another of them, 69 % have less than 0.8 (median 0.66). Real wells are no
# Gaussians, and those of one element differ: hence the margin. The correlation with Gaussians of
# weight Z tells nothing, -0.39 to 1 for the true pairs: ions make hills, and valences wells.
LEAST_EXPLAINED = 0.8
# Ratio of the variance that the atoms leave unexplained to that which they leave of the reversed
# profile: 1.47 at most of the generated slabs, which are symmetric or fit worse upside down.
UPSIDE_DOWN = 3.0
LITTLE = 1e-4  # share of the variance; below it profiles of symmetric slabs differ by rounding
OFFSETS = (0.0, -0.1, 0.1, -0.2, 0.2)  # Å; a profile reversed point by point is a point off
_DOUBT = "is it another material's potential, or another origin of z?"


def demand_match(crystal: Crystal, potential: Potential, origin: float = 0.0) -> None:
    """Refuses a potential whose wells are not where the atoms are.

    Args:
        crystal: its origin is that of the profile.
        origin: Å, where the first point of the profile lies.

    Raises:
        BadCrystal: atoms lie in the vacuum, much of the slab has none, or wells of one shape an
            element do not make the profile, or make the reversed one far better.
    """
    found = find_vacuum(potential.potential, potential.spacing)
    at = np.arange(found.first, found.last + 1)
    z = at * potential.spacing + origin
    middle, half = (z[0] + z[-1]) / 2, (z[-1] - z[0]) / 2
    atoms = _nearest(crystal.frac[:, 2] * potential.height - middle, potential.height)
    outside = float(abs(atoms).max()) - half
    if outside > OUTSIDE:
        raise _mismatch(f"an atom lies {outside:.3g} Å within the vacuum")
    beyond = max(half - float(atoms.max()), half + float(atoms.min()))
    if beyond > FARTHEST:
        raise _mismatch(
            f"the potential is not flat up to {beyond:.3g} Å beyond the atoms, as with a dipole"
            " that is not corrected"
        )
    depth = potential.vacuum.mean() - potential.potential[at % len(potential.potential)]
    apart = _nearest((z - middle)[:, None] - atoms, potential.height)
    reversed_ = (z - middle)[:, None] - (atoms.max() + atoms.min() - atoms)
    _demand_upright(depth, apart, reversed_, crystal.numbers)
    explained = _explained(depth, apart, crystal.numbers)
    if explained < LEAST_EXPLAINED:
        raise _mismatch(
            f"wells at the atoms make {100 * max(explained, 0.0):.0f} % of the profile's variance,"
            f" {100 * LEAST_EXPLAINED:g} % at least are expected"
        )


def _demand_upright(
    depth: np.ndarray, apart: np.ndarray, reversed_: np.ndarray, numbers: np.ndarray
) -> None:
    """Refuses a profile that the atoms explain far better once they are turned upside down.

    A slab whose turn only exchanges elements explains both: each element has wells of its own.

    Args:
        depth: [R] eV.
        apart: [R, N] Å from each atom along the normal.
        reversed_: [R, N] the same of atoms mirrored about their middle.
        numbers: [N]
    """
    own, turned = (
        1.0 - max(_explained(depth, away - offset, numbers) for offset in OFFSETS)
        for away in (apart, reversed_)
    )
    if turned <= 1.0 - LEAST_EXPLAINED and own > UPSIDE_DOWN * max(turned, LITTLE):
        raise BadCrystal(
            f"potential is upside down: wells at the atoms leave {100 * own:.2g} % of its variance,"
            f" and {100 * turned:.2g} % once it is reversed; count z from the other face"
        )


def _mismatch(what: str) -> BadCrystal:
    return BadCrystal(f"atoms and wells do not match: {what}; {_DOUBT}")


def _nearest(apart: np.ndarray, period: float) -> np.ndarray:
    """Distances to the nearest image, with their signs."""
    return np.asarray((apart + period / 2) % period - period / 2)


def _explained(depth: np.ndarray, apart: np.ndarray, numbers: np.ndarray) -> float:
    """Share of the variance of a profile that wells at the atoms explain, beside a dipole's ramp.

    Args:
        depth: [R] eV.
        apart: [R, N] Å from each atom along the normal.
        numbers: [N]; the wells of an element have one shape.
    """
    wells = [np.ones(len(depth)), np.linspace(-1.0, 1.0, len(depth))]
    for width in WIDTHS:
        shape = np.exp(-((apart / width) ** 2) / 2)
        wells += [shape[:, numbers == one].sum(1) for one in np.unique(numbers)]
    basis = np.column_stack(wells)
    # Far columns may vanish in the region, or nearly agree: no huge weights that cancel.
    weights = np.linalg.lstsq(basis, depth, rcond=1e-9)[0]
    rest = depth - basis @ weights
    return 1.0 - float(rest @ rest) / float(((depth - depth.mean()) ** 2).sum())
