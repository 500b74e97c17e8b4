"""One driver at a time, whatever becomes of the one before; tried with real processes."""

from __future__ import annotations

import fcntl
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from orchestrator.interface.errors import UsageError
from orchestrator.runs import durable, lease
from orchestrator.runs.layout import LOCK
from orchestrator.runs.ownership import MARK
from orchestrator.runs.run_directory import locked, open_manifest, write_manifest

# A driver that has started a process, with all that it would hand on to one, as Ray's are started.
DRIVER = """
import pathlib, subprocess, sys
from orchestrator.runs.run_directory import locked
with locked(pathlib.Path(sys.argv[1])):
    child = subprocess.Popen(["sleep", "100"], close_fds=False, stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that holds the lock of `tmp_path`/run, and the pid of what it has started."""
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path / "run")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        child = int(process.stdout.readline())
        yield process, child
        os.kill(child, signal.SIGKILL)
        process.kill()


def refused(run: Path) -> str:
    with pytest.raises(UsageError) as caught, locked(run):
        pass
    return str(caught.value)


def test_the_second_is_told_who_is_there(
    tmp_path: Path, driver: tuple[subprocess.Popen[str], int]
) -> None:
    run, (first, _) = tmp_path / "run", driver
    half = run / ".ledger.parquet.0123456789abcdef.tmp"
    half.write_text("what the first is writing")
    told = refused(run)
    assert f"--run {run}: pid {first.pid} on {platform.node()} is working in it" in told
    assert refused(run) == told, "who is refused leaves the name of the first"
    assert half.exists()
    first.communicate("")
    assert first.returncode == 0
    with locked(run):
        assert not half.exists()


def test_the_lock_of_a_killed_driver_is_free_at_once(
    tmp_path: Path, driver: tuple[subprocess.Popen[str], int]
) -> None:
    """Its processes live on for a while, and do not hold what was its own."""
    run, (first, child) = tmp_path / "run", driver
    first.send_signal(signal.SIGKILL)
    first.wait(30)
    (run / "manifest.json").write_text("{")  # there is something to keep
    assert f"\npid {first.pid} on {platform.node()}\n" in (run / LOCK).read_text()
    begun = time.monotonic()
    with locked(run) as token:
        assert time.monotonic() - begun < lease.BEAT, "it waited for a dead driver's heart"
        assert psutil.pid_exists(child)
        held = (run / LOCK).read_text()
        assert f"\npid {os.getpid()} on {platform.node()}\ntoken {token} " in held
    assert (run / LOCK).read_bytes() == MARK


def test_a_lock_that_was_removed_meanwhile_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second driver has opened the file when the first, refused at once, removes it all."""
    run, first, second = tmp_path / "run", ExitStack(), ExitStack()
    first.enter_context(locked(run))
    take = fcntl.flock

    def take_late(file: int, how: int) -> None:
        first.close()
        take(file, how)

    monkeypatch.setattr(fcntl, "flock", take_late)
    second.enter_context(locked(run))
    monkeypatch.undo()
    assert f"pid {os.getpid()} on {platform.node()} is working in it" in refused(run)
    second.close()
    assert not run.exists()


def test_what_a_killed_job_left_is_cleared_away(tmp_path: Path) -> None:
    """Probes, and the half-made shards of whatever data set."""
    run = tmp_path / "run"
    scratch = durable.name_draft(run / "shards" / "salts")
    scratch.mkdir(parents=True)
    (scratch / "0.parquet").touch()
    durable.name_draft(run / "probe").touch()
    write_manifest(run, {})
    with locked(run):
        assert sorted(path.name for path in run.rglob("*")) == [LOCK, "manifest.json", "shards"]


def test_a_job_that_is_refused_at_once_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), locked(tmp_path / "run"):
        raise KeyboardInterrupt
    assert not (tmp_path / "run").exists()
    with pytest.raises(KeyboardInterrupt), locked(tmp_path / "new" / "also new" / "run"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == [], "nor those above that it made"
    (tmp_path / "theirs").mkdir()
    with pytest.raises(KeyboardInterrupt), locked(tmp_path / "theirs" / "new" / "run"):
        (tmp_path / "theirs" / "new" / "file").touch()
        raise KeyboardInterrupt
    assert [path.name for path in (tmp_path / "theirs" / "new").iterdir()] == ["file"]


# ------------------------------------------------------------------------------------- the manifest


def test_all_that_differs_is_named(tmp_path: Path) -> None:
    digest = "0123456789abcdef" * 4
    asked = {"config": {"dims": [4], "epochs": None}, "data": {"salts": digest}, "version": 1}
    open_manifest(tmp_path, "hybrid_grid", asked, what="grid", extend=False)
    write_manifest(tmp_path, asked)
    open_manifest(tmp_path, "hybrid_grid", asked, what="grid", extend=False)
    now = {
        "config": {"dims": [8], "epochs": 3},
        "data": {"oxides": digest},
        "version": 2,
        "later": "not in the manifest of an older program",
    }
    with pytest.raises(UsageError) as caught:
        open_manifest(tmp_path, "hybrid_grid", now, what="grid", extend=False)
    difference = (
        "dims was [4], is [8]; epochs was nothing, is 3; data oxides was nothing, is 0123456789ab;"
        " data salts was 0123456789ab, is nothing; version was 1, is 2"
    )
    assert str(caught.value).startswith(f"--run {tmp_path} holds another grid ({difference});")
    assert "name another folder, or add --extend to make it this grid's" in str(caught.value)
    open_manifest(tmp_path, "hybrid_grid", now, what="grid", extend=True)


@pytest.mark.parametrize("extend", [False, True])
def test_the_folder_of_another_job_is_never_taken(tmp_path: Path, extend: bool) -> None:
    write_manifest(tmp_path, {"job": "transfer"})
    with pytest.raises(UsageError, match="holds a run of transfer; name another folder"):
        open_manifest(tmp_path, "hybrid_grid", {}, what="grid", extend=extend)


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_a_damaged_manifest_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(UsageError, match=r"manifest\.json: damaged; remove it, the records"):
        open_manifest(tmp_path, "hybrid_grid", {"version": 1}, what="grid", extend=False)
