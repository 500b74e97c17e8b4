"""Formulas that no model may learn from: written, read back, withheld."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.element_table import to_csv
from analysis.elements import SYMBOLS
from orchestrator.data.formula_list import digest_of, read_formulas
from orchestrator.data.withheld import withheld_by
from orchestrator.interface.errors import UsageError
from orchestrator.jobs import JOBS
from orchestrator.transfer.tables import load_tables
from tests.compositions_for_tests import made_up_table
from trainables.compositions.reading import read_compositions


def test_formulas_of_folds_are_written_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["formula,gap", *[f"Na{n}Cl,{n * n}" for n in range(1, 13)]]))
    folder = tmp_path / "formulas"
    assert JOBS["transfer"].main(["--tasks", str(path), "--write-formulas", str(folder)]) == 0
    found = [read_formulas(folder / f"mine-fold{fold}.txt") for fold in range(5)]
    assert sum(map(len, found)) == 12 and len(frozenset().union(*found)) == 12
    plain = tmp_path / "plain.txt"
    plain.write_text("NaCl\n\n  Na2Cl2 \nFe2O3\n")
    assert len(read_formulas(plain)) == 2
    assert digest_of(read_formulas(plain)) == digest_of(["O0.6000 Fe0.4000", "Na0.5000 Cl0.5000"])


def test_a_list_in_capitals_is_refused(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("UO2\n\nCUO\nSIC\nPBS\n")
    with pytest.raises(UsageError, match=r"list.txt, line 3: 'CUO' .*may be CuO; write that, or"):
        read_formulas(listed)
    listed.write_text("UO2\nFe2O3\nCO\nCO2\nHF\n")
    assert len(read_formulas(listed)) == 5


def written(tmp_path: Path, data: str) -> list[frozenset[str]]:
    """The formulas of each test fold, as a grid reads them from `transfer`'s files."""
    folder = tmp_path / "formulas"
    assert JOBS["transfer"].main(["--tasks", f"mine={data}", "--write-formulas", str(folder)]) == 0
    return [read_formulas(folder / f"mine-fold{fold}.txt") for fold in range(5)]


AMOUNTS = st.dictionaries(st.sampled_from(SYMBOLS[1:]), st.integers(1, 30), min_size=1, max_size=6)


@given(st.lists(AMOUNTS, min_size=10, max_size=20))
@settings(max_examples=15)
def test_formulas_survive_their_file(listed: list[dict[str, int]]) -> None:
    """As a set, for any formulas: otherwise a grid learns from withheld ones."""
    names = ["".join(f"{z}{n}" for z, n in one.items()) for one in listed]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = [f"{formula},{row}" for row, formula in enumerate(names)]
        (folder / "data.csv").write_text("\n".join(["formula,target", *lines]))
        data = read_compositions(folder / "data.csv")
        for fold, found in enumerate(written(folder, str(folder / "data.csv"))):
            assert found == frozenset(data.formulas[data.test_rows(fold)])


@pytest.mark.parametrize("name", ["expt_gap", "steels_yield"])
def test_real_formulas_survive_their_file(tmp_path: Path, shared_data: Path, name: str) -> None:
    path = shared_data / "matbench_composition" / f"{name}.csv"
    data = read_compositions(path)
    for fold, found in enumerate(written(tmp_path, str(path))):
        assert found == frozenset(data.formulas[data.test_rows(fold)])


def test_what_a_run_withheld_is_what_its_manifest_says(tmp_path: Path) -> None:
    formulas = frozenset(["Na0.5000 Cl0.5000", "Mg0.5000 O0.5000"])

    def manifest(without: str | None) -> None:
        config = {} if without is None else {"without": without}
        (tmp_path / "manifest.json").write_text(json.dumps({"config": config}))

    (tmp_path / "without.txt").write_text("\n".join(sorted(formulas)) + "\n")
    manifest(digest_of(formulas))
    assert withheld_by(tmp_path) == formulas
    manifest(None)  # as after --extend without the flag: its models learn from all
    assert withheld_by(tmp_path) == frozenset()
    plain = hashlib.sha256("\n".join(sorted(formulas)).encode()).hexdigest()[:16]
    for other in (digest_of(["Na0.5000 Cl0.5000"]), plain):  # plain: before formulas were their own
        manifest(other)
        with pytest.raises(UsageError, match=r"without\.txt: not the formulas") as caught:
            withheld_by(tmp_path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"), [("NaCl\nXx2\n", "line 2: 'Xx2' is no formula"), ("\n", "holds no formula")]
)
def test_what_is_no_list_of_formulas(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(UsageError, match=why) as caught:
        read_formulas(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="cannot be read"):
        read_formulas(tmp_path / "nowhere.txt")


def test_a_table_for_each_fold(tmp_path: Path) -> None:
    for fold in (0, 2):
        path = tmp_path / f"without{fold}.csv"
        path.write_text(to_csv(made_up_table(4, seed=fold)))
    (table,) = load_tables(
        [f"own={tmp_path}/without{{fold}}.csv"], (0,), controls=False, folds=(0, 2)
    )
    assert table.name == "own"
    assert table.of(0).digest == table.digest != table.of(2).digest
    before = table.digests
    (tmp_path / "without2.csv").write_text(to_csv(made_up_table(4, seed=9)))
    (changed,) = load_tables(
        [f"own={tmp_path}/without{{fold}}.csv"], (0,), controls=False, folds=(0, 2)
    )
    assert changed.digest == table.digest and changed.digests != before, "of the second fold"
    assert {table.of(fold).name for fold in (0, 2)} == {"own"}
    with pytest.raises(UsageError, match="no such file"):
        load_tables([f"{tmp_path}/without{{fold}}.csv"], (0,), controls=False, folds=(0, 1))
