"""What the grid costs beyond the training, on models that train nothing.

The bounds are wide: a busy machine is to pass, and only what explodes with the grid to fail. The
figures themselves are measured by `benchmarks/orchestration.py`.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from shutil import rmtree
from typing import Any

import pandas as pd
import pytest

from benchmarks.instant import InstantGrid, record_times
from benchmarks.watch import Watch
from orchestrator.nodes import cluster
from orchestrator.training import train as training

pytestmark = pytest.mark.ray
SECONDS_A_MODEL = 0.15  # a trial a model costs ten times as much
BYTES_A_MODEL = 100_000  # a fifth of what a model leaves on the disk
TUNE_FILES = 4  # its own state; loggers would leave five files a trial


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
        patch.setattr(training.shutil, "rmtree", remove)
        run(grid)
    added = record_times(folder)[len(before) :]
    assert (len(before), len(added)) == (20, 120)
    assert (added[-1] - added[0]) / len(added) < SECONDS_A_MODEL
    assert (watch.peak - watch.begin) / len(added) < BYTES_A_MODEL
    assert 0 < len(left) <= TUNE_FILES, left

    keys = [key for _, key in grid.cells]
    names = {path.name for path in (folder / "records").iterdir()} - {".lock"}
    assert names == {f"{key}.{kind}" for key in keys for kind in ("json", "safetensors")}
    ledger = pd.read_parquet(folder / "ledger.parquet")
    assert ledger["key"].tolist() == keys and set(ledger["status"]) == {"done"}
