"""From runs to shipped files: what is copied, refused and filled."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from analysis import shipped
from analysis.element_table import read, to_csv
from analysis.elements import SYMBOLS
from orchestrator.element_scale import files as scale
from orchestrator.interface.errors import UsageError
from orchestrator.runs import sums
from scripts.ship_tables import by_mixing, copy_tables, write_scale
from tests.compositions_for_tests import made_up_table


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of shipped files."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setattr(shipped, "DATA", folder)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory with all tables and nothing else."""
    elements = {symbol: {"seen": symbol != "Og"} for symbol in SYMBOLS[1:]}
    for strategy in "SHL":
        for dim in (32, 64):
            for end in ("", "-plain"):
                name = f"tables/Mat2Vec-{strategy}-{dim}{end}"
                sums.write_text(tmp_path / "run", f"{name}.csv", to_csv(made_up_table(dim)))
                sums.write_json(tmp_path / "run", f"{name}.meta.json", {"elements": elements})
    return tmp_path / "run"


def test_tables_are_copied_with_their_sidecars(place: Path, run: Path) -> None:
    names = copy_tables(run)
    assert len(names) == 12 and len(list(place.iterdir())) == 24
    one = read(place / "Mat2Vec-L-64-plain.csv")
    assert one.vectors.shape == (118, 64) and one.seen.sum() == 117


@pytest.mark.parametrize("end", [".csv", ".meta.json"])
def test_a_table_that_was_changed_is_not_shipped(place: Path, run: Path, end: str) -> None:
    path = run / "tables" / f"Mat2Vec-L-64{end}"
    path.write_text(path.read_text() + "\n")
    with pytest.raises(UsageError, match="Mat2Vec-L-64"):
        copy_tables(run)
    assert not list(place.iterdir())


def test_a_run_without_a_table_is_not_shipped(place: Path, run: Path) -> None:
    sums.remove(run, "tables/Mat2Vec-L-64.csv")
    with pytest.raises(ValueError, match=r"Mat2Vec-L-64\.csv: cannot read the table"):
        copy_tables(run)
    assert not list(place.iterdir())


def test_a_scale_is_a_table_of_one_column(place: Path, tmp_path: Path) -> None:
    positions = {"Na": 1.0, "H": 2.5, "Cl": 3.0}
    sums.write_json(tmp_path / "run", scale.EXPORT, positions)
    sums.write_json(tmp_path / "run", scale.FACTS, {"lambda": 0.5, "isolated": []})
    write_scale(tmp_path / "run")
    table = read(place / "Element-Scale.csv")
    assert table.vectors.shape == (118, 1) and table.card["lambda"] == 0.5
    assert {
        s: table.vector(s)[0] for s, seen in zip(SYMBOLS[1:], table.seen, strict=True) if seen
    } == ({"H": 2.5, "Na": 1.0, "Cl": 3.0})
    filled = table.card["elements"]["K"]["filled_from"]
    mean = sum(share * positions[symbol] for symbol, share in filled.items())
    assert table.vector("K")[0] == pytest.approx(mean, abs=1e-5)
    json.dumps(table.card, allow_nan=False)


def test_errors_are_means_over_folds() -> None:
    done = pd.DataFrame(
        {"task": ["a", "a", "a"], "mixing": ["H", "H", "L"], "val_mae": [1.0, 2.00006, 3.0]}
    )
    assert by_mixing(done, "val_mae") == {"a": {"H": 1.5, "L": 3.0}}
