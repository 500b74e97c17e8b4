"""Classes, a spectrum, several columns and sites in one grid: killed, resumed, evaluated."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.runs.records import Records
from tests.orchestrator.small_grids import embedded, grid
from tests.packages_for_tests import install
from trainables.crystals.parsing import parse

ROOT = Path(__file__).resolve().parents[2]
CRYSTALS = 60
L = 400  # numbers of a spectrum
TARGETS = {"metal": "metal", "dos": "dos", "both": "gap,energy", "spin": "spin@site"}
METRICS = {"metal": "1-roc_auc", "dos": "mae", "both": "mae_standardised", "spin": "mae"}


def write_data(path: Path) -> Path:
    """Embedded crystals whose targets follow from their elements."""
    entries = embedded(CRYSTALS)
    numbers = [parse(entry).numbers.astype(float) for entry in entries]
    mass = np.array([one.mean() for one in numbers])
    energies = np.linspace(0, 60, L)
    columns = {
        "structure": [entry.text for entry in entries],
        "metal": ["metal" if heavy else "insulator" for heavy in mass > np.median(mass)],
        "dos": [np.exp(-(((energies - one) / 9) ** 2)).tolist() for one in mass],
        "gap": [None if row % 4 == 1 else value for row, value in enumerate(mass / 10)],
        "energy": -400 - 3 * mass,
        "spin": [(one - one.mean()).tolist() for one in numbers],
    }
    pq.write_table(pa.table(columns), path)
    return path


def started(folder: Path, run: Path) -> subprocess.Popen[str]:
    tasks = [f"{name}={folder / 'all.parquet'}:{target}" for name, target in TARGETS.items()]
    flags = [
        *("--tasks", *tasks, "--run", str(run), "--backbones", "atoms", "--dims", "4"),
        *("--mixing", "H", "L", "--folds", "0", "--epochs", "40"),
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "orchestrator.hybrid_grid", *flags],
        env=os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def killed_in_the_middle(folder: Path, run: Path) -> int:
    """Kills the driver once some models are recorded, and returns their number."""
    driver = started(folder, run)
    while driver.poll() is None:
        recorded = len(list((run / "records").glob("*.json")))
        if recorded:
            driver.send_signal(signal.SIGKILL)
            driver.communicate()
            return recorded
        time.sleep(0.05)
    raise AssertionError(driver.communicate()[1])


def ended(folder: Path, run: Path) -> str:
    driver = started(folder, run)
    out, err = driver.communicate(timeout=600)
    assert driver.returncode == 0, err
    return out


@pytest.mark.ray
def test_every_kind_of_target_goes_through_the_job(tmp_path: Path) -> None:
    install(tmp_path, "atoms-networks", atoms="tests.atoms_backbone:SPEC")
    write_data(tmp_path / "all.parquet")
    run, golden = tmp_path / "run", tmp_path / "golden"
    recorded = killed_in_the_middle(tmp_path, run)
    assert 0 < recorded < 2 * len(TARGETS)
    out = ended(tmp_path, run)
    assert "metal: the target has two classes, insulator and metal" in out
    ended(tmp_path, golden)
    ledger = pd.read_parquet(run / "ledger.parquet").set_index("key")
    assert (ledger["status"] == "done").all() and len(ledger) == 2 * len(TARGETS)
    assert dict(zip(ledger["task"], ledger["metric"], strict=True)) == METRICS
    errors = ["train_error", "val_error", "test_error", "dummy_error", "scores", "best_epoch"]
    whole = pd.read_parquet(golden / "ledger.parquet").set_index("key")
    pd.testing.assert_frame_equal(ledger[errors], whole[errors])
    assert (ledger["train_error"] < ledger["dummy_error"]).mean() > 0.7
    for key, row in ledger.iterrows():
        is_evaluated(run, str(key), row)
    predictions = pd.read_parquet(run / "predictions.parquet")
    assert set(ledger.loc[predictions["key"].unique(), "task"]) == {"metal"}
    page = (run / "report.html").read_text()
    assert all(name in page for name in ("1 − ROC-AUC", "standardised MAE", *TARGETS))


def is_evaluated(run: Path, key: str, row: pd.Series) -> None:
    arrays, records = Records(run / "records").arrays(key), Records(golden_of(run))
    value = arrays["predictions/test/value"]
    shape = {"dos": (L,), "both": (2,)}.get(row["task"], ())
    assert value.shape[1:] == shape
    assert ("predictions/test/ptr" in arrays) == (row["task"] == "spin")
    for name, array in records.arrays(key).items():
        assert np.array_equal(arrays[name], array), f"{row['task']} {name}: not to the bit"
    scores = json.loads(row["scores"])
    wanted = {"metal": "balanced_accuracy", "both": "mae energy"}.get(row["task"], "rmse")
    assert np.isfinite(scores[wanted])


def golden_of(run: Path) -> Path:
    return run.with_name("golden") / "records"


def test_a_number_an_atom_is_refused_where_atoms_are_merged(tmp_path: Path) -> None:
    data = write_data(tmp_path / "all.parquet")
    flags = ["--tasks", f"{data}:spin@site", "--run", str(tmp_path / "run")]
    said = grid(*flags, "--backbones", "cgcnn")
    assert said.code == 2
    assert "all: spin@site is a number an atom, and cgcnn sees atoms that look alike" in said.error
    assert "name --backbones whose graphs keep atoms" in said.error
    assert grid(*flags, "--dry-run").code == 2
