"""`elemgrid predict` on the workers of Ray, on a finished grid."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pandas as pd
import pytest

from orchestrator.jobs import JOBS
from tests.orchestrator.small_grids import FinishedGrid

pytestmark = pytest.mark.ray


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.predict.inputs.ROWS_PER_BLOCK", 5)


def test_workers_change_no_bit(finished: FinishedGrid, tmp_path: Path, small_blocks: None) -> None:
    """And a lost worker neither: its block is worked on again."""
    tables = {}
    for workers in ("1", "2"):
        out = tmp_path / f"{workers}.csv"
        flags = [str(finished.run), str(finished.data), "--members", "--workers", workers]
        assert JOBS["predict"].main([*flags, "--out", str(out)]) == 0
        tables[workers] = out.read_bytes()
    assert tables["1"] == tables["2"] and len(tables["1"].splitlines()) == 37


def test_a_lost_worker_costs_no_row(
    finished: FinishedGrid, tmp_path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = tmp_path / "once"
    monkeypatch.setattr("orchestrator.predict.job.rows_of", _Dying(once))
    out = tmp_path / "found.parquet"
    flags = [str(finished.run), str(finished.data), "--workers", "2", "--out", str(out)]
    assert JOBS["predict"].main(flags) == 0
    assert once.exists()
    assert len(pd.read_parquet(out)) == 36


def test_a_block_that_always_loses_its_worker_is_one_line(
    finished: FinishedGrid,
    tmp_path: Path,
    small_blocks: None,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """As one that takes more memory than there is."""
    monkeypatch.setattr("orchestrator.nodes.actors.LOST_ACTORS", 1)
    monkeypatch.setattr("orchestrator.predict.job.rows_of", _Dying(tmp_path / "no" / "place"))
    out = tmp_path / "found.csv"
    flags = [str(finished.run), str(finished.data), "--workers", "2", "--out", str(out)]
    assert JOBS["predict"].main(flags) == 2
    assert "error: a worker died 2 times at the same work" in capfd.readouterr().err
    assert not out.exists()


class _Dying:
    """Kills its process the first time that it is called; each time if it cannot note that."""

    def __init__(self, once: Path) -> None:
        self.once = once

    def __call__(self, predictor: object, block: object, **rest: object) -> object:
        if not self.once.exists():
            if self.once.parent.is_dir():
                self.once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        _, entries = block  # type: ignore[misc]
        found = predictor.predict(entries, rest["level"])  # type: ignore[attr-defined]
        return found.table(members=bool(rest["members"]))


def test_a_model_alone_predicts_its_record(finished: FinishedGrid, tmp_path: Path) -> None:
    """Of crystals that are read from their file anew."""
    told = pd.read_parquet(finished.run / "predictions.parquet")
    key = str(told["key"].iloc[0])
    out = tmp_path / "found.parquet"
    flags = [str(finished.run), str(finished.data), "--model", key, "--out", str(out)]
    assert JOBS["predict"].main(flags) == 0
    found = pd.read_parquet(out).set_index("id")["prediction"]
    own = told[told["key"] == key]
    assert abs(found[own["id"]].to_numpy() / own["prediction"].to_numpy() - 1).max() < 1e-6
