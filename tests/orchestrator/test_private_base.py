"""The folder of a local run: made so that nobody else gets in, and gone with the run. No Ray."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.interface.errors import UsageError
from orchestrator.nodes import private_base
from orchestrator.nodes.private_base import clear_abandoned, place, private_session, unfit
from tests.orchestrator.strangers import UID, needs_root

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("RAY_TMPDIR", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_TOKEN")


@pytest.fixture
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose path is short, as `place` wants it."""
    folder = Path(private_base.tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_session_is_for_its_owner_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the user: a token in the default file, a named one, or no authentication."""
    home = root / "home"
    long_lived = home / ".ray" / "auth_token"
    long_lived.parent.mkdir(parents=True)
    long_lived.write_text("long-lived")
    long_lived.chmod(0o644)
    given = (str(root), "disabled", str(long_lived), "from the environment")
    for name, value in zip(NAMES, given, strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(home))
    tokens, before = set(), os.umask(0)
    try:
        for _ in range(2):
            with private_session() as base:
                assert base.parent == root and mode(base) == 0o700
                token = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
                assert token.parent == base and mode(token) == 0o600
                assert len(token.read_text()) == 64
                tokens.add(token.read_text())
                assert os.environ["RAY_TMPDIR"] == str(base)
                assert os.environ["RAY_AUTH_MODE"] == "token"
                assert "RAY_AUTH_TOKEN" not in os.environ
            assert not base.exists()
    finally:
        os.umask(before)
    assert len(tokens) == 2
    assert tuple(os.environ[name] for name in NAMES) == given
    assert (long_lived.read_text(), mode(long_lived)) == ("long-lived", 0o644)
    assert sorted(path.name for path in root.iterdir()) == ["home"]


def test_a_session_without_a_home_makes_none(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(root))
    monkeypatch.setenv("HOME", str(root / "home"))
    with private_session():
        pass
    assert not any(root.iterdir())
    assert "RAY_AUTH_MODE" not in os.environ


def test_it_goes_after_an_error_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(root))
    with pytest.raises(KeyboardInterrupt), private_session() as base:
        (base / "ray" / "session_x" / "logs").mkdir(parents=True)
        raise KeyboardInterrupt
    assert not any(root.iterdir())


# A run that says where its base is, and is killed; what it has started holds a file there or not.
KILLED = """
import os, subprocess, sys, time
from orchestrator.nodes.private_base import private_session
with private_session() as base:
    (base / "ray").mkdir()
    left = 0
    if sys.argv[1] == "file":
        with open(base / "ray" / "log", "w") as log:
            left = subprocess.Popen(["sleep", "600"], stdout=log, stderr=log).pid
    elif sys.argv[1] == "flag":
        left = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)", f"{base}/ray"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid
    print(base, left, flush=True)
    time.sleep(600)
"""


def killed(root: Path, how: str) -> tuple[subprocess.Popen[str], Path, int]:
    run = subprocess.Popen(
        [sys.executable, "-c", KILLED, how], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        env={**os.environ, "RAY_TMPDIR": str(root)},
    )  # fmt: skip
    assert run.stdout is not None
    base, left = run.stdout.readline().split()
    return run, Path(base), int(left)


@pytest.mark.parametrize("how", ["file", "flag"])
def test_what_a_killed_run_left_goes_when_its_processes_have(root: Path, how: str) -> None:
    run, base, left = killed(root, how)
    try:
        clear_abandoned(root)
        assert base.exists(), "the run lives"
        run.kill()
        run.communicate()
        clear_abandoned(root)
        assert base.exists(), "a process of the run lives"
    finally:
        run.kill()
        os.kill(left, 9)
    until_over(left)
    with private_base._base(root) as another:
        assert list(root.iterdir()) == [another]


def until_over(pid: int) -> None:
    for _ in range(1000):
        try:
            if Path(f"/proc/{pid}/cmdline").read_bytes() == b"":
                return  # waited for by nobody, with nothing open
        except FileNotFoundError:
            return
        private_base.time.sleep(0.01)
    raise TimeoutError(pid)


def test_nothing_else_is_taken_for_abandoned(root: Path) -> None:
    left = []
    for name, content, open_to in [
        ("eg-abcdefgh", "other", 0o700),  # something else is in it
        ("eg-abcdefg1", "ray", 0o755),  # not as a base is made
        ("eg-short", "ray", 0o700),
        ("eh-abcdefgh", "ray", 0o700),
    ]:
        (root / name / content).mkdir(parents=True)
        (root / name).chmod(open_to)
        left.append(name)
    (root / "eg-abcdefg2").write_text("no folder")
    (root / "elsewhere" / "ray").mkdir(parents=True, mode=0o700)
    (root / "elsewhere").chmod(0o700)
    (root / "eg-abcdefg3").symlink_to(root / "elsewhere")
    (root / "eg-abcdefg4" / "ray" / "session_x").mkdir(parents=True)
    (root / "eg-abcdefg4").chmod(0o700)
    if os.geteuid() == 0:
        (root / "eg-abcdefg5").mkdir(mode=0o700)
        os.chown(root / "eg-abcdefg5", UID, UID)
        left.append("eg-abcdefg5")
    clear_abandoned(root)
    rest = ["eg-abcdefg2", "eg-abcdefg3", "elsewhere"]
    assert sorted(path.name for path in root.iterdir()) == sorted([*left, *rest])
    assert (root / "elsewhere" / "ray").is_dir()


def test_a_base_that_another_run_cleared_at_once_is_made_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, cleared = private_base.fcntl.flock, []

    def later(handle: int, how: int) -> None:
        if not cleared:
            (made,) = root.iterdir()
            made.rmdir()
            cleared.append(made)
        lock(handle, how)

    monkeypatch.setattr(private_base.fcntl, "flock", later)
    with private_base._base(root) as base:
        assert base.is_dir() and cleared and base != cleared[0]


def test_a_choice_that_is_too_long(root: Path) -> None:
    """As long as the longest path of Ray allows, and a byte more."""
    most = private_base.SOCKET - len(f"/eg-12345678{private_base.LONGEST}")
    fits = root / ("x" * (most - len(f"{root}/")))
    fits.mkdir()
    assert len(str(fits)) == most and unfit(fits) == ""
    assert place({"RAY_TMPDIR": str(fits)}) == fits
    longer = Path(f"{fits}x")
    longer.mkdir()
    with pytest.raises(UsageError, match=f"^RAY_TMPDIR: {longer} is too long .* {most} bytes; "):
        place({"RAY_TMPDIR": str(longer)})
    # TMPDIR is what a batch system chooses, and not for Ray
    assert place({"TMPDIR": str(longer)}) in {Path("/tmp"), Path("/var/tmp").resolve()}
    assert place({"TMPDIR": str(fits)}) == fits


def test_other_folders_that_take_no_base(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No such file" in unfit(root / "none")
    file = root / "file"
    file.touch()
    assert unfit(file) == f"{file} is no folder that can be written"
    public = root / "public"
    public.mkdir()
    public.chmod(0o777)
    assert unfit(public) == "", "nobody else gets there"
    root.chmod(0o755)
    assert unfit(public) == f"{public} is open to other users (mode 0777)"
    monkeypatch.setattr(private_base, "unfit", lambda folder: f"{folder} is unfit")
    with pytest.raises(UsageError, match=r"/tmp is unfit; /var/tmp is unfit; name one in RAY_TMP"):
        place({})


@needs_root
def test_a_folder_of_another_user_takes_no_base(root: Path) -> None:
    theirs = root / "theirs"
    theirs.mkdir()
    os.chown(theirs, UID, UID)
    with pytest.raises(UsageError, match=f"{theirs} belongs to another user .uid {UID}.; name"):
        place({"RAY_TMPDIR": str(theirs)})


def test_disks_of_other_machines(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert private_base._file_system(Path("/proc")) == "proc"
    for kind in ("nfs4", "cifs", "lustre", "fuse.sshfs"):
        monkeypatch.setattr(private_base, "_file_system", lambda folder, kind=kind: kind)
        assert f"on a disk of another machine ({kind})" in unfit(root)
    for kind in ("ext4", "xfs", "tmpfs", "overlay", "fuse.fuse-overlayfs", ""):
        monkeypatch.setattr(private_base, "_file_system", lambda folder, kind=kind: kind)
        assert unfit(root) == ""


def test_the_first_with_room_is_taken(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = {Path("/tmp"): 1, Path("/var/tmp").resolve(): private_base.ROOM, root: 2}
    usage = shutil._ntuple_diskusage  # type: ignore[attr-defined]
    monkeypatch.setattr(
        private_base.shutil, "disk_usage", lambda folder: usage(10**12, 0, free[folder])
    )
    assert place({"TMPDIR": str(root)}) == Path("/var/tmp").resolve()
    free[Path("/var/tmp").resolve()] = 0
    assert place({"TMPDIR": str(root)}) == root, "the most"
