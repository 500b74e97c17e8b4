"""Disks that are full or read-only: what is written stays, nothing is half, no model has failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.interface.errors import UsageError
from orchestrator.runs import durable
from orchestrator.runs.records import Records
from orchestrator.runs.run_directory import locked, write_manifest
from tests.orchestrator.small_disks import small_disk
from tests.orchestrator.small_records import arrays, row


def model(key: str, size: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    return row(key), {**arrays(), "weights/w": np.ones(size, np.uint8)}


def is_refused(run: Path, reason: str) -> None:
    with pytest.raises(UsageError) as caught, locked(run):
        pass
    assert str(caught.value) == f"--run {run}: cannot be written ({reason})"


def test_a_full_disk_takes_what_fits(tmp_path: Path) -> None:
    """Three models at once, of which the disk has room for two."""
    with small_disk(tmp_path / "disk", "256k") as disk:
        records = Records(disk.folder / "records")
        models = [model("a", 20_000), model("b", 500_000), model("c", 20_000)]
        with pytest.raises(OSError, match="No space left") as caught:
            records.write_all(models)
        assert caught.value.filename == str(records.folder / "b.safetensors")
        assert records.recorded("abc") == {"a", "c"}
        assert not records.damage("abc")
        names = {path.name for path in records.folder.iterdir()}
        assert names == {
            ".lock",
            *(f"{key}.{kind}" for key in "ac" for kind in ("json", "safetensors")),
        }
        assert disk.option("size=2m")
        assert records.write_all(models) == [False, True, False]
        assert records.arrays("b")["weights/w"].sum() == 500_000


def test_a_read_only_disk_is_named_with_the_file(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "256k") as disk:
        write_manifest(disk.folder, {})
        path = disk.folder / "result.json"
        durable.write_text(path, "old")
        assert disk.option("ro")
        for write in (durable.write_bytes, durable.Draft.of):
            with pytest.raises(OSError, match="Read-only file system") as caught:
                write(path, b"new")
            assert caught.value.filename == str(path)
        assert path.read_text() == "old"
        with (
            pytest.raises(UsageError, match=r"cannot be written \(Read-only file system\)"),
            locked(disk.folder),
        ):
            pass


def test_a_run_directory_on_a_full_disk_is_refused(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "64k") as disk:
        (disk.folder / "manifest.json").write_text('{"program": "elemgrid"}')
        (disk.folder / "filler").write_bytes(bytes(15 * 4096))
        with (
            pytest.raises(UsageError, match=r"cannot be written \(No space left on device\)"),
            locked(disk.folder),
        ):
            pass
        (disk.folder / "filler").unlink()
        with locked(disk.folder):
            pass
