"""The same grid on Ray and in processes of this machine, to the bit."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
from safetensors.numpy import load as decode_arrays

from orchestrator.predict.inputs import ROWS_PER_BLOCK
from tests.installations import environment
from tests.orchestrator.small_grids import FinishedGrid
from tests.orchestrator.test_without_ray import recorded, said


def arrays_of(run: Path) -> dict[str, str]:
    """Key -> SHA-256 of weights, predictions and all other arrays of each recorded model.

    The files differ in the time that the training took, which they have beside the arrays.
    """
    found = {}
    for key, content in recorded(run).items():
        digest = hashlib.sha256()
        for name, array in sorted(decode_arrays(content).items()):
            digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
        found[key] = digest.hexdigest()
    return found


def test_no_bit_depends_on_where_it_was_trained(finished: FinishedGrid, tmp_path: Path) -> None:
    """Records, the ledger's values, distances and tables."""
    python = environment(tmp_path / "env")
    run = tmp_path / "run"
    done = said(python, "hybrid_grid", *finished.flags(run))
    assert done.returncode == 0, done.stderr
    assert "this machine: " in done.stdout and "Ray" not in done.stdout
    theirs = arrays_of(finished.run)
    assert arrays_of(run) == theirs and len(theirs) == 12
    ledgers = [pd.read_parquet(folder / "ledger.parquet") for folder in (finished.run, run)]
    ours = [ledger.drop(columns=["seconds", "versions"]) for ledger in ledgers]
    pd.testing.assert_frame_equal(*ours, check_exact=True)
    assert "ray" in ledgers[0]["versions"][0] and "ray" not in ledgers[1]["versions"][0]
    for table in sorted((finished.run / "tables").glob("*.csv")):
        assert (run / "tables" / table.name).read_bytes() == table.read_bytes()


def test_nor_on_what_is_streamed(finished: FinishedGrid, tmp_path: Path) -> None:
    """Windows of shards are read by the training itself."""
    python = environment(tmp_path / "env")
    run = tmp_path / "run"
    flags = [*finished.flags(run, dims="4"), "--memory-per-worker", "1e-6"]
    done = said(python, "hybrid_grid", *flags)
    assert done.returncode == 0, done.stderr
    assert "streamed from its shards" in done.stdout
    found = arrays_of(run)
    assert len(found) == 6 and found.items() <= arrays_of(finished.run).items()


def test_nor_on_where_it_is_predicted(finished: FinishedGrid, tmp_path: Path) -> None:
    """By as many processes as asked, as there are by Ray's actors."""
    python, found = environment(tmp_path / "env"), []
    for workers in ("1", "2"):
        out = tmp_path / f"{workers}.csv"
        flags = [str(finished.run), str(finished.data), "--workers", workers, "--out", str(out)]
        done = said(python, "predict", *flags)
        assert done.returncode == 0, done.stderr
        found.append(out.read_bytes())
    assert found[0] == found[1] and len(found[0].splitlines()) <= ROWS_PER_BLOCK
