"""POSCAR and CONTCAR as VASP writes them are read; what contradicts itself is refused."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.io.vasp import Poscar

from trainables.crystals.crystal import BadCrystal, Crystal
from trainables.crystals.reading.poscar import read_poscar

SALT = "salt\n1.0\n4 0 0\n0 4 0\n0 0 4\nNa Cl\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n"
FLAGS = SALT.replace("Na Cl\n", "").replace("0 0 0\n0.5 0.5 0.5", "0 0 0 T T T\n.5 .5 .5 F F F")
VELOCITIES = "\n  0.1 0.2 0.3\n  0.4 0.5 0.6\n"


def refused(text: str, words: str) -> None:
    with pytest.raises(BadCrystal, match=words) as caught:
        read_poscar(text)
    assert "\n" not in str(caught.value)


def is_salt(crystal: Crystal) -> None:
    assert crystal.numbers.tolist() == [11, 17]
    np.testing.assert_allclose(crystal.frac, [[0, 0, 0], [0.5, 0.5, 0.5]], atol=1e-12)
    np.testing.assert_allclose(crystal.lattice, 4 * np.eye(3), atol=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        SALT,
        SALT.replace("1.0\n4 0 0\n0 4 0\n0 0 4", "0.5\n8 0 0\n0 8 0\n0 0 8"),
        SALT.replace("1.0\n4", "-64.0\n4"),
        SALT.replace("1.0\n4 0 0\n0 4 0\n0 0 4", "2 4 1\n2 0 0\n0 1 0\n0 0 4"),
        SALT.replace("1.0\n4", "0.1D+01\n0.4D1"),
        SALT.replace("0.5 0.5 0.5", "0.5D+00 5.0d-1 .5"),
        SALT.replace("Direct", "Selective dynamics\nDirect").replace("0.5\n", "0.5 T F T\n"),
        SALT.replace("Direct", "Cartesian").replace("0.5 0.5 0.5", "2 2 2"),
        SALT.replace("Na Cl", "Na_pv Cl/1f2e3d"),
        SALT.replace("Na Cl", "Na_sv/79d9 Cl_h"),
        SALT.replace("Na Cl\n1 1", "Na\nCl\n1\n1"),
        SALT.replace("1 1\n", "1 1 ! of each\n"),
        SALT.replace("Na Cl\n", "").replace("0 0 0\n0.5", "0 0 0 Na\n0.5").replace(
            "0.5 0.5 0.5", "0.5 0.5 0.5 Cl"
        ),
        SALT.replace("0.5 0.5 0.5", "0.5 0.5 0.5 Cl"),
        SALT.replace("0.5 0.5 0.5", "0.50000000-0.50000000 0.5"),
        SALT + VELOCITIES,
        SALT + "Direct\n" + VELOCITIES.lstrip("\n"),
        SALT + "\nDirect" + VELOCITIES,
        SALT + VELOCITIES + "\n 1\n 0.5\n 0 0 0\n" + " 0 0 0\n" * 6,
        SALT + "Lattice velocities and vectors\n  1\n" + " 0 0 0\n" * 6 + VELOCITIES,
        SALT + "\n\n\n",
        SALT + "Lattice velocities and vectors\n  1\n" + " 0 0 0\n" * 6 + "Direct" + VELOCITIES,
        SALT.replace("0 0 0\n0.5", "0 0 0 T T T\n0.5").replace("0.5\n", "0.5 F F F\n"),
        FLAGS.replace("T T T", "T T T Na").replace("F F F", "F F F Cl"),
        FLAGS.replace("T T T", "Na1").replace("F F F", "Cl-"),
        FLAGS.replace("salt", "Na Cl"),
        SALT.replace("salt", "Na Cl").replace("Na Cl\n1 1", "1 1"),
        SALT.replace("Na Cl", "Na+ Cl-"),
        SALT.replace("0.5 0.5 0.5", "0.5 0.5 0.5 Cl1"),
        SALT.replace("0.5 0.5 0.5", "0.5 0.5 0.5 CL1"),
        SALT.replace("0.5 0.5 0.5", "0.5 0.5 0.5 chloride"),
        SALT.replace("Direct", "Direct configuration=     1"),
        SALT.replace("Na Cl\n1 1", "Na K Cl\n1 0 1"),
    ],
)  # fmt: skip
def test_all_of_these_are_salt(text: str) -> None:
    crystal = read_poscar(text)
    if "-0.5" in text:
        crystal.frac[1, 1] += 1
    is_salt(crystal)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SALT + "0.25 0.25 0.25\n", "counts say 2 atoms, it lists 3"),
        (SALT + "0.25 0.25 0.25\n0.1 0.1 0.1 T T T\n", "counts say 2 atoms, it lists 4"),
        (SALT + "\n0.25 0.25 0.25\n", "behind its 2 coordinates stand 1 lines"),
        (SALT.replace("0.5 0.5 0.5\n", ""), "counts say 2 atoms, it lists 1"),
        (SALT.replace("0 0 0\n0.5", "0 0 0\n\n0.5"), "counts say 2 atoms, it lists 1"),
        (SALT.replace("\n1 1\n", "\n1000000000 1\n"), "counts say 1000000001 atoms, it lists 2"),
        (SALT.replace("Na Cl", "Na"), "names 1 elements"),
        (SALT.replace("Na Cl", "Na Cl K"), "names 3 elements and has 2 counts"),
        (SALT.replace("Na Cl\n", ""), "names no elements"),
        (SALT.replace("Na Cl", "Na Zz"), "unknown element: 'Zz'"),
        (SALT.replace("Direct\n", ""), "says neither Direct nor Cartesian"),
        (SALT.replace("0.5 0.5 0.5", "0.5 0.5 0.5 K"), "atom 2 is K in its line and Cl by"),
        (SALT.replace("0.5 0.5 0.5", "0.5 0.5 0.5 F F F K"), "atom 2 is K in its line and Cl by"),
        (SALT.replace("0.5 0.5 0.5", "0.5 0.5 0.5 Na1"), "atom 2 is Na1 in its line and Cl by"),
        (SALT.replace("0.5 0.5 0.5", "0.5 0.5 0.5 NA1"), "atom 2 is NA1 in its line and Cl by"),
        (SALT.replace("0.5 0.5 0.5", "0.5 0.5 0.5 Fe Fe"), "atom 2 is Fe in its line and Cl by"),
        (SALT.replace("0.5 0.5 0.5", "0.5 0.5 0.5 F"), "atom 2 is F in its line and Cl by"),
        (SALT.replace("0.5 0.5 0.5", "0.5-0.5-0.5 Na"), "atom 2 is Na in its line and Cl by"),
        (FLAGS, "names no elements"),
        (FLAGS.replace("T T T", "T").replace("F F F", "F"), "names no elements"),
        (FLAGS.replace("T T T", "T T").replace("F F F", "F F"), "names no elements"),
        (FLAGS.replace("T T T", "T T T T").replace("F F F", "F F F F"), "names no elements"),
        (FLAGS.replace("T T T", ".TRUE. .TRUE. .F."), "names no elements"),
        (FLAGS.replace("salt", "Na Cl K"), "names no elements"),
        (FLAGS.replace("salt", "Na Cl").replace("T T T", "K"), "atom 1 is K in its line and Na by"),
        (FLAGS.replace("1 1", "2").replace("T T T", "Na").replace("F F F", "Cl"), "atom 2 is Cl"),
        (SALT + "Direct configuration=     2\n0 0 0\n0.5 0.5 0.4\n", "several structures"),
        (SALT + "\n" + SALT.replace("Direct", "Direct configuration= 2"), "several structures"),
        (SALT + SALT, "several structures"),
        (SALT + SALT.replace("Na Cl\n", ""), "several structures"),
        (SALT.replace("0.5 0.5 0.5", "0.5 0.5"), "is not 3 coordinates"),
        (SALT.replace("0.5 0.5 0.5", "nan 0.5 0.5"), "coordinates are not finite"),
        (SALT.replace("1.0\n4", "0\n4"), "no scale factors"),
        (SALT.replace("1.0\n4", "1 1 -1\n4"), "no scale factors"),
        (SALT.replace("0 0 4", "0 4 0"), "zero volume"),
        (SALT.replace("1 1\n", "1 -1\n"), "broken POSCAR"),
        (SALT.replace("1 1\n", "1.0 1.0\n"), "broken POSCAR"),
    ],
)
def test_what_contradicts_itself_is_refused(text: str, words: str) -> None:
    refused(text, words)


def test_a_single_f_behind_coordinates_is_fluorine() -> None:
    for flags in ("", "T T T ", "F F F "):
        rows = f"0 0 0 {flags}Na\n0.5 0.5 0.5 {flags}F"
        text = SALT.replace("Na Cl\n", "").replace("0 0 0\n0.5 0.5 0.5", rows)
        assert read_poscar(text).numbers.tolist() == [11, 9]


@pytest.mark.parametrize("direct", [True, False])
def test_what_pymatgen_writes_is_read(direct: bool) -> None:
    lattice = Lattice.from_parameters(3.1, 4.2, 5.3, 80, 95, 110)
    structure = Structure(lattice, ["Fe", "F", "O"], [[0.1, 0.2, 0.3], [0.6, 0.7, -0.8], [0, 0, 0]])
    flags = [[True, False, False], [False, False, False], [True, True, True]]
    for selective in (None, flags):
        poscar = Poscar(structure, selective_dynamics=selective, velocities=[[0.0] * 3] * 3)
        crystal = read_poscar(poscar.get_str(direct=direct))
        assert crystal.numbers.tolist() == [26, 9, 8]
        np.testing.assert_allclose(crystal.frac, structure.frac_coords, atol=1e-12)
        np.testing.assert_allclose(crystal.lattice, lattice.matrix, atol=1e-12)
