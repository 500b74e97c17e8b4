"""Formulas from files: what is read, and how it is said that something cannot be."""

from __future__ import annotations

import csv
import gzip
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trainables.compositions.reading import (
    by_crystal,
    parse_formula,
    read_compositions,
    reduce_formula,
    reduced,
)
from trainables.crystals.registry import official_folds
from trainables.crystals.sources.base import SourceError

FORMULAS = ("NaCl", "Fe2O3", "Ag(AuS)2", "Cu", "Li0.5Fe0.5O", "D2O", "CaTiO3", "Si", "GaAs", "K2O")


def write(folder: Path, text: str, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def table(values: object = range(10), header: str = "formula,target") -> str:
    lines = [f"{formula},{value}" for formula, value in zip(FORMULAS, values, strict=True)]  # type: ignore
    return "\n".join([header, *lines]) + "\n"


def refused(path: Path, target: str | None = None, name: str | None = None) -> str:
    with pytest.raises(SourceError) as caught:
        read_compositions(path, target, name)
    text = str(caught.value)
    assert "\n" not in text and str(path) in text
    return text


def test_formulas_become_elements_and_shares(tmp_path: Path) -> None:
    data = read_compositions(write(tmp_path, table()))
    assert (data.name, len(data), data.classes) == ("data", 10, False)
    parts = {
        formula: {
            int(z): round(float(share), 6)
            for z, share in zip(data.z[a:b], data.fraction[a:b], strict=True)
        }
        for formula, a, b in zip(FORMULAS, data.ptr[:-1], data.ptr[1:], strict=True)
    }
    assert parts["Fe2O3"] == {8: 0.6, 26: 0.4}
    assert parts["Ag(AuS)2"] == {79: 0.4, 16: 0.4, 47: 0.2}
    assert parts["D2O"] == {1: round(2 / 3, 6), 8: round(1 / 3, 6)}, "deuterium is hydrogen"
    assert parts["Li0.5Fe0.5O"] == {8: 0.5, 3: 0.25, 26: 0.25}
    assert data.target.tolist() == list(range(10))
    sums = np.add.reduceat(data.fraction, data.ptr[:-1])
    assert sums == pytest.approx(np.ones(10))
    assert data.ids[0] == "data-01"


def test_two_values_are_classes(tmp_path: Path) -> None:
    text = table(["True", "False"] * 5)
    data = read_compositions(write(tmp_path, text))
    assert data.classes and data.target.tolist() == [1.0, 0.0] * 5
    assert not read_compositions(write(tmp_path, table([1, 2, 3] * 3 + [1]))).classes
    numbers = read_compositions(write(tmp_path, table([3.5, -1] * 5)))
    assert numbers.classes and numbers.target.tolist() == [1.0, 0.0] * 5


def test_folds_are_the_official_ones(tmp_path: Path) -> None:
    numbers = read_compositions(write(tmp_path, table()))
    classes = read_compositions(write(tmp_path, table([0, 1] * 5)))
    for fold in range(5):
        assert numbers.test_rows(fold).tolist() == official_folds(10)[fold][1].tolist()
        stratified = official_folds(None, [0, 1] * 5)[fold][1]
        assert classes.test_rows(fold).tolist() == stratified.tolist()
        assert classes.target[stratified].mean() == 0.5
        split = numbers.split(fold, seed=3)
        together = np.concatenate([split.train, split.validation, split.test])
        assert sorted(together) == list(range(10))
        assert len(split.validation) == 2


def test_a_matbench_file(tmp_path: Path) -> None:
    content = {
        "index": list(range(10)),
        "columns": ["composition", "gap expt"],
        "data": [[formula, number / 2] for number, formula in enumerate(FORMULAS)],
    }
    path = tmp_path / "matbench_mine.json.gz"
    path.write_bytes(gzip.compress(json.dumps(content).encode()))
    data = read_compositions(path)
    assert (data.name, len(data)) == ("mine", 10)
    assert data.target.tolist() == [number / 2 for number in range(10)]


def test_ids_and_targets_by_name(tmp_path: Path) -> None:
    lines = [f"x{n};{formula};{n};{n * n}" for n, formula in enumerate(FORMULAS)]
    path = write(tmp_path, "\n".join(["material_id;composition;a;b", *lines]))
    data = read_compositions(path, "b")
    assert data.ids.tolist() == [f"x{n}" for n in range(10)]
    assert data.target[3] == 9
    assert "which column is the target?" in refused(path)
    assert "no column 'c'" in refused(path, "c")


def test_a_task_of_matbench_has_its_size_and_names(tmp_path: Path) -> None:
    path = write(tmp_path, table(), "steels.csv")
    assert "10 formulas, but matbench_steels has 312" in refused(path)
    assert read_compositions(path, name="mine").name == "mine"
    assert "matbench_expt_gap has 4604" in refused(path, name="expt_gap")


@pytest.mark.parametrize(
    ("formula", "why"),
    [("Xx2O", "Xx is no element"), ("", "no formula"), ("Na(Cl", "no formula")],
)
def test_a_wrong_formula_is_named_with_its_line(tmp_path: Path, formula: str, why: str) -> None:
    text = table().replace("GaAs", formula)
    told = refused(write(tmp_path, text))
    assert "line 10" in told and why in told


def test_what_cannot_be_read(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "nowhere.csv")
    assert "no column formula or composition" in refused(write(tmp_path, "a,b\n1,2\n"))
    assert "line 4: the target 'nan'" in refused(write(tmp_path, table([0, 1, "nan", *range(7)])))
    assert "line 3: 3 cells, but 2 columns" in refused(
        write(tmp_path, table().replace("Fe2O3,1", "Fe2O3,1,1"))
    )
    few = "\n".join(table().splitlines()[:8])
    assert "7 formulas; five folds need at least 10" in refused(write(tmp_path, few))
    path = tmp_path / "broken.json.gz"
    path.write_bytes(gzip.compress(b'{"columns": ["composition"'))
    assert "no MatBench file" in refused(path)
    path.write_bytes(gzip.compress(json.dumps({"columns": ["structure"], "data": []}).encode()))
    assert "no compositions" in refused(path)


@pytest.mark.parametrize(
    ("columns", "rows", "why"),
    [
        (["composition", "y"], [1], "row 12 is no list of 2 cells"),
        (["composition", "y"], [["NaCl"]], "row 12 is no list of 2 cells"),
        (["composition", "y"], [{"a": 1, "b": 2}], "row 12 is no list of 2 cells"),
        (["composition", 2], [], "column 2 is no text"),
        ([["composition"], "composition"], [], "column ['composition'] is no text"),
        (["composition", "\ud800"], [], r"column '\ud800' is no text"),
    ],
)
def test_what_is_no_table(
    tmp_path: Path, columns: list[object], rows: list[object], why: str
) -> None:
    good = [[f"Na{n}Cl", n] for n in range(1, 12)]
    content = json.dumps({"columns": columns, "data": [*good, *rows]})
    assert f"no MatBench file ({why})" in refused(write(tmp_path, content, "data.json"))


def test_amounts_beyond_numbers_are_no_formula(tmp_path: Path) -> None:
    told = refused(write(tmp_path, table().replace("GaAs", f"Na{'9' * 400}Cl")))
    assert "line 10" in told and "too large" in told and len(told) < 300


def test_huge_cells(tmp_path: Path) -> None:
    """Beyond what csv takes by itself, where no other table has raised its limit."""
    csv.field_size_limit(131_072)
    lines = table().splitlines()
    text = "\n".join(
        ["id," + lines[0], f"{'a' * 200_000},{lines[1]}", *map("b,{}".format, lines[2:])]
    )
    assert "line 2: id too long: 200000 characters" in refused(write(tmp_path, text))


@given(st.dictionaries(st.integers(1, 118), st.integers(1, 20), min_size=1, max_size=6),
       st.integers(1, 9))  # fmt: skip
def test_multiples_of_a_composition_are_one_formula(amounts: dict[int, int], factor: int) -> None:
    numbers = list(amounts)
    backwards = numbers[::-1]
    one = reduced(numbers, [amounts[z] for z in numbers])
    assert one == reduced(backwards, [factor * amounts[z] for z in backwards])


@given(st.dictionaries(st.integers(1, 118), st.integers(1, 40), min_size=1, max_size=8))
@example({11: 9, 17: 87})  # ties, which rounding errors of shares move to either side
@example({11: 5, 17: 27})
def test_amounts_and_shares_of_a_composition_are_one_formula(amounts: dict[int, int]) -> None:
    """However the shares were worked out: their rounding errors move no tie."""
    total = sum(amounts.values())
    one = reduced(list(amounts), list(amounts.values()))
    for shares in (
        [n / total for n in amounts.values()],
        [n * 0.1 for n in amounts.values()],
        [n * (1 / total) / 3 for n in amounts.values()],
        [round(Fraction(10**4 * n, total)) / 10**4 for n in amounts.values()],  # to four digits
    ):
        assert reduced(list(amounts), shares) == one


@given(st.dictionaries(st.integers(1, 118), st.floats(1e-6, 1e3), min_size=1, max_size=30))
def test_a_reduced_formula_is_its_own(amounts: dict[int, float]) -> None:
    one = reduced(list(amounts), list(amounts.values()))
    assert reduce_formula(one) == one == reduce_formula(one.replace(" ", ""))


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("AgSO4", "O0.6666 S0.1667 Ag0.1667"),
        ("O0.6667 S0.1667 Ag0.1667", "O0.6666 S0.1667 Ag0.1667"),  # rounded one by one: sum 1.0001
        ("Na2Cl2", "Na0.5000 Cl0.5000"),
        ("Fe0.99998C0.00002", "Fe1.0000"),
        ("LiAl15", "Li0.0625 Al0.9375"),
        ("LiAl31", "Li0.0312 Al0.9688"),  # of a tie the even one
    ],
)
def test_reduced_formulas(formula: str, expected: str) -> None:
    assert reduce_formula(formula) == expected


@pytest.mark.parametrize("name", ["expt_gap", "expt_is_metal", "steels_yield"])
def test_reduced_formulas_of_real_data_are_their_own(shared_data: Path, name: str) -> None:
    formulas = read_compositions(shared_data / "matbench_composition" / f"{name}.csv").formulas
    assert [reduce_formula(one.replace(" ", "")) for one in formulas] == formulas.tolist()


@pytest.mark.parametrize(
    "formula", ["CuSO4.5H2O", "CuSO4.5(H2O)", "MgCl2.H2O", "Na2CO3.10D2O", "CuSO4 .5H2O"]
)
def test_water_after_a_dot_is_no_amount(tmp_path: Path, formula: str) -> None:
    """It would be SO4.5 and one H2O."""
    told = refused(write(tmp_path, table().replace("GaAs", formula)))
    assert "line 10" in told and "may be water" in told and "CuSO4(H2O)5" in told


def test_what_only_looks_like_water() -> None:
    assert parse_formula("Na0.5H2O") == {11: 0.5, 1: 2.0, 8: 1.0}
    assert parse_formula("Ti1.5H2O3") == {22: 1.5, 1: 2.0, 8: 3.0}
    assert parse_formula("H2OCuSO4.5") == {1: 2.0, 8: 5.5, 29: 1.0, 16: 1.0}
    assert parse_formula("CuSO4(H2O)5") == {29: 1.0, 16: 1.0, 8: 9.0, 1: 10.0}


def test_formulas_of_crystals_are_those_of_files(tmp_path: Path) -> None:
    """NaCl with two atoms of each kind in two nodes, and Fe2O3 as quotient nodes."""
    data = read_compositions(write(tmp_path, table()))
    found = dict(
        by_crystal(
            np.array([17, 8, 11, 26, 17, 11, 8]),
            np.array([1, 4, 1, 4, 1, 1, 2]),
            np.array([0, 1, 0, 1, 0, 0, 1]),
        )
    )
    assert found == {0: data.formulas[0], 1: data.formulas[1]}
    assert list(by_crystal(np.empty(0, int), np.empty(0, int), np.empty(0, int))) == []
