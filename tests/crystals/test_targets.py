"""Targets as tables write them: numbers, what is missing, decimal commas, classes in words."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.crystals.test_fuzz_sources import VALID
from tests.orchestrator.small_grids import rows, write_matbench
from trainables.crystals.crystal import BadCrystal
from trainables.crystals.parsing import parse, parse_target
from trainables.crystals.sources import Source, SourceError, open_source
from trainables.crystals.sources.cells import Cells
from trainables.crystals.targets import (
    LARGEST,
    has_decimal_commas,
    is_missing,
    is_numeric,
    read_numbers,
    read_target,
)

MISSING = ["N/A", "na", "NaN", "null", "None", "-", "", "?", "#N/A", "n.a."]


def table(path: Path, cells: list[str], delimiter: str = ",", column: str = "gap") -> Path:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["id", "cif", column])
    writer.writerows([str(row), VALID["cif"], cell] for row, cell in enumerate(cells))
    path.write_text(text.getvalue())
    return path


def folder(path: Path, cells: list[str], delimiter: str = ",") -> Path:
    path.mkdir()
    for row in range(len(cells)):
        (path / f"c{row}.cif").write_text(VALID["cif"])
    lines = [f"c{row}{delimiter}{cell}\n" for row, cell in enumerate(cells)]
    (path / "id_prop.csv").write_text("".join(lines))
    return path


def told(source: Source) -> list[float | str]:
    """Each crystal's target, or why it is bad."""
    found: list[float | str] = []
    for entry in source.entries():
        try:
            parse(entry)
            found.append(parse_target(entry))
        except BadCrystal as bad:
            found.append(str(bad))
    return found


@pytest.mark.parametrize("missing", MISSING)
def test_one_cell_without_a_number_hides_no_column(tmp_path: Path, missing: str) -> None:
    cells = [*map(str, range(39)), missing]
    for path in (table(tmp_path / "a.csv", cells), folder(tmp_path / "in", cells)):
        *numbers, last = told(open_source(path))
        assert numbers == list(range(39)) and str(last).startswith("missing target: the cell")


def test_a_word_among_many_numbers_costs_its_own_crystal(tmp_path: Path) -> None:
    source = open_source(table(tmp_path / "a.csv", [*map(str, range(20)), "see text"]))
    assert source.target_name == "gap"
    assert told(source)[-1] == "target is not a number: 'see text'"
    assert not is_numeric(["1", "2", "see text"]) and not is_numeric(MISSING)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_decimal_commas(tmp_path: Path, delimiter: str) -> None:
    cells = ["1,5", "-0,125", "3", "2,5e-3", "N/A", "12,250"]
    expected = [1.5, -0.125, 3.0, 0.0025, "missing target: the cell says 'N/A'", 12.25]
    assert told(open_source(table(tmp_path / "a.csv", cells, delimiter))) == expected
    assert told(open_source(folder(tmp_path / "in", cells, delimiter))) == expected


def test_decimal_commas_in_parquet(tmp_path: Path) -> None:
    columns = {"cif": [VALID["cif"]] * 3, "gap": ["1,5", "2", None]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    *good, missing = told(open_source(tmp_path / "a.parquet", "gap"))
    assert good == [1.5, 2.0] and missing == "missing target: the cell is empty"


def test_a_point_among_decimal_commas_costs_its_own_crystal(tmp_path: Path) -> None:
    cells = [*(f"{n},5" for n in range(20)), "1.234", "1.234,5"]
    *good, one, other = told(open_source(table(tmp_path / "a.csv", cells, ";")))
    assert good == [n + 0.5 for n in range(20)]
    assert one == "target with a point among decimal commas: '1.234'"
    assert other == "target with a point among decimal commas: '1.234,5'"


@pytest.mark.parametrize(
    ("cells", "delimiter", "words"),
    [
        (["1,500", "2,250"], ";", "'1,500' may be 1.500 or 1500; write numbers with a point"),
        (["1,500", "2,250"], ",", "'1,500' may be 1.500 or 1500"),
        (["1,5", "2,5"], ",", "'1,5' may be 1.5 or 15"),
        (["1,5", "2.5"], ";", "'1,5' stands beside '2.5'; write all numbers with a point"),
        (["1,234.5", "2,345.5"], ",", "'1,234.5' has separators of thousands"),
        (["1.234,5", "2.345,5"], ";", "'1.234,5' has separators of thousands"),
        (["1.500", "250", "-12.750", "N/A", "2.250"], ";", "'1.500' may be 1.5 or 1500, as"),
        (["1.500", "2.250", "12.750"], "\t", "'1.500' may be 1.5 or 1500, as a table"),
        (["1 234,5", "2 345,5"], ";", "'1 234,5' has separators of thousands"),
        (["1'234.5", "2'345.5"], ";", '"1\'234.5" has separators of thousands'),
    ],
)
def test_separators_of_thousands_are_refused(
    tmp_path: Path, cells: list[str], delimiter: str, words: str
) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(table(tmp_path / "a.csv", cells, delimiter))
    assert f"column 'gap': {words}" in str(caught.value)


@pytest.mark.parametrize(
    ("cells", "delimiter"),
    [
        (["1.500", "2.250", "12.750"], ","),
        (["1.500", "2.250", "12.750"], ""),
        (["1.500", "2.250", "12.750", "2.25"], ";"),
        (["1.500", "2.250", "12.750", "0.125"], ";"),
        (["1.500", "2.250", "1234.500"], "\t"),
        (["1.500", "2.250", "1.5e3"], ";"),
        (["1.500", "2.250"], ";"),
    ],
)
def test_points_of_which_one_is_decimal_are(cells: list[str], delimiter: str) -> None:
    assert not has_decimal_commas(cells, delimiter)


def test_whole_numbers_have_no_decimal_commas() -> None:
    assert not has_decimal_commas(["1", "20", "x"], ";")
    assert has_decimal_commas(["1,500", "0,5"], ";"), "the second one decides"


def test_two_words_are_classes_wherever_they_stand(tmp_path: Path) -> None:
    cells = [" metal", "Metal", "metal", "n/a"] * 60 + ["Insulator", "metal"]
    columns = {"cif": [VALID["cif"]] * len(cells), "kind": cells}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    for path, target in (
        (tmp_path / "a.parquet", "kind"),
        (table(tmp_path / "a.csv", cells, column="kind"), None),
        (table(tmp_path / "b.csv", cells, column="kind"), "kind"),
        (folder(tmp_path / "in", cells), None),
    ):
        source = open_source(path, target)
        assert source.cells == Cells(kind="binary", classes=("insulator", "metal"))
        said = [entry.target for entry in source.entries()]
        assert said[:3] == ["true"] * 3 and is_missing(said[3]) and said[-2:] == ["false", "true"]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (["a", "b", "c", "a"], "holds 3 different words, a, b, c; two classes are learned"),
        (["metal"] * 5, "holds the word metal; two classes are learned, or numbers"),
        (["[1, 2]", "[1]"], "holds lists of 1 to 2 numbers; a spectrum has one length, and a num"),
        (["[a]", "[b]"], "holds lists, but not of numbers"),
    ],
)
def test_columns_that_nothing_is_learned_of(tmp_path: Path, cells: list[str], reason: str) -> None:
    path = table(tmp_path / "a.csv", cells, column="kind")
    with pytest.raises(SourceError, match="column 'kind'") as caught:
        open_source(path, "kind")
    assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_a_word_that_comes_late_costs_its_own_crystal() -> None:
    cells = Cells(kind="binary", classes=("insulator", "metal"))
    entry = cells.entry(4, "x", "cif", "data_x", ["semimetal"], "a.csv:5")
    assert (entry.format, entry.text) == (
        "bad",
        "target is neither 'insulator' nor 'metal': 'semimetal'",
    )


def test_lists_are_spectra_and_columns_with_commas_between_are_properties(tmp_path: Path) -> None:
    lists = [[0.5, None, 2.0], [1.0, 1e-3, 3.0]]
    texts = [json.dumps(one) for one in lists]
    rest = {"cif": [VALID["cif"]] * 2, "gap": [0.5, None], "energy": ["-1,5", "2,5"]}
    pq.write_table(pa.table({**rest, "dos": lists}), tmp_path / "a.parquet")
    pd.DataFrame({**rest, "dos": texts}).to_csv(tmp_path / "b.csv", index=False, sep=";")
    for path in (tmp_path / "a.parquet", tmp_path / "b.csv"):
        source = open_source(path, "DOS")
        assert source.target_name == "dos"
        assert source.cells == Cells(kind="spectrum", shape=(3,))
        assert [json.loads(entry.target) for entry in source.entries()] == lists
        sites = open_source(path, "dos@site")
        assert (sites.target_name, sites.cells) == ("dos@site", Cells(kind="site"))
        assert sites.digest() != source.digest()
        both = open_source(path, "Gap, energy")
        assert both.target_name == "gap,energy"
        assert both.cells == Cells(kind="properties", shape=(2,), commas=(False, True))
        found = [read_numbers(entry.target) for entry in both.entries()]
        np.testing.assert_array_equal(found, [[0.5, -1.5], [np.nan, 2.5]])


def test_a_list_in_a_matbench_file(tmp_path: Path) -> None:
    path = write_matbench(tmp_path / "m.json.gz", [(one, [1.5, None]) for one, _ in rows(3)])
    source = open_source(path)
    assert source.cells == Cells(kind="spectrum", shape=(2,))
    assert [entry.target for entry in source.entries()] == ["[1.5, null]"] * 3
    path = write_matbench(tmp_path / "w.json.gz", [(rows(1)[0][0], w) for w in ("no", "yes")])
    assert [entry.target for entry in open_source(path).entries()] == ["false", "true"]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("gap,enrgy", "no column 'enrgy' (did you mean 'energy'?)"),
        ("gap,gap", "gap,gap: names 'gap' twice"),
        ("gap,energy@site", "@site is for one column; leave the others out"),
        ("gap,kind", "column 'kind' holds words (a, b) and no numbers; several columns are num"),
        ("gap,dos", "column 'dos' holds lists; several columns are numbers each"),
    ],
)
def test_several_columns_that_do_not_fit(tmp_path: Path, target: str, reason: str) -> None:
    table = {"cif": [VALID["cif"]] * 2, "gap": [0.5, 1.5], "energy": [1.0, 2.0], "kind": ["a", "b"]}
    table["dos"] = ["[1, 2]", "[3, 4]"]
    pd.DataFrame(table).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(SourceError) as caught:
        open_source(tmp_path / "a.csv", target)
    assert reason in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [1e307, -1e307, 3e38, 1.1 * LARGEST])
def test_a_target_that_would_overflow_costs_its_own_crystal(tmp_path: Path, value: float) -> None:
    (tmp_path / "a.json").write_text(
        json.dumps({"index": [0], "columns": ["structure", "y"], "data": [[{}, value]]})
    )
    pq.write_table(pa.table({"cif": [VALID["cif"]], "y": [value]}), tmp_path / "a.parquet")
    for path in (
        table(tmp_path / "a.csv", [repr(value)]),
        folder(tmp_path / "in", [repr(value)]),
        tmp_path / "a.json",
        tmp_path / "a.parquet",
    ):
        (entry,) = open_source(path).entries()
        with pytest.raises(BadCrystal, match=r"target too large.*another unit"):
            parse_target(entry)


def test_the_largest_target_overflows_in_nothing() -> None:
    assert read_target("1e30") == -read_target("-1e30") == LARGEST
    assert math.isfinite(LARGEST**2 * 1e9), "the variance of a billion"
    assert LARGEST < 3.4e38, "single precision"


def test_a_target_that_nobody_wants_is_nan() -> None:
    assert math.isnan(read_target(None))


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "__index_level_0__"])
def test_the_index_of_pandas_is_no_target(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([[name, "cif", "gap"], ["0", VALID["cif"], "1.5"]])
    columns = {name or "Unnamed: 0": [0], "cif": [VALID["cif"]], "gap": [1.5]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    for source in (open_source(path), open_source(tmp_path / "a.parquet")):
        assert source.target_name == "gap"
        assert told(source) == [1.5]
