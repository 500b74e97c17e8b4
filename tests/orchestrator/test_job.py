"""How a job begins with a look, and how it ends when the system refuses it something."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.interface.errors import UsageError
from orchestrator.interface.job import OK, conduct
from orchestrator.jobs import JOBS
from orchestrator.runs.run_directory import locked, look_then_work

ROOT = Path(__file__).resolve().parents[2]
LONG = "a" * 300


@pytest.mark.parametrize(
    "name",
    [
        "ENOSPC",
        "EROFS",
        "EIO",
        "ESTALE",
        "ENOTCONN",
        "ENAMETOOLONG",
        "ENOTDIR",
        "EISDIR",
        "EPIPE",
        "EFBIG",
        "EMFILE",
        "ENOENT",
    ],
)
def test_every_error_of_the_system_is_one_line(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    number = getattr(errno, name)

    def work() -> int:
        raise OSError(number, os.strerror(number), "/nfs/run/ledger.parquet")

    assert conduct(work, stopped="again") == 2
    told = f"error: /nfs/run/ledger.parquet: {os.strerror(number)}; again\n"
    assert capsys.readouterr() == ("", told)


@pytest.mark.parametrize("flags", [("doctor", "--run", "x"), ()])
def test_nobody_reads_what_is_printed(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """Like `elemgrid doctor | true`."""
    reads, writes = os.pipe()
    os.close(reads)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator.cli", *flags], stdout=writes, cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, timeout=120,
        )  # fmt: skip
    finally:
        os.close(writes)
    assert (done.returncode, done.stderr) == (141, b"")


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_what_is_no_run_directory(
    tmp_path: Path, dry: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    for run, why in (
        (str(file), f"{file} is no folder"),
        (f"{file}/run", f"{file} is no folder"),
        (LONG, "File name too long"),
        ("\udcff", "not UTF-8"),
    ):
        assert JOBS["hybrid_grid"].main(["--preset", "demo", "--run", run, *dry]) == 2
        assert why in one_line(capsys)


def test_the_doctor_tells_what_is_no_run_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    for run in (str(file), LONG):
        assert JOBS["doctor"].main(["--run", run]) == 1
        assert "BAD   run directory: --run" in capsys.readouterr().out


@pytest.mark.parametrize("tasks", [LONG, "~nosuchuser/x.csv", f"{LONG}:y"])
@pytest.mark.parametrize("job", ["hybrid_grid", "transfer"])
def test_what_is_no_data_set(
    tmp_path: Path, job: str, tasks: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert JOBS[job].main(["--run", str(tmp_path / "run"), "--tasks", tasks]) == 2
    assert len(one_line(capsys)) < 700
    assert not (tmp_path / "run").exists()


@dataclass(frozen=True)
class Asked:
    run: Path
    dry_run: bool


def test_a_dry_run_is_the_look_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = Asked(tmp_path / "run", dry_run=True)
    assert look_then_work(asked, lambda options: "found", lambda options, found: 1 / 0) == OK
    assert capsys.readouterr().out == "the input is sound; nothing is written\n"
    assert not asked.run.exists()


def test_the_work_has_what_was_found_and_the_run_directory_for_itself(tmp_path: Path) -> None:
    asked, done = Asked(tmp_path / "run", dry_run=False), []

    def work(options: Asked, found: str) -> None:
        with pytest.raises(UsageError, match="is working in it"), locked(options.run):
            pass
        done.append(found)

    assert look_then_work(asked, lambda options: "found", work) == OK
    assert done == ["found"]


def test_code_that_libraries_generate_is_in_no_shared_folder(tmp_path: Path) -> None:
    """SchNet's libraries write some when they are imported, and when the first model is made."""
    shared, cache = tmp_path / "shared", tmp_path / "cache"
    shared.mkdir()
    environment = {**os.environ, "TMPDIR": str(shared), "XDG_CACHE_HOME": str(cache)}
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        environment.pop(name, None)
    flags = ["--preset", "demo", "--backbones", "schnet", "--dims", "4", "--folds", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.hybrid_grid", *flags, "--dry-run"],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert not list(shared.iterdir())
    assert (cache / "elemgrid" / "compiled" / "inductor").is_dir()


def test_the_driver_of_a_grid_needs_no_torch() -> None:
    """It takes longer to import than anything else, and only workers train."""
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, orchestrator.hybrid_grid.job; print('torch' in sys.modules)",
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert found.stdout == "False\n", found.stderr
