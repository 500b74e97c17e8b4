"""A grid that has ended, for all tests of what it leaves and of what happens to it next."""

from __future__ import annotations

import dataclasses

import pytest

from tests.orchestrator.small_grids import CRYSTALS, FinishedGrid, Said, grid, rows, write_matbench


@pytest.fixture(scope="session")
def finished(ray_cluster: object, tmp_path_factory: pytest.TempPathFactory) -> FinishedGrid:
    """12 models of 36 crystals."""
    folder = tmp_path_factory.mktemp("grid")
    data = write_matbench(folder / "tiny.json.gz", rows(CRYSTALS))
    job = FinishedGrid(data, folder / "run", Said(-1, "", ""))
    return dataclasses.replace(job, said=grid(*job.flags()))
