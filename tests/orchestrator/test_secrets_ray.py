"""A canary: the token that guards the cluster is in nothing that a job writes or says."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.orchestrator.small_grids import Said

pytestmark = pytest.mark.usefixtures("ray_cluster")


def contents(path: Path) -> Iterator[bytes]:
    """A file as it lies there, and what its compression may hide."""
    content = path.read_bytes()
    yield content
    if content.startswith(b"\x1f\x8b"):
        yield gzip.decompress(content)
    if content.startswith(b"PAR1"):
        table = pq.read_table(path)
        yield f"{table.schema.metadata} {table.to_pydict()}".encode()


def files_with(secret: str, folder: Path) -> list[str]:
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(secret.encode() in content for content in contents(path))
    ]


def test_the_token_is_nowhere_in_a_run(
    half_failed: tuple[list[str], Path, Said], tmp_path: Path
) -> None:
    """In a grid where half of the models fail, as records of failures quote tracebacks."""
    token = os.environ["RAY_AUTH_TOKEN"]
    _, run, said = half_failed
    assert said.code == 1
    assert len(files_with("Traceback", run)) >= 3, "records, ledger"
    assert len(files_with("megnet", run)) > 5
    assert files_with(token, run) == []
    assert token not in said.out + said.err
    spoilt = tmp_path / "run"
    shutil.copytree(run, spoilt)
    (spoilt / "canary").write_text(f"so it would be found: {token}")
    assert files_with(token, spoilt) == ["canary"]
