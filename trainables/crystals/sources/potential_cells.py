"""The cells of a row that make a potential, whatever the file, and how they become a target.

Legend: P points of a profile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from trainables.crystals.checks import check
from trainables.crystals.crystal import BadCrystal, Entry
from trainables.crystals.parsing import parse
from trainables.crystals.potential_match import demand_match
from trainables.crystals.potentials import Potential
from trainables.crystals.slab_cell import demand_slab, height_of
from trainables.crystals.sources.ase_structure import MOST_ATOMS

# Names of columns, of which the first that occurs is taken.
POTENTIAL = (
    "potential_ev", "potential", "planar_potential", "planar_average", "electrostatic_potential",
    "locpot", "vacuum_potential", "v_z",
)  # fmt: skip
FERMI = ("fermi_ev", "fermi", "efermi", "e_fermi", "fermi_level", "fermi_energy", "e_f", "ef")
VACUUM = ("vacuum_ev", "vacuum", "evac", "e_vac", "vacuum_level", "vacuum_energy", "e_vacuum")
Z = ("z_angstrom", "z")


@dataclass(frozen=True, kw_only=True)
class Names:
    """What a file calls its columns; None for the first of the usual names."""

    potential: str | None = None
    fermi: str | None = None
    vacuum: str | None = None
    z: str | None = None

    @property
    def text(self) -> str:
        """All, for a digest."""
        return ",".join(one or "" for one in (self.potential, self.fermi, self.vacuum, self.z))


@dataclass(frozen=True, kw_only=True)
class Cells:
    """The cells of one row.

    Attributes:
        potential: [P] eV.
        fermi: eV.
        vacuum: eV, one level or two; None if the file has none.
        z: [P] Å; None if the file has none.
    """

    potential: np.ndarray
    fermi: float
    vacuum: list[float] | None
    z: np.ndarray | None

    @property
    def size(self) -> int:
        """Bytes of the arrays."""
        return self.potential.nbytes + (0 if self.z is None else self.z.nbytes)


def with_potential(entry: Entry, read: Callable[[], Cells]) -> Entry:
    """The entry with its potential as the target; a bad one if it is none of this crystal."""
    if entry.format == "bad":
        return entry
    try:
        cells = read()
        crystal = parse(entry, slab=True)
        check(crystal, MOST_ATOMS)
        height = height_of(crystal)
        demand_slab(crystal, height)
        potential = Potential.of(
            cells.potential, height=height, fermi=cells.fermi, vacuum=cells.vacuum, z=cells.z
        )
        demand_match(crystal, potential, 0.0 if cells.z is None else float(cells.z[0]))
    except BadCrystal as bad:
        return bad_entry(entry, str(bad))
    return replace(entry, target=potential.text)


def bad_entry(entry: Entry, reason: str) -> Entry:
    """The entry without a structure and a potential, and why."""
    return replace(entry, format="bad", text=reason, target=None)
