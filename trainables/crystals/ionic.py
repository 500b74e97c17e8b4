"""The embedded set `ionic`: crystals of touching ions with a computed lattice energy.

Every charge-neutral filling of the structure types in `prototypes` by ions with a Shannon radius
is tried. The cell is made as small as the rule allows that no cation and anion come nearer than
the sum of their radii. A filling is kept if then
  * no two ions of like charge overlap: their distance is at least 90 % of the sum of their radii
    (the anions at the shared edges of real TiO2, CeO2 and Al2O3 are squeezed by up to a tenth; at
    100 % this would be the classical radius-ratio limits 0.225, 0.414 and 0.732), and
  * every ion's nearest counter-ion is at most 15 % further off than contact: no ion rattles in a
    hole that is too large (for perovskites a window around a tolerance factor of 1).
Target: Born-Landé lattice energy per atom, E = E_Ewald (1 - 1/n) in eV, n the mean of the Born
exponents of the cell's ions (M. Born, A. Landé, Verh. Dtsch. Phys. Ges. 20, 210 (1918)). It is
what this model says, not a measurement: a set to run and to test with, not to learn chemistry from.

Shape letters: N sites of a cell, P roles of a structure type.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from trainables.crystals.crystal import Entry
from trainables.crystals.ewald import ewald_energy
from trainables.crystals.generated import Generated
from trainables.crystals.prototypes import Prototype, prototypes
from trainables.crystals.radii import born_exponent, ions, shannon_radius
from trainables.crystals.sources.cells import NUMBERS

LARGEST_GAP = 1.15  # nearest counter-ion's distance over the sum of radii
LARGEST_SQUEEZE = 0.90  # distance of ions of like charge over the sum of radii
PER_TYPE = 80  # fillings kept of one structure type, so that none outweighs the others
# Kept whatever the cap, so that textbook crystals are in the set.
_TEXTBOOK = (
    "NaCl KCl LiF MgO CaO CsCl CsBr ZnS BeO CaF2 CeO2 UO2 Li2O Na2O Cu2O TiO2 SnO2 MgF2 SrTiO3 "
    "BaTiO3 KMgF3 Al2O3 Cr2O3 MgAl2O4 ZnCr2O4 La2O3 AlF3 WO3 CdI2 CdCl2 NaFeO2 LiCoO2 K2PtCl6 "
    "Cs2NaLaCl6 K2NiF4 Sr2TiO4 BaFCl FeTiO3 LiZnN"
)
TEXTBOOK = frozenset(_TEXTBOOK.split())
_SLACK = 1e-9  # contact is equality; rounding must not decide it


@dataclass(frozen=True, slots=True)
class _Filling:
    """One structure type with an ion in each role and the edge `a` in Å."""

    id: str
    prototype: Prototype
    elements: tuple[str, ...]  # [P]
    charges: tuple[int, ...]  # [P]
    a: float


class IonicSource(Generated):
    """The embedded computed set as a source of crystals; the same on every call."""

    name = "ionic"
    target_name = "lattice_energy"
    unit: str | None = "eV/atom"
    cells = NUMBERS
    description = (
        "Ionic crystals built from Shannon radii; the target is the Born-Landé lattice energy per "
        "atom, computed by that model and not measured."
    )

    def __reduce__(self) -> tuple[type[IonicSource], tuple[()]]:
        """Travels as its name: who receives it generates the same crystals."""
        return IonicSource, ()

    @cached_property
    def made(self) -> list[Entry]:
        """See `Generated`."""
        fillings = [one for prototype in prototypes() for one in _kept(prototype)]
        # A hash orders alike in every version of Python and numpy; a random generator may not.
        fillings.sort(key=lambda filling: _hash("order", filling.id))
        return [_entry(row, filling) for row, filling in enumerate(fillings)]


def _hash(purpose: str, id: str) -> str:
    # Choice and order need hashes of their own: with one, all of a capped type would come first.
    return hashlib.sha256(f"elemgrid {purpose} {id}".encode()).hexdigest()


def _kept(prototype: Prototype) -> list[_Filling]:
    found: dict[str, _Filling] = {}
    nearest = _nearest(prototype)
    for charges in prototype.charges:
        for elements in itertools.product(*(ions(charge) for charge in charges)):
            if len(set(elements)) < len(elements):
                continue
            a = _edge(prototype, elements, charges, nearest)
            if a is not None:
                id = f"ionic-{prototype.name}-{_formula(prototype, elements)}"
                found.setdefault(id, _Filling(id, prototype, elements, charges, a))

    def order(filling: _Filling) -> tuple[bool, str]:
        return filling.id.rpartition("-")[2] not in TEXTBOOK, _hash("choice", filling.id)

    return sorted(found.values(), key=order)[:PER_TYPE]


def _nearest(prototype: Prototype) -> NDArray[np.float64]:
    """Shortest distance [P, P] between the sites of two roles at a = 1, images included."""
    steps = np.array(list(itertools.product((-2, -1, 0, 1, 2), repeat=3)), dtype=float)
    frac = prototype.frac - np.floor(prototype.frac)
    apart = frac[None, :] - frac[:, None]  # [N, N, 3]
    distance = np.linalg.norm((apart[:, :, None] + steps) @ prototype.lattice, axis=3)
    distance[distance < 1e-6] = np.inf
    between = distance.min(axis=2)
    count = int(prototype.roles.max()) + 1
    members = [prototype.roles == role for role in range(count)]
    return np.array([[between[np.ix_(p, q)].min() for q in members] for p in members])


def _edge(
    prototype: Prototype,
    elements: tuple[str, ...],
    charges: tuple[int, ...],
    nearest: NDArray[np.float64],
) -> float | None:
    """Edge a in Å by the rule at the top of this file; None if the filling is discarded."""
    radii = []
    for element, charge, number in zip(elements, charges, prototype.coordination, strict=True):
        radius = shannon_radius(element, charge, number)
        if radius is None:
            return None
        radii.append(radius)
    pairs = list(itertools.combinations_with_replacement(range(len(radii)), 2))
    unlike = [(p, q) for p, q in pairs if charges[p] * charges[q] < 0]
    like = [(p, q) for p, q in pairs if charges[p] * charges[q] > 0]
    a = max((radii[p] + radii[q]) / nearest[p, q] for p, q in unlike)
    if any(a * nearest[p, q] < LARGEST_SQUEEZE * (radii[p] + radii[q]) - _SLACK for p, q in like):
        return None
    for role in range(len(radii)):
        gaps = [a * nearest[p, q] / (radii[p] + radii[q]) for p, q in unlike if role in (p, q)]
        if min(gaps) > LARGEST_GAP:
            return None
    return round(float(a), 6)


def _formula(prototype: Prototype, elements: tuple[str, ...]) -> str:
    counts = np.bincount(prototype.roles)
    counts = counts // np.gcd.reduce(counts)
    return "".join(
        element + (str(count) if count > 1 else "")
        for element, count in zip(elements, counts.tolist(), strict=True)
    )


@lru_cache(maxsize=256)
def _energy_at_one(name: str, charges: tuple[int, ...]) -> float:
    # Fixed fractional coordinates and charges: the energy of a cell goes as 1/a.
    prototype = next(p for p in prototypes() if p.name == name)
    ionic = np.array(charges, dtype=np.float64)[prototype.roles]
    return ewald_energy(prototype.lattice, prototype.frac, ionic)


def _lattice_energy(filling: _Filling) -> float:
    roles = filling.prototype.roles
    exponents = [
        born_exponent(element, charge)
        for element, charge in zip(filling.elements, filling.charges, strict=True)
    ]
    mean = float(np.mean(np.array(exponents)[roles]))
    ewald = _energy_at_one(filling.prototype.name, filling.charges) / filling.a
    return ewald * (1 - 1 / mean) / len(roles)


def _entry(row: int, filling: _Filling) -> Entry:
    prototype = filling.prototype
    lattice = (filling.a * prototype.lattice).round(8) + 0.0  # + 0.0 turns -0.0 into 0.0
    sites = []
    for role, place in zip(prototype.roles.tolist(), prototype.frac, strict=True):
        element, charge = filling.elements[role], filling.charges[role]
        species = [{"element": element, "oxidation_state": charge, "occu": 1}]
        abc = ((place - np.floor(place)).round(10) + 0.0).tolist()
        sites.append({"species": species, "abc": abc, "label": element})
    data = {
        "@module": "pymatgen.core.structure",
        "@class": "Structure",
        "lattice": {"matrix": lattice.tolist()},
        "sites": sites,
    }
    target = f"{_lattice_energy(filling):.6f}"
    return Entry(row, filling.id, "json", json.dumps(data), target, f"ionic:{row + 1}")
