"""Files of ASE: what it writes is read, and nothing that a file holds runs or fills the memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.io import iread
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.predict.inputs import blocks_of, sources_of
from tests.crystals.ase_structures import (
    CELL,
    FILES,
    KINDS,
    crystals,
    molecule,
    of,
    reason,
    refused,
    salt,
)
from tests.crystals.test_fuzz_sources import SCRAPS
from tests.fuzzing import searching
from trainables.crystals.checks import check
from trainables.crystals.crystal import BadCrystal
from trainables.crystals.parsing import parse
from trainables.crystals.sources import ANY_COLUMN, SourceError, open_source

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("kind", ["traj", "db"])
def test_positions_and_cells_have_the_bits_that_ase_has(tmp_path: Path, kind: str) -> None:
    """Fractional coordinates are those of the same Cartesian ones in any other JSON."""
    given = [salt(), salt().repeat((2, 1, 1))]
    for one, known in zip(crystals(of(kind, tmp_path, given)), given, strict=True):
        assert np.array_equal(one.lattice, known.cell.array)
        assert np.array_equal(one.frac, np.linalg.solve(known.cell.T, known.positions.T).T)
        assert one.numbers.tolist() == known.numbers.tolist()


@pytest.mark.parametrize("kind", ["extxyz", "traj"])
def test_fields_are_those_that_ase_reads(kind: str) -> None:
    path = FILES / f"ase.{kind}"
    for target in ("gap", "energy", "metal", "dos", "magmoms@site"):
        cells = [entry.target for entry in open_source(path, target).entries()]
        for cell, atoms in zip(cells, iread(path), strict=True):
            known = {**atoms.calc.results, **atoms.info}[target.removesuffix("@site")]
            assert np.array_equal(json.loads(cell or ""), known), (target, cell)


@pytest.mark.parametrize("kind", KINDS)
def test_energy_is_the_target_where_nothing_else_is(tmp_path: Path, kind: str) -> None:
    one = salt()
    one.info.clear()
    one.calc = SinglePointCalculator(one, energy=-1.5, forces=np.zeros((2, 3)))
    source = open_source(of(kind, tmp_path, [one, one]))
    assert source.target_name == "energy" and source.unit is None
    told = [(entry.id, entry.target) for entry in source.entries()]
    assert told == [("1", "-1.5"), ("2", "-1.5")]


@pytest.mark.parametrize("kind", KINDS)
def test_several_numbers_have_to_be_named(kind: str) -> None:
    told = refused(FILES / f"ase.{kind}")
    assert "which column is the target?" in told and "energy" in told and "gap" in told


def slab() -> Atoms:
    made = salt()
    made.pbc = (True, True, False)
    return made


def nowhere() -> Atoms:
    made = salt()
    made.positions[1, 2] = np.nan
    return made


def flat() -> Atoms:
    made = salt()
    made.cell[2] = 0
    return made


def unknown() -> Atoms:
    made = salt()
    made.numbers[0] = 0
    return made


def empty() -> Atoms:
    return Atoms(cell=CELL, pbc=True, info={"gap": 1.0})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (molecule, "no cell"),
        (slab, "not periodic: pbc is [True, True, False]"),
        (nowhere, "coordinates are not finite: atom 2 (Cl)"),
        (flat, "zero volume"),
        (unknown, "unknown element"),
        (empty, "no atoms: the structure is empty"),
    ],
)
def test_a_bad_frame_affects_only_itself(
    tmp_path: Path, kind: str, make: Callable[[], Atoms], why: str
) -> None:
    path = of(kind, tmp_path, [salt(), make(), salt()])
    first, bad, last = open_source(path, "gap").entries()
    assert reason(bad).startswith(why)
    assert parse(first).numbers.tolist() == parse(last).numbers.tolist() == [11, 17]


@pytest.mark.parametrize("kind", KINDS)
def test_a_pipe_is_no_file(tmp_path: Path, kind: str) -> None:
    """Which would be waited for."""
    os.mkfifo(tmp_path / f"made.{kind}")
    with pytest.raises(SourceError, match="neither a file nor a folder"):
        open_source(tmp_path / f"made.{kind}")


# ---------------------------------------------------------------------------- all of them


@pytest.mark.parametrize("kind", KINDS)
@searching(60)
@given(st.data())
def test_a_file_of_ase_that_was_tampered_with(
    tmp_path: Path, kind: str, data: st.DataObject
) -> None:
    content = (FILES / f"ase.{kind}").read_bytes()
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        end = start + data.draw(st.integers(0, 12))
        piece = data.draw(st.binary(max_size=9) | SCRAPS.map(lambda text: text.encode()))
        content = content[:start] + piece + content[end:]
    path = tmp_path / f"x.{kind}"
    path.write_bytes(content)
    try:
        for entry in open_source(path, ANY_COLUMN).entries():
            try:
                check(parse(entry))
            except BadCrystal as bad:
                assert len(str(bad).splitlines()) == 1
    except SourceError as error:
        assert len(str(error).splitlines()) == 1


def test_reading_needs_neither_ase_nor_pymatgen() -> None:
    program = (
        "import sys\n"
        "sys.modules['ase'] = sys.modules['pymatgen'] = None\n"
        "from pathlib import Path\n"
        "from trainables.crystals.parsing import parse\n"
        "from trainables.crystals.sources import open_source\n"
        f"for kind in {KINDS!r}:\n"
        f"    path = Path({str(FILES)!r}) / f'ase.{{kind}}'\n"
        "    print(*[len(parse(one).numbers) for one in open_source(path, 'energy').entries()])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "2 5 2\n" * 3


def test_all_take_a_name_and_leave_the_file(tmp_path: Path) -> None:
    for kind in KINDS:
        path = Path(shutil.copy(FILES / f"ase.{kind}", tmp_path))
        assert open_source(path, "gap", "mine").name == "mine"
        assert open_source(path, "gap").name == "ase"
    assert len(list(tmp_path.iterdir())) == 3


def test_frames_of_several_files_are_called_by_file_and_row(tmp_path: Path) -> None:
    one = salt()
    one.info.clear()
    paths = [str(of(kind, tmp_path, [one, one])) for kind in KINDS]
    blocks = blocks_of(sources_of(paths, follow_links=False))
    counted = [f"{path}:{row}" for path in paths for row in (1, 2)]
    assert [entry.id for block in blocks for entry in block] == counted
    (alone,) = blocks_of(sources_of(paths[:1], follow_links=False))
    assert [entry.id for entry in alone] == ["1", "2"]


def test_names_of_their_own_and_gaps_of_a_database_are_kept(tmp_path: Path) -> None:
    table, database = tmp_path / "a.csv", tmp_path / "a.db"
    poscar = "salt\n1\n4 0 0\n0 4 0\n0 0 4\nNa Cl\n1 1\nDirect\n0 0 0\n.5 .5 .5\n"
    table.write_text(f'id,poscar\nmine,"{poscar}"\n1,"{poscar}"\n')
    with connect(database) as into:
        into.write(salt())
        into.write(salt())
        del into[1]
    paths = [str(table), str(database), str(table)]
    found = [one.id for block in blocks_of(sources_of(paths, follow_links=False)) for one in block]
    assert found == ["mine", "1", f"{database}:2", "mine", "1"]


def test_new_structures_to_predict_may_lie_in_them(tmp_path: Path) -> None:
    """Without a target, many a file, and whatever the file is called."""
    shutil.copy(FILES / "ase.extxyz", tmp_path / "POSCAR.xyz")
    paths = [str(FILES / "ase.traj"), str(tmp_path / "POSCAR.xyz"), str(FILES / "ase.db")]
    blocks = list(blocks_of(sources_of(paths, follow_links=False)))
    assert [len(block) for block in blocks] == [3, 3, 3]
    assert all(
        entry.target is None and len(parse(entry).numbers) for block in blocks for entry in block
    )
