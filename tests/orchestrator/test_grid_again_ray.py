"""The main job a second time: nothing is trained twice, and what has changed is refused."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator.hybrid_grid import job as hybrid_grid
from orchestrator.runs.records import Records
from tests.orchestrator.small_grids import (
    CRYSTALS,
    FinishedGrid,
    digests,
    grid,
    key_of,
    rows,
    times,
    write_matbench,
)

pytestmark = pytest.mark.usefixtures("ray_cluster")


# ------------------------------------------------------------------------------- the second time


def test_the_same_command_trains_nothing_and_changes_nothing(finished: FinishedGrid) -> None:
    before = times(finished.run / "records") | times(finished.run / "shards")
    contents = digests(finished.run)
    said = grid(*finished.flags())
    assert said.code == 0
    assert "12 models, 12 recorded before" in said.out
    assert said.err == ""
    assert times(finished.run / "records") | times(finished.run / "shards") == before
    assert digests(finished.run) == contents


def test_one_lost_record_and_one_lost_array_are_trained_again(
    finished: FinishedGrid, tmp_path: Path
) -> None:
    """A whole array comes back bit for bit; a member that is trained alone, to rounding."""
    run = finished.copy(tmp_path / "run")
    records, first = Records(run / "records"), Records(finished.run / "records")
    alone = key_of(run, "cgcnn", 4, "H")
    together = [key_of(run, "megnet", 8, mixing) for mixing in "H0L"]
    for key in (alone, *together):
        records.forget(key)
    kept = times(run / "records")
    said = grid(*finished.flags(run))
    assert said.code == 0 and "8 recorded before" in said.out
    now = times(run / "records")
    assert {name: now[name] for name in kept if name != ".lock"} == {
        name: kept[name] for name in kept if name != ".lock"
    }
    new = {name.partition(".")[0] for name in now.keys() - kept.keys()}
    assert new == {alone, *together}
    metrics = ("train_mae", "val_mae", "test_mae", "dummy_mae", "best_epoch", "epochs")
    for key in together:
        assert [records.read(key)[m] for m in metrics] == [first.read(key)[m] for m in metrics]
        arrays, arrays_before = records.arrays(key), first.arrays(key)
        assert arrays.keys() == arrays_before.keys()
        assert all(arrays[name].tobytes() == arrays_before[name].tobytes() for name in arrays)
    for name in metrics:
        assert records.read(alone)[name] == pytest.approx(first.read(alone)[name], rel=1e-6)


# ------------------------------------------------------------------------------ a grid that changes


def test_another_grid_is_refused_and_the_difference_named(
    finished: FinishedGrid, tmp_path: Path
) -> None:
    before = times(finished.run)
    said = grid(*finished.flags(mixing="H L", epochs="4"))
    assert said.code == 2
    assert f"--run {finished.run} holds another grid" in said.error
    assert "mixing was ['H', '0', 'L'], is ['H', 'L']" in said.error
    assert "epochs was 3, is 4" in said.error and "--extend" in said.error
    assert "dims" not in said.error
    assert times(finished.run) | {".lock": 0} == before | {".lock": 0}


def test_changed_data_are_refused_before_anything_is_written(
    finished: FinishedGrid, tmp_path: Path
) -> None:
    run = finished.copy(tmp_path / "run")
    changed = dataclasses.replace(finished, data=tmp_path / "tiny.json.gz")
    write_matbench(changed.data, rows(CRYSTALS))
    assert grid(*changed.flags(run), "--extend").code == 0  # the same bytes under another path
    before = times(run)
    write_matbench(changed.data, rows(CRYSTALS, start=1))
    said = grid(*changed.flags(run))
    assert said.code == 2 and f"--run {run} holds another grid (data tiny was " in said.error
    assert "--extend" in said.error and ";" not in said.error.partition("(")[2].partition(")")[0]
    assert times(run) | {".lock": 0} == before | {".lock": 0}
    said = grid(*changed.flags(run, backbones="cgcnn", dims="4"), "--extend")
    assert said.code == 0 and "3 models, 0 recorded before" in said.out


@pytest.mark.parametrize("name", ["TRAINING_VERSION", "FEATURISER_VERSION", "FORMAT_VERSION"])
def test_changed_code_is_refused(
    finished: FinishedGrid, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(hybrid_grid, name, 99)
    said = grid(*finished.flags())
    entry = "training_version" if name.startswith("TRAINING") else "featuriser_version"
    assert said.code == 2
    assert re.search(rf"\({entry} was [\d.]+, is (\d\.)?99(\.\d)?\)", said.error)


def test_the_folder_of_another_job_is_refused(finished: FinishedGrid, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"job": "transfer", "config": {}}')
    for more in ([], ["--extend"]):
        said = grid(*finished.flags(tmp_path), *more)
        assert said.code == 2 and f"--run {tmp_path}: holds a run of transfer" in said.error


def test_extending_trains_only_what_is_new(finished: FinishedGrid, tmp_path: Path) -> None:
    run = finished.copy(tmp_path / "run")
    kept = digests(run / "records")
    said = grid(*finished.flags(run, mixing="H 0 2 L", dims="8", backbones="cgcnn"), "--extend")
    assert said.code == 0
    assert "4 models, 3 recorded before" in said.out
    now = digests(run / "records")
    assert {name: now[name] for name in kept} == kept
    ledger = pd.read_parquet(run / "ledger.parquet")
    assert len(ledger) == 4 and set(ledger["mixing"]) == {"H", "0", "2", "L"}
    new = {name.partition(".")[0] for name in now.keys() - kept.keys()}
    assert new == set(ledger.loc[ledger["mixing"] == "2", "key"])
    # from now on the run directory is the new grid's
    assert grid(*finished.flags(run)).code == 2
    manifest = json.loads((run / "manifest.json").read_text())
    first = json.loads((finished.run / "manifest.json").read_text())
    assert manifest["created"] == first["created"]


def test_choosing_on_the_test_part_is_labelled_as_what_it_is(
    finished: FinishedGrid, tmp_path: Path
) -> None:
    run = finished.copy(tmp_path / "run")
    assert "select-on" not in grid(*finished.flags(run), "--select-on", "test").out
    said = grid(*finished.flags(run), "--select-on", "test", "--extend")
    assert said.code == 0 and "12 recorded before" in said.out
    facts = json.loads((run / "tables" / "Mat2Vec-S-32.meta.json").read_text())
    assert facts["selected_on"] == "test_error" and facts["selection_leaks_test_data"] is True
    pure = json.loads((run / "tables" / "Mat2Vec-H-32.meta.json").read_text())
    assert pure["selection_leaks_test_data"] is False
    assert "chose the best mixings on the <b>test</b> error" in (run / "report.html").read_text()
    assert "chose the best mixings" not in (finished.run / "report.html").read_text()


def test_the_same_data_under_another_name_are_the_same_models(
    finished: FinishedGrid, tmp_path: Path
) -> None:
    run = finished.copy(tmp_path / "run")
    renamed = dataclasses.replace(finished, data=tmp_path / "renamed.json.gz")
    shutil.copy(finished.data, renamed.data)
    said = grid(*renamed.flags(run), "--extend")
    assert said.code == 0 and "12 recorded before" in said.out
    assert set(pd.read_parquet(run / "ledger.parquet")["task"]) == {"renamed"}


# ------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("kind", ["json", pytest.param("safetensors", marks=pytest.mark.faults)])
def test_a_damaged_record_is_set_aside_and_trained_again(
    finished: FinishedGrid, tmp_path: Path, kind: str
) -> None:
    """A flipped bit of the row, or one of the arrays, which shows when they are collected."""
    run = finished.copy(tmp_path / "run")
    key = key_of(run, "cgcnn", 8, "L")
    before = pd.read_parquet(run / "predictions.parquet")
    path = run / "records" / f"{key}.{kind}"
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 4
    path.write_bytes(whole)
    said = grid(*finished.flags(run))
    assert said.code == 0
    assert said.err.splitlines()[0].startswith(f"{path}: damaged; it is set aside")
    assert "12 models, 11 recorded before" in said.out
    assert path.with_name(f"{path.name}.damaged").read_bytes() == whole
    after = pd.read_parquet(run / "predictions.parquet")
    assert after["key"].equals(before["key"]) and after["id"].equals(before["id"])
    # alone and not in its array: to rounding
    np.testing.assert_allclose(after["prediction"], before["prediction"], rtol=1e-4)


def test_a_second_driver_is_kept_out(finished: FinishedGrid) -> None:
    hold = (
        "import sys, pathlib\n"
        "from orchestrator.runs.run_directory import locked\n"
        "with locked(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(finished.run)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as first:  # fmt: skip
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        said = grid(*finished.flags())
        assert said.code == 2 and said.out == ""
        assert f"--run {finished.run}: pid {first.pid} on " in said.error
        assert "is working in it" in said.error
        first.communicate("")
    assert grid(*finished.flags()).code == 0
