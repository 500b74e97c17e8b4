"""Common fixtures: a folder of records, and a finished grid."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from orchestrator.runs.records import Records
from tests.orchestrator.small_grids import CRYSTALS, FinishedGrid, Said, grid, rows, write_matbench
from trainables.crystals.split import split_fold


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "records")


@pytest.fixture(scope="session")
def finished(ray_cluster: object, tmp_path_factory: pytest.TempPathFactory) -> FinishedGrid:
    """12 models of 36 crystals."""
    folder = tmp_path_factory.mktemp("grid")
    data = write_matbench(folder / "tiny.json.gz", rows(CRYSTALS))
    job = FinishedGrid(data, folder / "run", Said(-1, "", ""))
    return dataclasses.replace(job, said=grid(*job.flags()))


@pytest.fixture(scope="session")
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
