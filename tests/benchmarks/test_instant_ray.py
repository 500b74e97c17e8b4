"""A long grid of models that train nothing is taken up again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.instant import InstantGrid
from orchestrator.grid.cells import Cell
from orchestrator.runs import durable
from orchestrator.runs.records import Records


def test_a_grid_is_taken_up_again_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_cluster: object
) -> None:
    """2 240 models, of which the last is not recorded: half a minute until it is."""
    grid = InstantGrid(8, crystals=40)
    records = Records(tmp_path / "records")
    *others, missing = grid.cells
    with monkeypatch.context() as patch:
        patch.setattr(durable.os, "fsync", lambda handle: None)
        records.write_all([(recorded(cell), {}) for cell in others])
    start = time.time()
    assert grid.train(tmp_path)
    assert len(others) == 2239 and records.recorded([missing.key])
    assert (records.folder / f"{missing.key}.json").stat().st_mtime - start < 30


def recorded(cell: Cell) -> dict[str, Any]:
    about = {
        name: getattr(cell.spec, name) for name in ("key", "backbone", "dim", "mixing", "fold")
    }
    return {**about, "task": cell.task, "status": "done", "val_mae": 1.0}
