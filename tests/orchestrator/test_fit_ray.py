"""`elemgrid fit`, from crystals to predictions of others."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from orchestrator.fit.design import Design
from orchestrator.jobs import JOBS
from tests.orchestrator.small_grids import rows, write_matbench

pytestmark = pytest.mark.ray


def test_a_fit_ends_with_a_page_and_a_command(
    ray_cluster: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Cut to designs of seconds; the same command again trains nothing."""
    monkeypatch.setattr("orchestrator.fit.design.FIRST", ((2, 2),))
    monkeypatch.setattr("orchestrator.fit.design.SEEDS", 1)
    monkeypatch.setattr(Design, "larger", _with_residual)
    data, run = write_matbench(tmp_path / "mine.json.gz", rows(60)), tmp_path / "run"
    flags = [str(data), "--run", str(run), "--minutes", "5", "--folds", "0"]
    assert JOBS["fit"].main(flags) == 0
    first = json.loads((run / "fit.json").read_text())
    assert first["models"] == 4 and first["design"] == "cogn, H and residual, 2 parts, 2 epochs"
    assert {one["crystals"] for one in first["curve"]} == {6.0, 12.0, 24.0}
    assert "Your model" in (run / "report.html").read_text()
    out = capsys.readouterr().out
    assert f"elemgrid predict {run} STRUCTURES" in out and "twice the data would give" in out
    assert "wide on average" in out and "nan" not in out
    assert out.count("report.html") == 1 and "Mat2Vec" not in out
    records = {path.name: path.stat().st_mtime_ns for path in (run / "records").iterdir()}
    assert JOBS["fit"].main(flags) == 0
    assert {path.name: path.stat().st_mtime_ns for path in (run / "records").iterdir()} == records
    again = json.loads((run / "fit.json").read_text())
    assert again["error"] == first["error"] and again["curve"] == first["curve"]
    new = write_matbench(tmp_path / "new.json.gz", rows(10, start=60))
    assert JOBS["predict"].main([str(run), str(new), "--out", str(tmp_path / "new.csv")]) == 0
    assert pd.read_csv(tmp_path / "new.csv")["prediction"].notna().all()


def _with_residual(design: Design):  # type: ignore[no-untyped-def]
    if len(design.mixing) == 1:
        yield Design(mixing=("H", "residual"), inner_folds=2, epochs=2)
