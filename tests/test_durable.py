"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.runs import durable


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    durable.write_text(path, "old")

    def half() -> None:
        with durable.replacing(path) as file:
            file.write(b"half of the ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert path.read_text() == "old"
    assert listing(tmp_path) == ["result.json"]


def test_a_process_that_dies_midway_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    durable.write_text(path, "old")
    script = (
        "import os, pathlib, sys; from orchestrator.runs import durable\n"
        "with durable.replacing(pathlib.Path(sys.argv[1])) as file:\n"
        "    file.write(b'half'); file.flush(); os._exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == 9
    assert path.read_text() == "old"


def test_a_value_that_is_no_json_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    durable.write_json(path, {"mae": 1.0})
    with pytest.raises(ValueError, match="JSON"):
        durable.write_json(path, {"mae": float("nan")})
    assert path.read_text() == '{\n "mae": 1.0\n}\n'
    assert listing(tmp_path) == ["result.json"]


def test_writing_makes_folders_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "data"
    durable.write_bytes(path, b"one")
    durable.write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    table = pa.table({"x": [1, 2, 3]})
    durable.write_parquet(path, table)
    assert pq.read_table(path).equals(table)
    assert listing(path.parent) == ["data"]


def test_the_names_of_new_folders_are_made_to_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(durable, "sync", synced.append)
    durable.write_bytes(tmp_path / "a" / "b" / "data", b"one")
    assert {tmp_path, tmp_path / "a", tmp_path / "a" / "b"} <= set(synced)


def test_files_have_the_mode_that_the_user_wants(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        durable.write_bytes(tmp_path / "replaced", b"")
        durable.Draft.of(tmp_path / "created", b"").create()
        assert os.umask(0o027) == 0o027  # and the process keeps its mask
    finally:
        os.umask(before)
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o640, path


def test_creating_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    assert durable.Draft.of(path, b"first").create()
    assert not durable.Draft.of(path, b"second").create()
    assert path.read_bytes() == b"first"
    assert listing(tmp_path) == ["record.json"]


def test_of_many_that_create_at_once_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    contents = [bytes([65 + k]) * 100_000 for k in range(16)]
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda content: durable.Draft.of(path, content).create(), contents))
    assert sum(won) == 1
    assert path.read_bytes() == contents[won.index(True)]
    assert listing(tmp_path) == ["record.json"]


@pytest.mark.parametrize("name", [".x.tmp", ".a.json.0123.tmp", "a.json.0123456789abcdef.tmp", "."])
def test_what_is_no_draft_of_ours_is_none(name: str) -> None:
    assert durable.draft_of(name) is None
    assert durable.draft_of(durable.name_draft(Path("a.json")).name) == "a.json"


@pytest.mark.parametrize("publish", [durable.Draft.create, durable.Draft.replace])
def test_a_draft_that_was_taken_away_is_an_error_of_the_disk(
    tmp_path: Path, publish: Callable[[durable.Draft], object]
) -> None:
    """By the next driver, from a worker that its own has lost."""
    path = tmp_path / "a.json"
    draft = durable.Draft.of(path, b"late")
    draft.name.unlink()
    with pytest.raises(FileNotFoundError) as caught:
        publish(draft)
    assert caught.value.filename == str(path)
    assert not path.exists()
