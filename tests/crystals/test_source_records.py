"""Files of crystals, as other programs write them (scripts/make_foreign_files.py)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.crystals.crystal import BadCrystal
from trainables.crystals.parsing import parse
from trainables.crystals.sources import JsonRecords, MatBench, SourceError, open_source
from trainables.crystals.sources.record_source import RecordSource
from trainables.models.backbones import BACKBONES
from trainables.testing.samples import built

FILES = Path(__file__).parent / "files"
GAPS = {
    "computed-entries.json": "gap",
    "jarvis.json": "optb88vdw_bandgap",
    "optimade.json": "_odb_gap",
    "ase.extxyz": "gap",
    "ase.traj": "gap",
    "ase.db": "gap",
}
FIRST_IDS = ("mp-0", "JVASP-0", "odb-0", "ase-0", "ase-0", "1")
KIND = BACKBONES["megnet"].representation


def graphs(name: str) -> dict[str, np.ndarray]:
    source = open_source(FILES / name, "*")
    found = built([parse(entry) for entry in source.entries()], KIND)
    return {column.name: getattr(found, column.name) for column in found.declared()}


@pytest.mark.parametrize("name", GAPS)
def test_a_structure_arrives_the_same_from_each(name: str) -> None:
    """To the bit of the graph, in whatever order a program lists the atoms.

    Distances are whole thousandths of an Å there, while .extxyz has positions to 1e-8 Å.
    """
    own, known = graphs(name), graphs("pymatgen-structures.json")
    for column, values in known.items():
        assert np.array_equal(own[column], values), column


@pytest.mark.parametrize(("name", "target"), GAPS.items())
def test_targets_and_ids_are_those_of_the_program(name: str, target: str) -> None:
    source = open_source(FILES / name, target)
    assert isinstance(source, RecordSource) and source.target_name == target
    entries = list(source.entries())
    assert [float(entry.target or "nan") for entry in entries] == [8.5, 3.2, 0.0]
    first = dict(zip(GAPS, FIRST_IDS, strict=True))[name]
    assert entries[0].id == first and entries[2].origin == f"{name}:3"
    assert source.count() is None and len(source.digest()) == 64


def test_a_missing_value_of_jarvis_costs_its_crystal_alone() -> None:
    entries = list(open_source(FILES / "jarvis.json", "mbj_bandgap").entries())
    assert [entry.target for entry in entries] == ["8.6", "na", "na"]


def test_several_numbers_have_to_be_named() -> None:
    with pytest.raises(SourceError, match=r"which column is the target\?.*gap, energy, c"):
        open_source(FILES / "computed-entries.json")


def test_the_api_and_lists_of_programs_of_ones_own(tmp_path: Path) -> None:
    """As the Materials Project's API answers, and as a list of one's own dictionaries."""
    entries = json.loads((FILES / "computed-entries.json").read_text())
    rows = [
        {"material_id": f"mp-{row}", "structure": one["structure"], "band_gap": row / 2}
        for row, one in enumerate(entries)
    ]
    for content in (rows, {"data": rows, "meta": {"total_doc": 3}}, {"meta": [], "data": rows}):
        path = tmp_path / "answer.json"
        path.write_text(json.dumps(content))
        source = open_source(path)
        assert source.target_name == "band_gap"
        assert [(one.id, one.target) for one in source.entries()] == [
            ("mp-0", "0.0"), ("mp-1", "0.5"), ("mp-2", "1.0"),
        ]  # fmt: skip


def test_an_object_s_own_keys_win_and_a_cell_s_charge_is_no_target(tmp_path: Path) -> None:
    entries = json.loads((FILES / "computed-entries.json").read_text())
    for one in entries:
        one["data"]["energy"] = 99.0
    source = open_source(written(tmp_path, entries), "energy")
    assert [entry.target for entry in source.entries()] == ["-7.0", "-17.5", "-7.0"]
    with pytest.raises(SourceError, match="no numeric column for a target"):
        open_source(FILES / "pymatgen-structures.json")
    structures = json.loads((FILES / "pymatgen-structures.json").read_text())
    for row, one in enumerate(structures):
        one["properties"] = {"gap": row}
    assert open_source(written(tmp_path, structures)).target_name == "gap"


def written(folder: Path, content: Any) -> Path:
    path = folder / "list.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def jarvis(row: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FILES / "jarvis.json").read_text())[row]
    return found


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"atoms": {"elements": ["Na"]}}, "broken structure: 'coords'"),
        ({"atoms": [1, 2]}, "broken structure"),
        ({"atoms": None}, "broken structure"),
    ],
)
def test_a_bad_object_affects_only_itself(tmp_path: Path, change: dict, why: str) -> None:
    path = written(tmp_path, [jarvis(0), jarvis(1) | change, jarvis(2)])
    first, bad, last = open_source(path, "optb88vdw_bandgap").entries()
    assert first.format == last.format == "json"
    with pytest.raises(BadCrystal, match=why):
        parse(bad)


def test_partial_occupancy_and_slabs_of_optimade_are_refused(tmp_path: Path) -> None:
    response = json.loads((FILES / "optimade.json").read_text())
    mixed, slab, bound = response["data"]
    mixed["attributes"]["species"][0] |= {
        "chemical_symbols": ["Na", "K"], "concentration": [0.5, 0.5],
    }  # fmt: skip
    slab["attributes"]["dimension_types"] = [1, 1, 0]
    bound["attributes"]["species"][0] |= {"attached": ["H"], "nattached": [1]}
    source = open_source(written(tmp_path, response), "_odb_gap")
    for entry, why in zip(
        source.entries(), ("partial occupancy", "not periodic", "attached atoms"), strict=True
    ):
        with pytest.raises(BadCrystal, match=why):
            parse(entry)


def test_a_foreign_class_is_data_and_no_class(tmp_path: Path) -> None:
    entries = json.loads((FILES / "computed-entries.json").read_text())
    entries[0]["structure"]["@module"], entries[0]["structure"]["@class"] = "os", "system"
    bad, *_ = open_source(written(tmp_path, entries), "gap").entries()
    with pytest.raises(BadCrystal, match="foreign JSON: module 'os' is refused"):
        parse(bad)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ([{"formula": "NaCl", "gap": 1.0}], "no structure or atoms column; it has formula, gap"),
        ('[{"structure": {}', "not a MatBench JSON file|not a JSON list of crystals"),
        ("[]", "not a MatBench JSON file"),
        ('{"data": [{"structure": 1', "not a MatBench|not a JSON list"),
    ],
)
def test_what_is_no_list_of_crystals_is_one_line(tmp_path: Path, content: Any, why: str) -> None:
    with pytest.raises(SourceError, match=why) as caught:
        list(open_source(written(tmp_path, content), "gap").entries())
    assert "\n" not in str(caught.value)


def test_a_list_that_ends_early_is_told_when_its_end_is_reached(tmp_path: Path) -> None:
    text = (FILES / "jarvis.json").read_text()
    many = "[" + ", ".join([text[1:-1]] * 200)
    source = open_source(written(tmp_path, many), "optb88vdw_bandgap")
    with pytest.raises(SourceError, match="the file ends there"):
        list(source.entries())


def test_matbench_stays_matbench(tmp_path: Path) -> None:
    content = {"index": [0], "columns": ["structure", "y"], "data": [[{"sites": []}, 1.0]]}
    assert isinstance(open_source(written(tmp_path, content)), MatBench)
    packed = shutil.copy(FILES / "jarvis.json", tmp_path / "odd.json")
    assert isinstance(open_source(Path(packed), "*"), JsonRecords)
