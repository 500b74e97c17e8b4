"""Handcrafted tables: which elements they tell apart, their names, and how foreign ones enter."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trainables.crystals.symbols import SYMBOLS
from trainables.elements import descriptor, handcrafted, properties

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "trainables" / "elements" / "data" / "properties.csv"
EVERY = np.ones(118, dtype=bool)


def groups_of(name: str) -> list[str]:
    found = handcrafted.alike(handcrafted.table_of(name))
    return [" ".join(SYMBOLS[z] for z in group) for group in found]


# ------------------------------------------------------------------------------- built-in tables


def test_elements_tells_all_apart_and_the_92_columns_do_not() -> None:
    assert groups_of("elements") == []
    assert groups_of("cgcnn92") == [
        "La Ce", "Sm Gd", "Ho Er", "Np Pu", "Am Cm", "Bk Cf", "Es Fm Md No",
    ]  # fmt: skip
    rows = handcrafted.table_of("elements")[1:104].astype(float)
    apart = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    assert apart[~np.eye(103, dtype=bool)].min() > 0.1, "of those with data, not by rounding alone"


def test_elements_is_the_92_columns_and_standardised_properties() -> None:
    table, values = properties.load(), properties.read()
    assert table.shape == (119, 109) and table.dtype == np.float32
    assert not table[0].any() and np.isfinite(table).all()
    assert np.array_equal(table[:, :92], descriptor.load())
    known = ~np.isnan(values)
    for place, name in enumerate(properties.COLUMNS):
        column = table[1:, 92 + place].astype(float)
        own = column[known[:, place]]
        assert own.mean() == pytest.approx(0, abs=1e-5), name
        assert own.std() == pytest.approx(1, abs=1e-5), name
        assert not column[~known[:, place]].any(), name
    lacking = [name for name, column in zip(properties.COLUMNS, known.T, strict=True)
               if not column.all()]  # fmt: skip
    assert lacking == [
        "electronegativity", "ionization_energy_eV", "electron_affinity_eV",
        "atomization_enthalpy_kJ_mol",
    ]  # fmt: skip
    flags = table[1:, 92 + len(properties.COLUMNS) :].astype(bool)
    assert np.array_equal(flags, ~known[:, ~known.all(axis=0)])


def test_properties_of_iron_and_gadolinium() -> None:
    found = {
        symbol: dict(zip(properties.COLUMNS, properties.read()[z - 1], strict=True))
        for symbol, z in (("Fe", 26), ("Gd", 64), ("Hg", 80))
    }
    iron = found["Fe"]
    assert iron["atomic_weight_u"] == 55.845 and iron["electronegativity"] == 1.83
    assert iron["covalent_radius_pm"] == 116 and iron["ionization_energy_eV"] == 7.90247
    electrons = {
        symbol: [own[f"{letter}_electrons"] for letter in "spdf"] for symbol, own in found.items()
    }
    assert electrons == {"Fe": [2, 0, 6, 0], "Gd": [2, 0, 1, 7], "Hg": [2, 0, 10, 14]}
    assert np.isnan(found["Gd"]["electron_affinity_eV"])


def test_each_column_stands_in_the_table_of_units_and_sources() -> None:
    listed = properties.__doc__ or ""
    for name in properties.COLUMNS:
        assert name in listed or name.endswith("_electrons"), name
    header = next(csv.reader(SHIPPED.read_text().splitlines()))
    assert header == ["element", *properties.COLUMNS]


def test_the_shipped_properties_are_what_the_script_generates(tmp_path: Path) -> None:
    pytest.importorskip("mendeleev", reason="the script of the properties needs mendeleev")
    out = tmp_path / "properties.csv"
    command = [sys.executable, str(ROOT / "scripts" / "make_properties.py"), "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    assert out.read_bytes() == SHIPPED.read_bytes()


# -------------------------------------------------------------------------------- foreign tables


def test_a_foreign_table_is_standardised_over_the_elements_that_it_has() -> None:
    values = np.random.default_rng(0).normal(3, 50, size=(118, 4))
    values[:, 2] = 7
    seen = EVERY.copy()
    seen[90:] = False
    values[90:, 2] = 9  # of filled rows alone: constant all the same
    table = handcrafted.standardised(values, seen)
    assert table.shape == (119, 3) and table.dtype == np.float32 and not table[0].any()
    own = table[1:][seen].astype(float)
    assert own.mean(axis=0) == pytest.approx(0, abs=1e-6)
    assert own.std(axis=0) == pytest.approx(1, abs=1e-6)
    rescaled = handcrafted.standardised(values * 1e200, seen)
    assert rescaled == pytest.approx(table, abs=2e-6)


@pytest.mark.parametrize("absurd", [1e300, np.inf, np.nan])
def test_a_table_that_is_not_finite_once_standardised_is_refused(absurd: float) -> None:
    """A row that was filled in makes none but itself wrong."""
    values = np.random.default_rng(0).normal(size=(118, 4))
    seen = EVERY.copy()
    seen[95] = False
    values[95, 1] = absurd
    with pytest.raises(ValueError, match="the row of Z = 96 is not finite once stand"):
        handcrafted.standardised(values, seen)


def test_a_table_without_differences_is_refused() -> None:
    with pytest.raises(ValueError, match="all elements have the same vector"):
        handcrafted.standardised(np.ones((118, 2)), EVERY)


def test_a_name_has_the_digest_of_the_numbers() -> None:
    values = np.random.default_rng(0).normal(size=(118, 2))
    table = handcrafted.standardised(values, EVERY)
    name = handcrafted.named("my @ table", table)
    handcrafted.demand_name(name)
    assert name.startswith("my---table@") and handcrafted.table_of(name, table) is table
    moved = table.copy()
    moved[40, 1] += 1e-3
    assert handcrafted.named("my @ table", moved) != name
    for other in (moved, table[:-1], table.astype(float), table[0]):
        with pytest.raises(ValueError, match=f"the handcrafted table is not {name}"):
            handcrafted.table_of(name, other)
    with pytest.raises(ValueError, match=f"without the handcrafted table {name}"):
        handcrafted.table_of(name)


@pytest.mark.parametrize("name", ["magpie", "", "cgcnn92@", "a b@0123456789ab", "x@0123456789AB"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no handcrafted table; there are cgcnn92, elements"):
        handcrafted.demand_name(name)
