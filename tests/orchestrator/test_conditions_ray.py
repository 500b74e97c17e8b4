"""The main job under conditions, on data that are streamed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator.interface.job import OK
from orchestrator.runs import layout
from tests.orchestrator.small_grids import grid, rows, times, write_matbench

pytestmark = pytest.mark.usefixtures("ray_cluster")
HELD = "O"


def test_each_condition_has_its_models_and_none_is_trained_twice(tmp_path: Path) -> None:
    crystals = rows(40)
    data = write_matbench(tmp_path / "salts.json.gz", crystals)
    run = tmp_path / "run"
    has = [
        HELD in {one["species"][0]["element"] for one in structure["sites"]}
        for structure, _ in crystals
    ]
    flags = [
        *("--tasks", str(data), "--run", str(run), "--dims", "4", "--mixing", "H"),
        *("--folds", "0", "--epochs", "2", "--backbones", "cgcnn"),
        *("--leave-out", "none", HELD, "--shots", "0", "2", "--memory-per-worker", "1e-5"),
    ]
    assert grid(*flags).code == OK
    ledger = pd.read_parquet(run / layout.LEDGER).set_index("condition")
    number = _training_crystals(run, ledger.loc["", "key"], has)
    assert ledger["n_train"].to_dict() == {
        "": 24, "without O": 24 - number, "without O, shots 2": 26 - number
    }  # fmt: skip
    tested = pd.read_parquet(run / layout.PREDICTIONS)
    for condition, key in ledger["key"].items():
        own = tested[(tested["key"] == key) & (tested["part"] == "test")]["id"].astype(int)
        assert len(own) and (not condition.startswith("without") or np.array(has)[own].all())
    assert "Elements held out</h2>" in (run / layout.REPORT).read_text()
    before = times(run / layout.RECORDS)
    assert grid(*flags).code == OK
    assert times(run / layout.RECORDS) == before


def _training_crystals(run: Path, key: str, has: list[bool]) -> int:
    """Training crystals of the whole fold that have the element."""
    tested = pd.read_parquet(run / layout.PREDICTIONS)
    others = set(tested.loc[tested["key"] == key, "id"].astype(int))
    return sum(one for row, one in enumerate(has) if row not in others)
