"""Common fixtures: a folder of records, a finished grid, and runs of contrast and dos."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from orchestrator.contrast import job as contrast
from orchestrator.dos import job as dos
from orchestrator.dos.flags import parse
from orchestrator.runs.records import Records
from tests.orchestrator.small_densities import with_silver, write_densities
from tests.orchestrator.small_grids import CRYSTALS, FinishedGrid, Said, grid, rows, write_matbench
from tests.orchestrator.small_slabs import asked
from tests.orchestrator.without_ray import without_ray


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
def contrast_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two contrastive models, and two regressions."""
    folder = tmp_path_factory.mktemp("contrast") / "run"
    with without_ray():
        assert contrast.start(asked("--run", str(folder))) == 0
    return folder


@pytest.fixture(scope="session")
def dos_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds of four networks; the one crystal with silver is tested in the first."""
    folder = tmp_path_factory.mktemp("dos")
    data = write_densities(folder / "salts.parquet", with_silver())
    small = ("--points", "21", "--width", "8", "--members", "4", "--folds", "0", "1")
    asked = ("--data", str(data), "--run", str(folder / "run"), "--epochs", "1", *small)
    with without_ray():
        assert dos.start(parse(asked)) == 0
    return folder / "run"
