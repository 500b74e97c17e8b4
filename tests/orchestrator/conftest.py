"""Common fixtures: a folder of records, a finished grid, and a contrastive run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from orchestrator.contrast import job as contrast
from orchestrator.runs.records import Records
from tests.orchestrator.small_grids import CRYSTALS, FinishedGrid, Said, grid, rows, write_matbench
from tests.orchestrator.small_slabs import asked, without_ray


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
