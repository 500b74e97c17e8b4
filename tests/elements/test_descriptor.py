"""The elements' descriptor: its layout, where it comes from, and rows checked by hand."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from trainables.elements import descriptor

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_descriptor.py"

# Reached with the sources named in the module's docstring; a fall means that a source changed.
LEAST_EQUAL_BITS = 0.998
LEAST_EQUAL_ROWS = 0.87
LEAST_EQUAL = dict.fromkeys(descriptor.WIDTHS, 1.0) | {
    "valence_electrons": 0.99,
    "ln_atomic_volume_cm3_mol": 0.88,
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_descriptor", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_descriptor"] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def column_names() -> list[str]:
    """Property, then the class or the two edges of the bin."""
    return next(csv.reader(io.StringIO(descriptor.read())))[1:]


def name_set_columns(z: int) -> list[str]:
    names = column_names()
    return [names[i] for i in np.flatnonzero(descriptor.load()[z])]


def test_table_has_a_row_per_atomic_number_and_an_empty_row_zero() -> None:
    table = descriptor.load()
    assert table.shape == (119, 92)
    assert table.dtype == np.float32
    assert not table[0].any()
    assert set(np.unique(table)) == {0.0, 1.0}


def test_each_property_is_set_at_most_once_and_the_certain_ones_exactly_once() -> None:
    table = descriptor.load()[1:]
    for name, part in descriptor.slices().items():
        counts = table[:, part].sum(axis=1)
        assert counts.max() == 1, name
        if name in {"group", "period", "block", "valence_electrons"}:
            assert counts.min() == 1, name


def test_columns_are_named_once_each_after_their_property() -> None:
    names = column_names()
    assert len(names) == len(set(names)) == 92
    for prefix, part in descriptor.slices().items():
        assert all(name.startswith(f"{prefix}_") for name in names[part])


def test_symbols_are_in_order_of_atomic_number() -> None:
    symbols = descriptor.symbols()
    assert len(symbols) == 119
    assert [symbols[z] for z in (0, 1, 26, 57, 118)] == ["", "H", "Fe", "La", "Og"]


def test_rows_of_hydrogen_iron_and_lanthanum_by_hand() -> None:
    assert name_set_columns(1) == [
        "group_1",
        "period_1",
        "electronegativity_1.9_2.25",  # 2.20
        "covalent_radius_pm_25_47.5",  # 32
        "valence_electrons_1",
        "ln_ionization_energy_eV_2.5_2.7",  # ln 13.598 = 2.610
        "electron_affinity_eV_0.35_1.02",  # 0.754
        "block_s",
        "ln_atomic_volume_cm3_mol_2.62_2.9",  # ln(1.008/0.0708) = 2.656
    ]
    assert name_set_columns(26) == [
        "group_8",
        "period_4",
        "electronegativity_1.55_1.9",  # 1.83
        "covalent_radius_pm_115_137.5",  # 116
        "valence_electrons_8",
        "ln_ionization_energy_eV_1.9_2.1",  # ln 7.902 = 2.067
        "electron_affinity_eV_-0.32_0.35",  # 0.15
        "block_d",
        "ln_atomic_volume_cm3_mol_1.78_2.06",  # ln(55.845/7.87) = 1.960
    ]
    assert name_set_columns(57) == [
        "group_f",
        "period_6",
        "electronegativity_0.85_1.2",  # 1.10
        "covalent_radius_pm_160_182.5",  # 180
        "valence_electrons_2",
        "ln_ionization_energy_eV_1.7_1.9",  # ln 5.577 = 1.719
        "electron_affinity_eV_0.35_1.02",  # 0.56
        "block_f",
        "ln_atomic_volume_cm3_mol_2.9_3.18",  # ln(138.9/6.15) = 3.118
    ]


def test_lutetium_and_lawrencium_stand_in_group_3() -> None:
    for z in (71, 103):
        assert {"group_3", "block_d", "valence_electrons_3"} <= set(name_set_columns(z))
    for z in (70, 102):
        assert {"group_f", "block_f", "valence_electrons_2"} <= set(name_set_columns(z))


def test_loading_needs_neither_pandas_nor_torch() -> None:
    code = (
        "import sys; from trainables.elements import descriptor; descriptor.load();"
        "print([m for m in ('pandas', 'torch', 'pymatgen', 'mendeleev') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=SCRIPT.parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_shipped_file_is_what_the_script_generates(script: ModuleType) -> None:
    pytest.importorskip("mendeleev", reason="the descriptor's script needs mendeleev")
    assert script.generate() == descriptor.read()


def test_agreement_with_the_descriptor_of_cgcnn(script: ModuleType, shared_data: Path) -> None:
    oracle = json.loads((shared_data / "cgcnn_atom_init.json").read_text())
    found = script.compare(descriptor.load(), oracle)
    assert found.bits >= LEAST_EQUAL_BITS
    assert found.rows >= LEAST_EQUAL_ROWS
    for name, least in LEAST_EQUAL.items():
        assert found.properties[name] >= least, found.different[name]


def test_comparison_names_the_property_and_the_element_that_differ(script: ModuleType) -> None:
    table = descriptor.load()
    oracle = {str(z): table[z].astype(int).tolist() for z in range(1, 5)}
    period = descriptor.slices()["period"]
    oracle["3"][period.start] = 1
    found = script.compare(table, oracle)
    assert found.bits == pytest.approx(1 - 1 / (4 * 92))
    assert found.rows == 0.75
    assert found.properties["period"] == 0.75
    assert found.different["period"] == [3]
    assert found.different["group"] == []


def test_value_outside_its_range_sets_no_column(script: ModuleType) -> None:
    assert script.choose_bin(0.5, 0.5, 4.0, 10) == 0
    assert script.choose_bin(0.49, 0.5, 4.0, 10) is None
    assert script.choose_bin(4.0, 0.5, 4.0, 10) is None
    assert script.choose_bin(None, 0.5, 4.0, 10) is None
    assert script.choose_bin(float("nan"), 0.5, 4.0, 10) is None
