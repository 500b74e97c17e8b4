"""A grid in which most models fail: what is recorded and said of them, and what is not."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.orchestrator.small_grids import Said, grid, rows, times, write_matbench
from trainables.crystals.split import split_fold

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture(scope="module")
def half_failed(
    ray_cluster: object, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[str], Path, Said]:
    """A grid's flags, run and last words: CGCNN wider than any memory, and an infinite loss.

    One data set has targets so small that those of its validation part are infinite beside them.
    """
    folder, data = tmp_path_factory.mktemp("half"), rows(30)
    good = write_matbench(folder / "good.json.gz", data)
    validated = set(split_fold(np.arange(30), 30, fold=0, seed=0).validation)
    targets = [1e30 if row in validated else 1e-30 * target for row, (_, target) in enumerate(data)]
    huge = write_matbench(
        folder / "huge.json.gz", [(s, t) for (s, _), t in zip(data, targets, strict=True)]
    )
    flags = [
        *("--tasks", str(good), str(huge), "--dims", "4", "--mixing", "H", "L", "--folds", "0"),
        *("--epochs", "2", "--conv-width", "10000000000000", "--run", str(folder / "run")),
    ]
    return flags, folder / "run", grid(*flags)


def test_models_that_fail_are_recorded_and_the_rest_goes_on(
    half_failed: tuple[list[str], Path, Said],
) -> None:
    """CGCNN wider than any memory, and errors of validation that are infinite."""
    flags, run, said = half_failed
    assert said.code == 1
    ledger = pd.read_parquet(run / "ledger.parquet").set_index(["task", "backbone", "mixing"])
    assert len(ledger) == 8
    assert set(ledger.loc[("good", "megnet"), "status"]) == {"done"}
    assert set(ledger.loc[("huge", "megnet"), "status"]) == {"diverged"}
    failed = ledger[ledger["status"] == "failed"]
    assert set(failed.index.get_level_values("backbone")) == {"cgcnn"} and len(failed) == 4
    assert failed["error"].str.contains("Traceback").all()
    assert failed["error"].str.contains("memory").all()
    assert failed["val_mae"].isna().all()

    lines = said.err.splitlines()
    assert lines[-1].startswith("6 of 8 models are not done; --retry-failed")
    for task, backbone, status, words in (
        ("good", "cgcnn", "failed", "memory"),
        ("huge", "cgcnn", "failed", "memory"),
        ("huge", "megnet", "diverged", "NaN"),
    ):
        array = f"{task}/fold0/{backbone}/d4"
        for mixing in "HL":  # at once
            (line,) = [line for line in lines if line.startswith(f"{array} {mixing}: {status}: ")]
            assert words in line
        (line,) = [line for line in lines if line.startswith(f"  {status}: {array} H, L: ")]
        assert words in line  # and at the end
    assert "Traceback" not in said.err
    report = (run / "report.html").read_text()
    assert "6 models are not done" in report and ">Not done</h2>" in report
    assert "huge/fold0/megnet/d4" in report
    assert json.loads((run / "tables" / "Mat2Vec-S-32.meta.json").read_text())["models"] == 1

    before = times(run / "records")
    again = grid(*flags)
    assert again.code == 1 and "8 recorded before" in again.out
    assert times(run / "records") == before, "a failed model is not tried again unasked"
    retried = grid(*flags, "--retry-failed")
    assert retried.code == 1 and "4 recorded before" in retried.out
    now = times(run / "records")
    changed = {name.partition(".")[0] for name in now if now[name] != before.get(name)} - {""}
    assert changed == set(failed["key"])


# A canary: the token that guards the cluster is in nothing that a job writes or says.


def contents(path: Path) -> Iterator[bytes]:
    """A file as it lies there, and what its compression may hide."""
    content = path.read_bytes()
    yield content
    if content.startswith(b"\x1f\x8b"):
        yield gzip.decompress(content)
    if content.startswith(b"PAR1"):
        table = pq.read_table(path)
        yield f"{table.schema.metadata} {table.to_pydict()}".encode()


def files_with(secret: str, folder: Path) -> list[str]:
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(secret.encode() in content for content in contents(path))
    ]


def test_the_token_is_nowhere_in_a_run(
    half_failed: tuple[list[str], Path, Said], tmp_path: Path
) -> None:
    """Of a grid in which half of the models fail, since records of failures quote tracebacks."""
    token = os.environ["RAY_AUTH_TOKEN"]
    _, run, said = half_failed
    assert said.code == 1
    assert len(files_with("Traceback", run)) >= 3, "records, ledger"
    assert len(files_with("megnet", run)) > 5
    assert files_with(token, run) == []
    assert token not in said.out + said.err
    spoilt = tmp_path / "run"
    shutil.copytree(run, spoilt)
    (spoilt / "canary").write_text(f"so it would be found: {token}")
    assert files_with(token, spoilt) == ["canary"]
