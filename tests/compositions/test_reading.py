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

from trainables.compositions.formulas import by_crystal, parse_formula, reduce_formula, reduced
from trainables.compositions.reading import read_compositions
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
        read_compositions(path, target, name, max_bad=0)
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
    assert not read_compositions(write(tmp_path, table([1.0, 2.0, 3.0] * 3 + [1.0]))).classes
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
    [
        ("Qq2O", "Qq is no element"),
        ("", "it is empty"),
        ("Na(Cl", "no formula"),
        ("H999999999999", "1e+12 of H is too large; 1000000 at most: is it a typo?"),
        ("C1e5", "an amount with a power of ten; write the number out"),
        ("Na0.0000001Cl", "Na has a share of 1e-07, and 1e-06 is the least: is it a typo?"),
    ],
)
def test_a_wrong_formula_is_named_with_its_row(tmp_path: Path, formula: str, why: str) -> None:
    text = table().replace("GaAs", formula)
    told = refused(write(tmp_path, text))
    assert "1 of 10 rows are bad: row 9: bad formula" in told and why in told


def test_parts_per_million_are_read() -> None:
    assert parse_formula("Fe999999C") == {26: 999999.0, 6: 1.0}


def test_what_cannot_be_read(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "nowhere.csv")
    assert "no column formula, composition, " in refused(write(tmp_path, "a,b\n1,2\n"))
    assert "row 3: missing target: the cell says 'nan'" in refused(
        write(tmp_path, table([0, 1, "nan", *range(7)]))
    )
    assert "row 2: broken row: 3 cells, but 2 columns" in refused(
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
    assert "row 9" in told and "too large" in told and len(told) < 300


def test_huge_cells(tmp_path: Path) -> None:
    """Beyond what csv takes by itself, where no other table has raised its limit."""
    csv.field_size_limit(131_072)
    lines = table().splitlines()
    text = "\n".join(
        ["id," + lines[0], f"{'a' * 200_000},{lines[1]}", *map("b,{}".format, lines[2:])]
    )
    assert "row 1: id too long: 200000 characters" in refused(write(tmp_path, text))


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
    ("formula", "water", "amount"),
    [
        ("CuSO4.5H2O", "CuSO4(H2O)5", "H2OCuSO4.5"),
        ("CuSO4.5(H2O)", "CuSO4(H2O)5", "H2OCuSO4.5"),
        ("MgCl2.H2O", "MgCl2(H2O)", "H2OMgCl2.0"),
        ("Na2CO3.10D2O", "Na2CO3(D2O)10", "D2ONa2CO3.10"),
        ("MgCl2.6NH3", "MgCl2(NH3)6", "NH3MgCl2.6"),
    ],
)
def test_water_after_a_dot_is_no_amount(formula: str, water: str, amount: str) -> None:
    """pymatgen reads SO4.5 and one H2O."""
    with pytest.raises(ValueError, match="may be water or an amount") as caught:
        parse_formula(formula)
    assert f"write {water} for the one, {amount} for the other" in str(caught.value)
    assert parse_formula(water) and parse_formula(amount)


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


# ------------------------------------------------------------------------------ the quarantine


def with_bad(tmp_path: Path, bad: list[str], good: int = 400) -> Path:
    """Formulas of which some are bad: in rows 3, 6, 9 …."""
    rows = [f"Fe{n}Si{n + 1},{n / 7}" for n in range(1, good + 1)]
    for place, row in enumerate(bad, 1):
        rows.insert(3 * place - 1, row)
    return write(tmp_path, "\n".join(["formula,gap", *rows]) + "\n")


def test_bad_rows_are_quarantined_and_the_others_read(tmp_path: Path) -> None:
    path = with_bad(tmp_path, ["CuSO4·5H2O,1", "LiF,", "Fe₂O₃,2", "KCl,1e99"])
    data = read_compositions(path)
    assert len(data) == 400 and not data.classes
    assert [(row["file"], row["row"]) for row in data.quarantine] == [
        ("data.csv", 3), ("data.csv", 6), ("data.csv", 9), ("data.csv", 12),
    ]  # fmt: skip
    reasons = [str(row["reason"]) for row in data.quarantine]
    assert "write CuSO4(H2O)5" in reasons[0] and reasons[1].startswith("missing target")
    assert "write Fe2O3" in reasons[2] and reasons[3].startswith("target too large")
    assert data.rows.tolist() == [row for row in range(404) if row not in (2, 5, 8, 11)]
    assert data.ids[2] == "data-004", "of its place in the file"
    assert np.allclose(data.target, np.arange(1, 401) / 7)


def test_too_many_bad_rows_are_refused_all_together(tmp_path: Path) -> None:
    path = with_bad(tmp_path, [f"Fe{n}\u2082O,1" for n in range(10, 70)])
    told = refused(path)
    assert "60 of 460 rows are bad: row 3: bad formula: 'Fe10₂O'" in told
    assert told.count("bad formula") == 20 and "; and 40 more; that is more than 0 %" in told
    assert "--max-bad" in told
    assert len(read_compositions(path, max_bad=0.2)) == 400


def test_a_task_of_matbench_has_no_bad_row(tmp_path: Path) -> None:
    """Its folds are those of all of its rows."""
    rows = [f"Fe{n}C,{n}" for n in range(1, 312)]
    path = write(tmp_path, "\n".join(["formula,target", *rows, "NaN,1"]), "steels.csv")
    told = refused(path)
    assert "1 of 312 rows are bad: row 312" in told and "matbench_steels has no such row" in told
    assert len(read_compositions(path, name="mine", max_bad=0.1)) == 311


def test_ids_that_recur_are_bad_rows_and_empty_ones_are_by_row(tmp_path: Path) -> None:
    lines = [f"x{n},Fe{n}Si,{n}" for n in range(1, 30)]
    path = write(tmp_path, "\n".join(["ID,formula,gap", "x3,KCl,1", *lines, ",LiF,2"]))
    data = read_compositions(path, max_bad=0.1)
    assert [row["reason"] for row in data.quarantine] == ["duplicate id: first seen in row 1"]
    assert data.ids[0] == "x3" and data.ids[-1] == f"{data.name}-31"


# -------------------------------------------------------------------------- columns and classes


@pytest.mark.parametrize(
    "name",
    ["Formula", "FORMULA", "pretty_formula", "Pretty Formula", "formula_pretty", "Composition",
     "reduced_formula", "Reduced-Formula"],
)  # fmt: skip
def test_columns_of_formulas_by_their_usual_names(tmp_path: Path, name: str) -> None:
    data = read_compositions(write(tmp_path, table(header=f"{name},gap")))
    assert len(data) == 10 and data.target[3] == 3


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("metal", "insulator"), ("insulator", "metal")),
        (("Yes", "no"), ("no", "yes")),
        ((" stable", "Unstable "), ("stable", "unstable")),
        (("True ", "FALSE"), ("0", "1")),
        ((1, 0), ("0", "1")),
        ((3.5, -1), ("-1", "3.5")),
    ],
)
def test_two_words_are_classes_of_which_the_later_is_1(
    tmp_path: Path, words: tuple[object, object], names: tuple[str, str]
) -> None:
    data = read_compositions(write(tmp_path, table([words[0], words[1]] * 5)))
    assert data.classes and data.class_names == names
    one = float(str(words[0]).strip().lower() in (names[1], "true"))
    assert data.target.tolist() == [one, 1 - one] * 5


@pytest.mark.parametrize("header", ["formula,target", "formula,kind"])
def test_a_missing_class_is_a_bad_row(tmp_path: Path, header: str) -> None:
    text = table(["metal", "insulator"] * 5, header) + "KCl,N/A\nKBr,\n"
    data = read_compositions(write(tmp_path, text), max_bad=0.5)
    assert data.class_names == ("insulator", "metal") and len(data) == 10
    assert all("missing target" in str(row["reason"]) for row in data.quarantine)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["a", "b", "c", "a", "b"] * 2, "3 kinds of words (a, b, c); two classes are learned"),
        ([0, 1, 2, 0, 1] * 2, "only the values 0, 1, 2, like names of 3 classes"),
        ([1, 2, 3, 1] * 2 + [1, 1], "write them as 1.0"),
    ],
)
def test_three_classes_are_refused(tmp_path: Path, values: list[object], words: str) -> None:
    assert words in refused(write(tmp_path, table(values)))


@pytest.mark.parametrize("values", [[0, 2, 4, 0, 2] * 2, [0.0, 1.0, 2.0, 0.0, 1.0] * 2, range(10)])
def test_few_amounts_are_no_classes(tmp_path: Path, values: list[float]) -> None:
    assert not read_compositions(write(tmp_path, table(values))).classes


def test_decimal_commas_between_semicolons(tmp_path: Path) -> None:
    lines = [f"{formula};{n},5" for n, formula in enumerate(FORMULAS)]
    data = read_compositions(write(tmp_path, "\n".join(["formula;gap", *lines])))
    assert data.target.tolist() == [n + 0.5 for n in range(10)]


def test_one_odd_cell_hides_no_column_of_numbers(tmp_path: Path) -> None:
    rows = [f"Fe{n}Si,{n / 3}" for n in range(1, 40)]
    path = write(tmp_path, "\n".join(["formula,gap", *rows, "KCl,N/A"]))
    assert len(read_compositions(path, max_bad=0.05)) == 39


CAPITALS = ("CUO", "SIC", "BN", "PBS", "COO", "NIO", "SNO2", "CUS", "INN", "BCO3", "HFC", "SIO2")
GASES = ("KCN", "NO", "HF", "UO2", "CO2", "COS", "CS2", "CO", "H2O", "CH4", "HFC")


def formulas(folder: Path, *names: str) -> Path:
    rows = "".join(f"{name},{place}.5\n" for place, name in enumerate(names))
    return write(folder, f"formula,gap\n{rows}")


def test_formulas_in_capitals_are_quarantined(tmp_path: Path) -> None:
    said = refused(formulas(tmp_path, *CAPITALS))
    assert "11 of 12 rows are bad" in said and "BN" not in said
    assert "'BCO3' in capitals, as all are, may be BCo3;" in said
    one_slip = [*CAPITALS[:2], *["UO2"] * 20, "PBS", "Fe2O3"]
    data = read_compositions(formulas(tmp_path, *one_slip), max_bad=0.5)
    assert len(data) == 21 and len(data.quarantine) == 3


@pytest.mark.parametrize(
    "names",
    [
        (*GASES, "NaCl"),
        (*FORMULAS, "COO", "BCO3", "HFC", "BN"),
        ("CO2", "HF", *["CH4", "H2O", "N2", "C2H6", "NH3", "NO2", "HCN", "H2"] * 2),
        ("C1U1O1", "S1I1C1", "P1B1S1", "C1O1", "N1I1O1") * 2,
    ],
)
def test_formulas_of_single_letters_are_read(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert len(read_compositions(formulas(tmp_path, *names), max_bad=0)) == len(names)


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_the_index_of_pandas_is_no_target(tmp_path: Path, name: str) -> None:
    rows = "".join(f"{row},{formula},{row}.5\n" for row, formula in enumerate(FORMULAS))
    path = write(tmp_path, f"{name},formula,gap\n{rows}")
    assert read_compositions(path).target.tolist() == [row + 0.5 for row in range(10)]
    if name:
        assert read_compositions(path, name).target.tolist() == list(range(10)), (
            "unless it is named"
        )


def test_points_that_may_part_thousands_are_refused(tmp_path: Path) -> None:
    rows = "".join(f"{formula};{row + 1}.250\n" for row, formula in enumerate(FORMULAS))
    said = refused(write(tmp_path, f"formula;gap\n{rows}"))
    assert "column 'gap': '1.250' may be 1.25 or 1250" in said and "parted by semicolons" in said
    assert len(read_compositions(write(tmp_path, f"formula,gap\n{rows.replace(';', ',')}"))) == 10
