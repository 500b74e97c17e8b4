"""How the models of a job ended, in a few lines. No Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from orchestrator.grid.arrays import GridArray
from orchestrator.interface.job import OK, SOME_FAILED
from orchestrator.training.recorded import summarise
from orchestrator.transfer.entries import TransferArray


def done(seconds: float, **changes: Any) -> dict[str, Any]:
    """What a record says of a model that is done."""
    computed = {"device": "cpu (x86_64, AVX2)", "kernels": "0123456789ab", "threads": 1}
    return {"status": "done", "seconds": seconds, "error": "", **computed, **changes}


def test_models_that_were_not_computed_alike_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [*([done(1.0)] * 3), done(1.0, kernels="none", threads=2), done(1.0, threads=2)]
    assert summarise(pd.DataFrame(rows), GridArray.member, tmp_path / "ledger.parquet") == OK
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "not all models were computed alike, so they may differ in rounding:"
        " 3 models on cpu (x86_64, AVX2) with fused kernels 0123456789ab and 1 thread;"
        " 1 model on cpu (x86_64, AVX2) without fused kernels and 2 threads;"
        " 1 model on cpu (x86_64, AVX2) with fused kernels 0123456789ab and 2 threads"
    )
    lost = done(0.0) | {"status": "failed", "device": None, "kernels": None, "threads": None}
    lost |= {"mixing": "H", "array": "salts/fold0"}
    summarise(pd.DataFrame([done(1.0), lost]), GridArray.member, tmp_path / "ledger.parquet")
    assert "alike" not in capsys.readouterr().err, "nothing was computed of a model that is lost"


def test_the_summary_of_many_failures_is_short(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ledger.parquet"
    rows = [
        {"status": "failed", "array": f"salts/fold{n}", "mixing": mixing, "error": "x\nBug: why",
         "seconds": None, "device": None, "kernels": None, "threads": None}
        for n in range(30)
        for mixing in ("H", "L")
    ]  # fmt: skip
    ledger = pd.DataFrame([*rows, done(61.0)])
    assert summarise(ledger, GridArray.member, path) == SOME_FAILED
    out, err = capsys.readouterr()
    assert out == f"1 model done, 1 min 01 s of training by the workers: {tmp_path}\n"
    lines = err.splitlines()
    assert lines[0] == "  failed: salts/fold0 H, L: Bug: why"
    assert lines[20] == f"  … and 10 arrays more; all are in {path}"
    assert lines[21] == "60 of 61 models are not done; --retry-failed trains the failed ones again"
    assert len(lines) == 22
    diverged = ledger.replace({"status": {"failed": "diverged"}})
    assert summarise(diverged, GridArray.member, path) == SOME_FAILED
    assert "--retry-failed" not in capsys.readouterr().err
    assert summarise(ledger[ledger["status"] == "done"], GridArray.member, path) == OK


def test_a_comparison_is_summed_up_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    computed = {"device": "cpu", "kernels": "none", "threads": 1}
    rows = [
        {"status": "diverged", "array": "salts/fold0/seed0/one", "table": table, "fold": 0,
         **computed, "error": "the loss became NaN or infinite", "seconds": 1.0}
        for table in ("one", "two")
    ]  # fmt: skip
    path = tmp_path / "transfer_ledger.parquet"
    assert summarise(pd.DataFrame(rows), TransferArray.member, path) == SOME_FAILED
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("  diverged: salts/fold0/seed0/one one fold 0, two fold 0: the loss")
    assert last.endswith("another seed may mend it"), "to train them again mends nothing"
