"""A grid with inner folds, from crystals to report."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.orchestrator.small_grids import CRYSTALS, grid, rows, write_matbench

pytestmark = pytest.mark.usefixtures("ray_cluster")


def test_each_crystal_is_predicted_by_the_model_that_held_it_back(tmp_path: Path) -> None:
    data = write_matbench(tmp_path / "tiny.json.gz", rows(CRYSTALS))
    flags = [
        *("--tasks", str(data), "--run", str(tmp_path / "run"), "--dims", "4", "--mixing", "H"),
        *("--backbones", "megnet", "--folds", "0", "--epochs", "2", "--inner-folds", "3"),
    ]
    said = grid(*flags)
    assert said.code == 0, said.err
    assert "3 models" in said.out and "(megnet d4 H inner " in said.err
    ledger = pd.read_parquet(tmp_path / "run" / "ledger.parquet")
    assert ledger["inner_fold"].tolist() == [0, 1, 2] and set(ledger["array"]) == {
        "tiny/fold0/megnet/d4"
    }
    predicted = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    parts = dict(list(predicted.groupby("part")))
    held, tested = parts["validation"]["id"], parts["test"]["id"]
    assert held.is_unique and len(held) + tested.nunique() == CRYSTALS
    assert set(tested.value_counts()) == {3} and not set(held) & set(tested)
    assert (tmp_path / "run" / "report.html").is_file()
    assert "3 models, 3 recorded before" in grid(*flags).out
