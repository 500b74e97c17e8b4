"""File systems without hard links, shared locks, fsync of folders: found, and done without.

A shim between Python and the C library makes a folder such a file system (`poor_disk.c`); where
exFAT can be mounted, that is tried too.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A driver, a second process that looks as preflight has it, records of two writers, one of whom is
# late, and what is there in the end.
DRIVER = """
import sys
from pathlib import Path
from orchestrator.nodes import storage
from orchestrator.nodes.probe import in_another_process, probe_in
from orchestrator.runs.records import Records
from orchestrator.runs.run_directory import locked, write_manifest
from tests.orchestrator.small_records import arrays, row
run = Path(sys.argv[1])
with locked(run) as token:
    with probe_in(run) as probe, storage.shown(str(probe)):
        found = in_another_process(probe)
        Path(found["left"]).unlink()
    print(*found["lacks"], sep=", ")
    write_manifest(run, {})
    records = Records(run / "records", lease=token)
    made = [(row(key), arrays()) for key in "ab"]
    assert records.write(*made[0])
    assert records.write_all(made) == [False, True]
    assert not records.damage("ab") and records.read("a")["status"] == "done"
print(sorted(str(path.relative_to(run)) for path in run.rglob("*")))
"""
HOLD = """
import sys
from pathlib import Path
from orchestrator.interface.job import conduct
from orchestrator.runs.run_directory import locked
def work():
    with locked(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
        return 0
sys.exit(conduct(work))
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("g++")
    if compiler is None:
        pytest.skip("no C compiler: a poor disk cannot be made")
    made = tmp_path_factory.mktemp("shim") / "poor_disk.so"
    source = Path(__file__).with_name("poor_disk.c")
    command = [compiler, "-xc", "-shared", "-fPIC", "-o", str(made), str(source), "-ldl"]
    subprocess.run(command, check=True, timeout=60)
    return made


def poor(shim: Path, below: Path, lacks: str) -> dict[str, str]:
    """The environment of a process for which the disk is such."""
    own = {"LD_PRELOAD": str(shim), "POOR_BELOW": str(below), "POOR_LACKS": lacks}
    return {**os.environ, **own, "PYTHONPATH": str(ROOT)}


def drive(run: Path, environment: dict[str, str]) -> list[str]:
    command = [sys.executable, "-c", DRIVER, str(run)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


LEFT = [
    *(".lock", "manifest.json", "records", "records/.lock"),
    *(f"records/{key}.{kind}" for key in "ab" for kind in ("json", "safetensors")),
]


@pytest.mark.parametrize(
    ("lacks", "found"),
    [
        ("", ""),
        ("links", "hard links"),
        ("sync", "fsync of folders"),
        ("locks", "locks that processes share"),
        ("shared", "locks that processes share"),
        ("links sync locks", "hard links, locks that processes share, fsync of folders"),
    ],
)
def test_what_a_disk_lacks_is_found_and_done_without(
    tmp_path: Path, shim: Path, lacks: str, found: str
) -> None:
    assert drive(tmp_path / "run", poor(shim, tmp_path, lacks)) == [found, str(LEFT)]


@pytest.mark.parametrize("lacks", ["locks", "shared"])
def test_two_drivers_know_of_each_other_without_locks(
    tmp_path: Path, shim: Path, lacks: str
) -> None:
    """By the heart beat in the lock's file; where `shared`, of another machine."""
    run, environment = tmp_path / "run", poor(shim, tmp_path, lacks)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run)], env=environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as first:  # fmt: skip
        try:
            assert first.stdout is not None and first.stdout.readline() == "held\n"
            if lacks == "shared":
                held = (run / ".lock").read_text()
                machine = held.rpartition(" ")[2]
                (run / ".lock").write_text(held.replace(machine, "another\n"))
            command = [sys.executable, "-c", HOLD, str(run)]
            second = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=120,
            )  # fmt: skip
            assert second.returncode == 2
            assert f"pid {first.pid} on " in second.stderr
            assert "is working in it" in second.stderr
            first.send_signal(signal.SIGKILL)
            first.wait(30)
            third = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120
            )
            assert third.returncode == 0
        finally:
            first.kill()


@pytest.mark.parametrize("at_work", [True, False])
@pytest.mark.parametrize("how", ["removed", "taken"])
def test_a_driver_that_lost_its_lock_ends_in_one_line(
    tmp_path: Path, how: str, at_work: bool
) -> None:
    run = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run)], env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as first:  # fmt: skip
        assert first.stdout is not None and first.stdout.readline() == "held\n"
        lock = run / ".lock"
        if how == "removed":
            lock.unlink()
        else:
            lock.write_text("elemgrid run directory\npid 1 on elsewhere\ntoken 0f machine x\n")
        if at_work:
            assert first.wait(30) == 2
        _, err = first.communicate(timeout=60)  # else it comes to its end
        assert first.returncode == 2
        (line,) = err.splitlines()
        why = "it was removed" if how == "removed" else "another driver has taken it"
        assert line == (
            f"error: --run {run}: its .lock is not this driver's any more ({why} while this driver"
            " held it); what is recorded stays"
        )
        if how == "taken":
            assert "elsewhere" in lock.read_text(), "the loser wrote over the winner's name"


@pytest.fixture
def exfat(tmp_path: Path) -> Iterator[Path]:
    """A disk of exFAT, which has no hard links; skips where none may be made or mounted."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    image.write_bytes(b"")
    os.truncate(image, 16 * 2**20)
    folder.mkdir()
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    loop = ""
    try:
        for command in (["mkfs.exfat", str(image)], ["losetup", "-f", "--show", str(image)]):
            done = subprocess.run(command, capture_output=True, text=True, env={"PATH": path})
            if done.returncode:
                pytest.skip(f"no exFAT here: {done.stderr.strip()}")
            loop = done.stdout.strip() if command[0] == "losetup" else ""
        mount = ["mount.exfat-fuse", loop, str(folder)]
        if subprocess.run(mount, capture_output=True, env={"PATH": path}).returncode:
            pytest.skip("exFAT may not be mounted here")
        yield folder
        subprocess.run(["umount", str(folder)], check=True)
    except FileNotFoundError:
        pytest.skip("no exFAT here (exfat-fuse, exfatprogs)")
    finally:
        if loop:
            subprocess.run(["losetup", "-d", loop], check=False)


def test_a_run_on_exfat(exfat: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert drive(exfat / "run", environment) == ["hard links", str(LEFT)]
