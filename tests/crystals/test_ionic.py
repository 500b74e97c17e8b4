"""The embedded set: size, neutrality, geometry, energies, and sameness."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pymatgen.analysis.ewald import EwaldSummation
from pymatgen.core import Structure

from trainables.crystals.checks import check, check_closest
from trainables.crystals.crystal import Entry
from trainables.crystals.ionic import PER_TYPE, TEXTBOOK, IonicSource
from trainables.crystals.parsing import parse, parse_target
from trainables.crystals.prototypes import prototypes
from trainables.crystals.radii import born_exponent, shannon_radius
from trainables.crystals.sources import Source

SPACE_GROUPS = {
    "rocksalt": 225, "cscl": 221, "zincblende": 216, "wurtzite": 186, "fluorite": 225,
    "antifluorite": 225, "rutile": 136, "perovskite": 221, "cuprite": 224, "reo3": 221,
    "antiperovskite": 221, "spinel": 227, "elpasolite": 225, "k2ptcl6": 225, "nowotny": 216,
    "nias": 194, "cdi2": 164, "la2o3": 164, "cdcl2": 166, "corundum": 167, "ilmenite": 148,
    "nafeo2": 166, "anatase": 141, "k2nif4": 139, "matlockite": 129,
}  # fmt: skip


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    return list(IonicSource().entries())


def kind(entry: Entry) -> str:
    return entry.id.split("-")[1]


def oxidation(entry: Entry) -> list[tuple[str, int]]:
    species = [site["species"][0] for site in json.loads(entry.text)["sites"]]
    return [(one["element"], one["oxidation_state"]) for one in species]


def test_it_is_a_source() -> None:
    source = IonicSource()
    assert isinstance(source, Source)
    assert (source.name, source.target_name, source.unit) == ("ionic", "lattice_energy", "eV/atom")
    assert "not measured" in source.description


def test_large_enough_and_unique(entries: list[Entry]) -> None:
    assert len(entries) >= 1500
    assert IonicSource().count() == len(entries)
    assert len({entry.id for entry in entries}) == len(entries)
    assert [entry.row for entry in entries] == list(range(len(entries)))
    elements = {name for entry in entries for name, _ in oxidation(entry)}
    assert len(elements) >= 60
    types = Counter(map(kind, entries))
    assert sorted(types) == sorted(SPACE_GROUPS)
    assert sorted(types) == sorted(p.name for p in prototypes())
    assert max(types.values()) <= PER_TYPE
    formulas = {entry.id.split("-")[2] for entry in entries}
    assert formulas.issuperset(TEXTBOOK)


def test_every_crystal_is_good_and_neutral(entries: list[Entry]) -> None:
    for entry in entries:
        crystal = parse(entry)
        check(crystal)
        check_closest(crystal)
        assert sum(charge for _, charge in oxidation(entry)) == 0
        assert parse_target(entry) < 0


def test_space_groups(entries: list[Entry]) -> None:
    """Two of each type: the coordinates are those of the type, seen by an independent eye."""
    for name, number in SPACE_GROUPS.items():
        for entry in [e for e in entries if kind(e) == name][:2]:
            structure = Structure.from_dict(json.loads(entry.text))
            assert structure.get_space_group_info()[1] == number, entry.id


def test_ions_touch_and_do_not_overlap(entries: list[Entry]) -> None:
    """The documented rule, checked on finished crystals with pymatgen's neighbour list."""
    coordination = {p.name: (p.roles, p.coordination) for p in prototypes()}
    for entry in entries[::25]:
        ions = oxidation(entry)
        roles, numbers = coordination[kind(entry)]
        radii = np.array([
            shannon_radius(*ion, numbers[role]) for ion, role in zip(ions, roles, strict=True)
        ], dtype=float)  # fmt: skip
        charges = np.array([charge for _, charge in ions])
        structure = Structure.from_dict(json.loads(entry.text))
        i, j, _, distance = structure.get_neighbor_list(8.0, exclude_self=True)
        ratio = distance / (radii[i] + radii[j])
        unlike = charges[i] * charges[j] < 0
        assert ratio[unlike].min() == pytest.approx(1.0, abs=1e-5), entry.id
        assert ratio[~unlike].min() > 0.9 - 1e-5, entry.id
        for atom in range(len(ions)):
            assert ratio[unlike & (i == atom)].min() < 1.15 + 1e-5, entry.id


def test_energies_agree_with_pymatgen(entries: list[Entry]) -> None:
    for entry in entries[::60]:
        structure = Structure.from_dict(json.loads(entry.text))
        exponent = np.mean([born_exponent(*ion) for ion in oxidation(entry)])
        ewald = EwaldSummation(structure, acc_factor=14).total_energy
        expected = ewald * (1 - 1 / exponent) / len(structure)
        assert parse_target(entry) == pytest.approx(expected, abs=2e-6), entry.id


def test_rock_salt_by_hand(entries: list[Entry]) -> None:
    """NaCl: d = 1.02 + 1.81 Å, n = (7 + 9) / 2, two atoms; E = -M e²/d (1 - 1/n) / 2."""
    salt = next(entry for entry in entries if entry.id == "ionic-rocksalt-NaCl")
    assert parse_target(salt) == pytest.approx(-1.747565 * 14.399645 / 2.83 * (7 / 8) / 2, abs=1e-5)


@pytest.mark.parametrize(
    ("element", "charge", "exponent"),
    [("Li", 1, 5), ("Na", 1, 7), ("F", -1, 7), ("Cl", -1, 9), ("Cu", 1, 9), ("Ag", 1, 10),
     ("Au", 1, 12), ("Br", -1, 10), ("I", -1, 12), ("Ti", 4, 9), ("Th", 4, 12), ("Be", 2, 5)],
)  # fmt: skip
def test_born_exponents(element: str, charge: int, exponent: int) -> None:
    assert born_exponent(element, charge) == exponent


def test_radii() -> None:
    assert shannon_radius("Na", 1, 6) == 1.02
    assert shannon_radius("Fe", 2, 6) == 0.78  # high spin
    assert shannon_radius("Cl", -1, 4) == 1.81  # only six-fold is tabulated
    assert shannon_radius("Tl", 1, 2) is None  # too far from six-fold
    assert shannon_radius("B", 3, 4) is None  # below 0.2 Å
    assert shannon_radius("Na", 3, 6) is None


def test_the_same_every_time_in_any_process() -> None:
    program = "from trainables.crystals.ionic import IonicSource\nprint(IonicSource().digest())"
    root = Path(__file__).resolve().parents[2]
    digests = {IonicSource().digest()}
    for seed in ("1", "2"):
        settings = {**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root,
            env=settings,
        )  # fmt: skip
        digests.add(done.stdout.strip())
    assert len(digests) == 1


def test_order_is_well_mixed(entries: list[Entry]) -> None:
    counts = Counter(map(kind, entries))
    first = Counter(kind(entry) for entry in entries[: len(entries) // 2])
    for name, count in counts.items():
        spread = 4 * np.sqrt(count) / 2
        assert abs(first[name] - count / 2) <= spread, name


def test_generated_in_time() -> None:
    start = time.perf_counter()
    assert IonicSource().count() >= 1500
    assert time.perf_counter() - start < 20
