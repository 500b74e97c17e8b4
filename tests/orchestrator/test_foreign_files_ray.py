"""Real jobs in a run directory in which somebody keeps files of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.jobs import JOBS
from tests.orchestrator.foreign_files import FOLDERS, NAMES, plant, seen, trees
from tests.orchestrator.small_grids import FinishedGrid, grid

SCALE = ["--order", "mod_petti", "--lambdas", "1", "--refine", "0"]


def anywhere() -> dict[str, tuple[bytes, int]]:
    """A file of each name in each folder, but where a data set's shards are all made anew."""
    return {
        f"{folder}/{name}" if folder else name: (name.encode(), 0o640)
        for folder in FOLDERS
        for name in NAMES
    }


def test_what_others_keep_in_a_run_stays(finished: FinishedGrid, tmp_path: Path) -> None:
    """Damaged records and shards are mended beside it, and all jobs write their files anew."""
    run = finished.copy(tmp_path / "run")
    planted = plant(run, anywhere())
    before = seen(planted)
    next((run / "records").glob("*.safetensors")).write_bytes(b"damaged")
    said = grid(*finished.flags(run))
    assert said.code == 0, said.err
    assert seen(planted) == before
    assert JOBS["ensemble"].main([str(run)]) == 0
    assert JOBS["report"].main([str(run)]) == 0
    assert seen(planted) == before


def test_shards_beside_which_others_keep_files_are_not_made_anew(
    finished: FinishedGrid, tmp_path: Path
) -> None:
    run = finished.copy(tmp_path / "run")
    shard = next((run / "shards" / "tiny").glob("*/*.parquet"))
    shard.write_bytes(b"damaged")
    planted = plant(run, {"shards/tiny/mine/notes.txt": (b"mine", 0o600)})
    before = seen(planted)
    said = grid(*finished.flags(run))
    assert said.code == 2 and "is not of the shards in" in said.err.splitlines()[-1]
    assert seen(planted) == before


@pytest.mark.faults
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees(), order=st.lists(st.sampled_from(["grid", "scale", "ensemble", "report"])))
def test_any_files_and_any_jobs(
    finished: FinishedGrid,
    tmp_path_factory: pytest.TempPathFactory,
    tree: dict[str, tuple[bytes, int]],
    order: list[str],
) -> None:
    run = finished.copy(tmp_path_factory.mktemp("any") / "run")
    planted = plant(run, tree)
    before = seen(planted)
    for job in order:
        if job == "grid":
            assert grid(*finished.flags(run)).code == 0
        elif job == "scale":
            assert JOBS["element_scale"].main(["--run", str(run), *SCALE]) == 0
        else:
            assert JOBS["ensemble" if job == "ensemble" else "report"].main([str(run)]) == 0
        assert seen(planted) == before
