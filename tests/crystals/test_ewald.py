"""The Ewald sum against textbook Madelung constants and against pymatgen."""

import numpy as np
import pytest
from pymatgen.analysis.ewald import EwaldSummation
from pymatgen.core import Structure

from trainables.crystals.ewald import COULOMB, ewald_energy
from trainables.crystals.prototypes import Prototype, prototypes

TYPES = {prototype.name: prototype for prototype in prototypes()}


def charges_of(prototype: Prototype, pattern: tuple[int, ...]) -> np.ndarray:
    return np.array(pattern, dtype=float)[prototype.roles]


def nearest(prototype: Prototype) -> float:
    structure = Structure(10 * prototype.lattice, ["C"] * len(prototype.frac), prototype.frac)
    *_, distances = structure.get_neighbor_list(9.0, exclude_self=True)
    return float(distances.min()) / 10


@pytest.mark.parametrize(
    ("name", "pattern", "formulas", "madelung", "digits"),
    [
        ("rocksalt", (1, -1), 1, 1.747565, 6),
        ("cscl", (1, -1), 1, 1.762675, 6),
        ("zincblende", (1, -1), 1, 1.638055, 6),
        ("wurtzite", (1, -1), 2, 1.641, 3),
        ("fluorite", (2, -1), 1, 2.51939, 5),
        ("cuprite", (1, -2), 2, 2.22124, 5),
    ],
)
def test_madelung(
    name: str, pattern: tuple[int, ...], formulas: int, madelung: float, digits: int
) -> None:
    """M = -E d / (|z1 z2| e²/4πε₀) per formula unit, d the shortest distance."""
    prototype = TYPES[name]
    energy = ewald_energy(prototype.lattice, prototype.frac, charges_of(prototype, pattern))
    product = abs(pattern[0] * pattern[1])
    found = -energy / formulas * nearest(prototype) / COULOMB / product
    assert round(found, digits) == madelung


@pytest.mark.parametrize("name", sorted(TYPES))
def test_agrees_with_pymatgen_on_every_structure_type(name: str) -> None:
    prototype = TYPES[name]
    for pattern in prototype.charges:
        charges = charges_of(prototype, pattern)
        structure = Structure(4 * prototype.lattice, ["C"] * len(charges), prototype.frac)
        structure.add_site_property("charge", charges.tolist())
        structure.add_oxidation_state_by_site(charges.tolist())
        expected = EwaldSummation(structure, acc_factor=14).total_energy
        found = ewald_energy(4 * prototype.lattice, prototype.frac, charges)
        assert found == pytest.approx(expected, rel=1e-7)


def test_scaling_shift_and_supercell() -> None:
    prototype = TYPES["rutile"]
    charges = charges_of(prototype, (4, -2))
    energy = ewald_energy(prototype.lattice, prototype.frac, charges)
    assert ewald_energy(3 * prototype.lattice, prototype.frac, charges) == pytest.approx(energy / 3)
    moved = prototype.frac + np.array([0.3, -1.7, 5.1])
    assert ewald_energy(prototype.lattice, moved, charges) == pytest.approx(energy, rel=1e-12)
    doubled = np.concatenate([prototype.frac, prototype.frac + np.array([1, 0, 0])])
    doubled /= np.array([2, 1, 1])
    cell = prototype.lattice * np.array([[2], [1], [1]])
    assert ewald_energy(cell, doubled, np.tile(charges, 2)) == pytest.approx(2 * energy, rel=1e-12)


def test_a_charged_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="must be neutral"):
        ewald_energy(np.eye(3), np.zeros((1, 3)), np.ones(1))
