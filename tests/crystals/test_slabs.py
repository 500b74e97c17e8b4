"""Slabs cut from crystals, and the generated set of them."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.core.surface import SlabGenerator

from trainables.crystals.checks import check, check_closest
from trainables.crystals.cleave import along, plane_basis
from trainables.crystals.crystal import Crystal, Entry
from trainables.crystals.parsing import parse
from trainables.crystals.potentials import Grid, Potential
from trainables.crystals.slab_cell import demand_slab
from trainables.crystals.slabs import (
    PER_FORMULA,
    PEROVSKITES,
    POLAR,
    GeneratedSlabs,
    bulk_crystals,
    formula_of,
)

ROOT = Path(__file__).resolve().parents[2]
RUTILE = Structure(
    Lattice.tetragonal(4.594, 2.959),
    ["Ti", "Ti", "O", "O", "O", "O"],
    [[0, 0, 0], [0.5, 0.5, 0.5], [0.305, 0.305, 0], [0.695, 0.695, 0], [0.195, 0.805, 0.5],
     [0.805, 0.195, 0.5]],
)  # fmt: skip
QUARTZ = Structure(
    Lattice.hexagonal(4.91, 5.40),
    ["Si"] * 3 + ["O"] * 6,
    [[0.470, 0, 2 / 3], [0, 0.470, 1 / 3], [0.53, 0.53, 0], [0.414, 0.267, 0.786],
     [0.733, 0.147, 0.119], [0.853, 0.586, 0.452], [0.267, 0.414, 0.214], [0.147, 0.733, 0.881],
     [0.586, 0.853, 0.548]],
)  # fmt: skip
SKEWED = Structure(
    Lattice([[3.1, 0.2, 0.1], [0.4, 4.2, -0.3], [0.7, -0.9, 5.0]]),
    ["Na", "Cl", "K"],
    [[0.1, 0.2, 0.3], [0.6, 0.5, 0.45], [0.2, 0.8, 0.9]],
)
METALS = ["Ca", "Sr", "Ba", "La", "Y"]
PLANES = [(0, 0, 1), (1, 0, 0), (1, 1, 0), (1, 1, 1), (2, 1, 1), (1, -2, 3)]


def crystal_of(structure: Structure) -> Crystal:
    return Crystal(
        np.array(structure.atomic_numbers, dtype=np.uint8),
        structure.frac_coords,
        structure.lattice.matrix.copy(),
    )


def surroundings(structure: Structure) -> list[list[float]]:
    """Distances of the neighbours of all atoms, which tell two structures apart."""
    everyone = structure.get_all_neighbors(4.5)
    return sorted(sorted(round(near.nn_distance, 4) for near in one) for one in everyone)


def slab_of(crystal: Crystal) -> Structure:
    return Structure(Lattice(crystal.lattice), crystal.numbers.tolist(), crystal.frac)


@pytest.mark.parametrize("miller", list(itertools.product((-2, -1, 0, 1, 3), repeat=3)))
def test_a_plane_has_a_basis(miller: tuple[int, int, int]) -> None:
    if not any(miller):
        with pytest.raises(ValueError, match="the plane"):
            plane_basis(miller)
        return
    whole = plane_basis(miller)
    assert round(abs(np.linalg.det(whole))) == 1
    assert (whole @ miller).tolist() == [0, 0, np.gcd.reduce(miller)]


@pytest.mark.parametrize("structure", [RUTILE, QUARTZ, SKEWED])
@pytest.mark.parametrize("miller", PLANES)
def test_cells_along_planes_are_the_same_crystal(
    structure: Structure, miller: tuple[int, int, int]
) -> None:
    layers = along(crystal_of(structure), miller)
    assert layers.area * layers.period == pytest.approx(structure.volume)
    assert layers.period == pytest.approx(structure.lattice.d_hkl(miller))
    (ax, ay, az), (bx, by, bz), _ = layers.lattice
    assert (abs(np.array([ay, az, bz])) < 1e-9).all() and ax > 0 and by > 0
    assert abs(bx) <= ax / 2 + 1e-6  # the shortest vectors of the plane
    again = Structure(Lattice(layers.lattice), layers.numbers.tolist(), layers.frac)
    assert surroundings(again) == surroundings(structure)


@pytest.mark.parametrize("structure", [RUTILE, SKEWED])
@pytest.mark.parametrize("miller", PLANES[:4])
def test_slabs_are_those_of_pymatgen(structure: Structure, miller: tuple[int, int, int]) -> None:
    """Those that pymatgen finds different are among them."""
    layers = along(crystal_of(structure), miller)
    own = [surroundings(slab_of(layers.slab(cut, 2, 15.0))) for cut in layers.cuts()]
    thick = 1.99 * layers.period
    theirs = SlabGenerator(structure, miller, thick, 15.0, primitive=False).get_slabs()
    assert theirs
    for one in theirs:
        assert len(one) == 2 * len(structure) and surroundings(one) in own


def test_a_slab_is_whole_centred_and_upright() -> None:
    layers = along(crystal_of(RUTILE), (1, 1, 0))
    for cut in layers.cuts():
        slab = layers.slab(cut, 2, 14.0)
        z = slab.frac[:, 2] * slab.lattice[2, 2]
        assert len(z) == 12 and formula_of(slab) == "TiO2"
        assert z.min() == pytest.approx(7.0) and slab.lattice[2, 2] - z.max() == pytest.approx(7.0)
        assert (slab.lattice[2, :2] == 0).all() and (abs(slab.lattice[:2, 2]) < 1e-9).all()
        check_closest(slab)


@pytest.fixture(scope="module")
def generated() -> list[Entry]:
    return list(GeneratedSlabs(300).entries())


def test_generated_slabs_are_sound(generated: list[Entry]) -> None:
    grid = Grid()
    assert len({entry.id for entry in generated}) == len(generated) == 300
    assert [entry.row for entry in generated] == list(range(300))
    for entry in generated[:60]:
        slab = parse(entry)
        check(slab)
        check_closest(slab)
        assert entry.target is not None
        potential = Potential.read(entry.target)
        demand_slab(slab, potential.height)
        again = Potential.of(potential.potential, height=potential.height, fermi=potential.fermi)
        np.testing.assert_allclose(again.vacuum, potential.vacuum, atol=1e-5)
        assert np.isfinite(grid.profile(potential)).all()
        assert entry.id.startswith(f"{formula_of(slab)}-")


def test_work_functions_are_sane_and_structure_matters(generated: list[Entry]) -> None:
    found = [Potential.read(entry.target or "") for entry in generated]
    work = np.array([one.work_function for one in found])
    assert ((work > 2) & (work < 9)).mean() > 0.97
    assert 4 < work.mean() < 6 and 0.7 < work.std() < 1.3
    polar = np.array([abs(one.step) > POLAR for one in found])
    assert 0.1 < polar.mean() < 0.4
    formulas, of, counts = np.unique(
        [entry.id.split("-")[0] for entry in generated], return_inverse=True, return_counts=True
    )
    assert counts.max() <= PER_FORMULA and len(formulas) > 60
    means = np.bincount(of, work) / counts
    within = np.sqrt(np.square(work - means[of]).sum() / (len(work) - len(formulas)))
    assert within > work.std() / 3.5


def digest_of(materials: int) -> str:
    source = GeneratedSlabs(materials)
    assert source.count() == materials
    return source.digest()


def test_the_same_bits_in_another_process() -> None:
    program = "from tests.crystals.test_slabs import digest_of; print(digest_of(50))"
    other = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert other.stdout.strip() == digest_of(50)


def test_fewer_slabs_are_some_of_more(generated: list[Entry]) -> None:
    made, settings = GeneratedSlabs(40).__reduce__()  # as it travels
    few = {one.id for one in made(*settings).entries()}
    assert len(few) == 40 and few < {one.id for one in generated}


def test_perovskites_of_a_file_are_cut_too(tmp_path: Path) -> None:
    table = ["material_id,cif"]
    for one, (a, b) in enumerate(itertools.product(METALS, ["Ti", "Fe", "Zr"])):
        cell = Structure.from_spacegroup(
            "Pm-3m", Lattice.cubic(3.9), [a, b, "N"], [[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0]]
        )
        text = cell.to(fmt="cif").replace('"', '""')
        table.append(f'{one},"{text}"')
    path = tmp_path / "perovskites.csv"
    path.write_text("\n".join(table))
    formulas = [formula_of(one) for one in bulk_crystals(path)]
    assert len(table) < PEROVSKITES
    assert {"CaTiN3", "YZrN3", "NaCl", "SrTiO3"} <= set(formulas)
    assert len(formulas) == len(list(bulk_crystals(None))) + 15
