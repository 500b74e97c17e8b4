"""The cost of the grid beyond training, with models that train nothing.

The bounds are wide: a busy machine is to pass, and only what explodes with the grid to fail. The
figures themselves are measured by `benchmarks/orchestration.py`.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.instant import InstantGrid, record_times
from benchmarks.watch import Watch
from orchestrator.nodes import cluster
from orchestrator.runs import ownership

SECONDS_A_MODEL = 0.15  # a trial a model costs ten times as much
BYTES_A_MODEL = 100_000  # a fifth of what a model leaves on the disk
TUNE_FILES = 4  # its own state; loggers would leave five files a trial


@dataclass(frozen=True)
class Long:
    """How a long grid went: when each model was recorded, and bytes that the driver took more."""

    moments: list[float]
    growth: int


@pytest.fixture(scope="module")
def long(ray_cluster: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Long:
    """Three thousand models that train nothing, after 35 that pay for what is paid once."""
    for tasks in (1, 86):
        grid = InstantGrid(tasks, ["cgcnn"], crystals=60, dims=(16,))
        folder = tmp_path_factory.mktemp("long")
        with cluster.connected(None, 1), redirect_stderr(io.StringIO()), Watch() as watch:
            assert grid.train(folder)
    return Long(record_times(folder), watch.peak - watch.begin)


@pytest.mark.faults
def test_the_last_thousand_is_as_fast_as_the_first(
    long: Long, record_property: pytest.RecordProperty
) -> None:
    """By the median of ten hundreds each: a machine that is busy for a moment is no reason."""
    assert len(long.moments) == 3010
    hundreds = np.diff(long.moments[::100])
    ratio = np.median(hundreds[-10:]) / np.median(hundreds[:10])
    record_property("seen", f"{ratio:.2f} × of 3 010 models")
    assert ratio < 1.5


@pytest.mark.faults
def test_the_driver_grows_by_little(long: Long, record_property: pytest.RecordProperty) -> None:
    growth = long.growth / len(long.moments)
    record_property("seen", f"{growth / 1e3:.1f} KB a model of 3 010")
    assert growth < 14_000


@pytest.fixture
def run(tmp_path: Path, ray_cluster: dict[str, Any]) -> Callable[[InstantGrid], Path]:
    """Trains a grid into the test's run directory."""

    def train(grid: InstantGrid) -> Path:
        # Tune pickles the progress line with its stream, which pytest's own does not allow.
        with cluster.connected(None, 1), redirect_stderr(io.StringIO()):
            assert grid.train(tmp_path / "run")
        return tmp_path / "run"

    return train


def test_models_that_train_nothing_cost_next_to_nothing(
    run: Callable[[InstantGrid], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 arrays of 7, after 20 arrays of 1 that pay for what is paid once."""
    left: list[Path] = []

    def remove(folder: Path, **options: Any) -> None:
        left.extend(path for path in Path(folder).rglob("*") if path.is_file())
        rmtree(folder, **options)

    folder = run(InstantGrid(1, ["cgcnn"], crystals=60, mixing=("H",)))
    before = record_times(folder)
    grid = InstantGrid(1, ["cgcnn"], crystals=60)
    with monkeypatch.context() as patch, Watch() as watch:
        patch.setattr(ownership.shutil, "rmtree", remove)
        run(grid)
    added = record_times(folder)[len(before) :]
    assert (len(before), len(added)) == (20, 120)
    assert (added[-1] - added[0]) / len(added) < SECONDS_A_MODEL
    assert (watch.peak - watch.begin) / len(added) < BYTES_A_MODEL
    assert 0 < len(left) <= TUNE_FILES, left

    keys = [cell.key for cell in grid.cells]
    names = {path.name for path in (folder / "records").iterdir()} - {".lock"}
    assert names == {f"{key}.{kind}" for key in keys for kind in ("json", "safetensors")}
    ledger = pd.read_parquet(folder / "ledger.parquet")
    assert ledger["key"].tolist() == keys and set(ledger["status"]) == {"done"}
