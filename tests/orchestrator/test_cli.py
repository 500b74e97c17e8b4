"""`elemgrid JOB`: the jobs behind one command."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import cli
from orchestrator.jobs import JOBS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_without_a_job_the_jobs_are_listed(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 0
    out, err = capsys.readouterr()
    assert out.startswith("usage: elemgrid JOB") and err == ""
    for name, job in JOBS.items():
        assert name in out and job.summary in out


@pytest.mark.parametrize(
    ("asked", "words"),
    [("hybrid_gird", "did you mean hybrid_grid?"), ("reprot", "did you mean report?"),
     ("zzz", "hybrid_grid, ensemble"), ("--run", "hybrid_grid, ensemble")],
)  # fmt: skip
def test_an_unknown_job_is_one_line(
    asked: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([asked, "--preset", "demo"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert err.startswith(f"error: no job {asked!r}") and words in err


@pytest.mark.parametrize("job", list(JOBS))
def test_every_job_can_be_asked_for_help(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([job, "--help"])
    assert ended.value.code == 0
    assert f"usage: elemgrid {job}" in capsys.readouterr().out


@pytest.mark.parametrize("job", [None, *JOBS])
def test_elemgrid_and_every_job_tell_their_versions(
    job: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if job is None:
        assert cli.main(["--version"]) == 0
    else:
        with pytest.raises(SystemExit) as ended:
            cli.main([job, "--version"])
        assert ended.value.code == 0
    out, err = capsys.readouterr()
    assert out.startswith("elemgrid ") and "torch " in out.splitlines()[1] and err == ""


def test_a_job_gets_its_own_arguments_and_gives_its_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("hybrid_grid", "hybrid-grid"):
        assert cli.main([name, "--preset", "demo", "--dims", "0", "--run", str(tmp_path)]) == 2
        assert "--dims: 0 is wrong" in capsys.readouterr().err
    assert cli.main(["report", str(tmp_path)]) == 2
    assert "manifest.json: missing" in capsys.readouterr().err


def brought_in(module: str, names: set[str]) -> set[str]:
    """Which of some modules a fresh process has after it imported one of ours."""
    code = f"import sys, {module}; print(*({names} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


def test_what_is_brought_in_is_seen() -> None:
    assert brought_in("json", {"json", "torch"}) == {"json"}


HEAVY = {"torch", "ray", "pandas", "scipy", "sklearn", "pymatgen", "plotly", "numba", "requests"}


@pytest.mark.parametrize("module", ["cli", *(f"{job}.flags" for job in JOBS)])
def test_a_command_line_is_read_without_what_its_work_needs(module: str) -> None:
    """Each of these alone takes a good part of the half second that `--help` may take."""
    assert not brought_in(f"orchestrator.{module}", HEAVY)


@pytest.mark.parametrize("job", JOBS)
def test_help_comes_at_once(job: str) -> None:
    """Within 0.5 s where nothing else runs; on a machine at work processor time says more."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", f"orchestrator.{job}", "--help"],
        cwd=ROOT, capture_output=True, timeout=60,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, done.stderr) == (0, b"")
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3 * 0.5


def test_a_grid_begins_without_what_its_end_alone_wants() -> None:
    """Each driver and many a worker would wait for these, some of them for a second."""
    slow = {"sklearn", "scipy.stats", "matplotlib", "pymatgen.core", "optuna", "deap", "plotly"}
    assert not brought_in("orchestrator.hybrid_grid.job", slow)


def test_a_worker_begins_to_train_without_what_reads_crystals_and_draws() -> None:
    slow = {"sklearn", "scipy", "matplotlib", "pymatgen", "optuna", "deap", "plotly", "numba"}
    modules = "orchestrator.training.trials, trainables.training.fit, trainables.models.megnet"
    assert not brought_in(modules, slow)


@pytest.mark.parametrize("job", list(JOBS))
def test_a_mistyped_flag_is_told_before_the_job_is_imported(job: str) -> None:
    code = (
        "import sys; from orchestrator import cli;"
        f"status = cli.main([{job!r}, '--rum']);"
        f"sys.exit(99 if 'orchestrator.{job}.job' in sys.modules else status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "did you mean --run?" in done.stderr or "required" in done.stderr


def test_ctrl_c_while_a_job_is_imported_is_one_line() -> None:
    code = """
import os, signal, sys
from orchestrator import cli
class Finder:
    def find_spec(self, name, path, target=None):
        if name == "pandas":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
sys.exit(cli.main(["report", "."]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\nstopped at once\n")
