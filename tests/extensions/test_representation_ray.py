"""A representation with a column of its own goes through the job, from memory and from shards."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.orchestrator.small_grids import rows, small_flags, write_matbench
from tests.packages_for_tests import grid_with, install


def trained(data: Path, run: Path, packages: Path, *more: str) -> pa.Table:
    """The predictions of a grid of the network."""
    said = grid_with(packages, *small_flags(data, run), "--backbones", "equivariant", *more)
    assert ("it is streamed from its shards" in said) == bool(more)
    return pq.read_table(run / "predictions.parquet").sort_by(
        [("key", "ascending"), ("id", "ascending")]
    )


def test_streamed_from_shards_larger_than_the_limit_it_gives_the_same_bits(tmp_path: Path) -> None:
    install(tmp_path, "strangers-networks", equivariant="tests.extensions.equivariant:SPEC")
    data = write_matbench(tmp_path / "tiny.json.gz", rows(30))
    resident = trained(data, tmp_path / "resident", tmp_path)
    streamed = trained(data, tmp_path / "streamed", tmp_path, "--memory-per-worker", "1e-6")
    assert len(resident) and resident.equals(streamed)
    (shard,) = (tmp_path / "streamed" / "shards" / "tiny" / "dense-r4").glob("*.parquet")
    assert {"density", "shift", "frac", "lattice"} <= set(pq.read_schema(shard).names)
