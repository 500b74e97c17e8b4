"""`pip install elemgrid` alone: a real environment without Ray and without the analyses' packages.

It has what the requirements of pyproject.toml name, directly and indirectly, and nothing else; so a
forgotten one makes a test here fail.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest

from orchestrator.interface.extras import ANALYSIS, RAY
from tests.installations import ROOT, environment, project
from tests.orchestrator.small_grids import rows, write_matbench


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of that environment."""
    return environment(tmp_path_factory.mktemp("base") / "env")


def variables() -> dict[str, str]:
    """Without what would lead into another environment."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def said(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-m", "elemgrid", *arguments],
        env=variables(), cwd=python.parent, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_the_list_of_jobs_and_every_help(python: Path) -> None:
    listed = said(python)
    assert listed.returncode == 0 and "hybrid_grid" in listed.stdout
    version = said(python, "--version").stdout.splitlines()[-1]
    assert version.startswith("python 3.") and version.endswith(" ray (not installed)")
    helped = subprocess.run(
        [python, "-c", HELP], env=variables(), capture_output=True, text=True, check=True
    )
    assert helped.stdout.count("usage: ") == len(json.loads(helped.stderr))


HELP = """
import json, sys
from orchestrator.jobs import JOBS
for job in JOBS.values():
    try:
        job.main(["--help"])
    except SystemExit as end:
        assert not end.code
json.dump(list(JOBS), sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["hybrid_grid", "--preset", "demo", "--address", "auto"],
            '--address auto needs Ray, which is not installed: pip install "elemgrid[ray]"',
        ),
        (["doctor"], 'doctor needs Ray, which is not installed: pip install "elemgrid[ray]"'),
        (
            ["element_groups", "runs/demo"],
            "element_groups needs DEAP, ElementEmbeddings, Numba and Optuna, which are not"
            ' installed: pip install "elemgrid[analysis]"',
        ),
        (
            ["transfer", "--tasks", "steels", "--tables", "mat2vec"],
            "--tables mat2vec needs ElementEmbeddings, which is not installed:"
            ' pip install "elemgrid[analysis]"',
        ),
    ],
    ids=["address", "doctor", "element_groups", "table"],
)
def test_what_is_missing_is_one_line(
    python: Path, tmp_path: Path, arguments: list[str], error: str
) -> None:
    if arguments[0] == "hybrid_grid":
        arguments = [*arguments, "--run", str(tmp_path / "run")]
    if arguments[0] == "transfer":
        formulas = tmp_path / "formulas.csv"
        formulas.write_text("formula,target\n" + "".join(f"Fe{i}C,{i}\n" for i in range(1, 40)))
        arguments = [*arguments[:2], f"{formulas}:target", *arguments[3:]]
        arguments += ["--run", str(tmp_path / "run")]
    found = said(python, *arguments)
    assert (found.returncode, found.stderr) == (2, f"error: {error}\n")
    assert arguments[0] == "transfer" or not (tmp_path / "run").exists()


@pytest.mark.slow
def test_crystals_to_predictions_on_another_machine(python: Path, tmp_path: Path) -> None:
    """`fit`, `predict`, `export` and `predict` from that folder."""
    data = write_matbench(tmp_path / "mine.json.gz", rows(60))
    new = write_matbench(tmp_path / "new.json.gz", rows(10, start=60))
    run, out = tmp_path / "run", tmp_path / "new.csv"
    flags = ["--minutes", "0.01", "--folds", "0", "--run", str(run)]
    fitted = said(python, "fit", str(data), *flags)
    assert fitted.returncode == 0, fitted.stderr
    assert "workers at a time" in fitted.stdout and "this machine: " in fitted.stdout
    assert f"elemgrid predict {run} STRUCTURES" in fitted.stdout
    assert "Your model" in (run / "report.html").read_text()
    assert json.loads((run / "manifest.json").read_text())["hardware"]["cpus"] >= 1
    assert said(python, "predict", str(run), str(new), "--out", str(out)).returncode == 0
    here = pd.read_csv(out)
    assert len(here) == 10 and here["prediction"].notna().all()
    assert said(python, "export", str(run), str(tmp_path / "models")).returncode == 0
    out.unlink()
    there = said(python, "predict", str(tmp_path / "models"), str(new), "--out", str(out))
    assert there.returncode == 0, there.stderr
    pd.testing.assert_frame_equal(pd.read_csv(out), here)


# ------------------------------------------------------------------------------- stopped and killed


class Driver:
    """A grid in that environment, in a process group of its own as a shell would start it."""

    def __init__(self, python: Path, flags: list[str], log: Path) -> None:
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [python, "-m", "orchestrator.hybrid_grid", *flags],
                env=variables() | {"PYTHONUNBUFFERED": "1"}, stdin=subprocess.DEVNULL,
                cwd=log.parent, stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def wait_for(self, run: Path, models: int, seconds: float = 120) -> list[psutil.Process]:
        """The processes that train, once so many models are recorded."""
        end = time.monotonic() + seconds
        while len(recorded(run)) < models:
            assert self.process.poll() is None and time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)
        return psutil.Process(self.process.pid).children()


def recorded(run: Path) -> dict[str, bytes]:
    """Key -> arrays of each recorded model."""
    found = (run / "records").glob("*.json")
    return {path.stem: path.with_suffix(".safetensors").read_bytes() for path in found}


@pytest.fixture
def flags(tmp_path: Path) -> Iterator[list[str]]:
    """Ten arrays of a model each, of a second or more."""
    data = write_matbench(tmp_path / "tiny.json.gz", rows(36))
    yield [
        *("--tasks", str(data), "--run", str(tmp_path / "run"), "--dims", "4", "8"),
        *("--mixing", "H", "--backbones", "cgcnn", "--epochs", "60"),
    ]


def test_stopped_and_killed_and_ended_at_last(
    python: Path, tmp_path: Path, flags: list[str]
) -> None:
    """Ctrl-C in the middle, then kill -9 in the middle, then to the end; no process is left."""
    run = tmp_path / "run"
    driver = Driver(python, flags, tmp_path / "first.log")
    workers = driver.wait_for(run, 2)
    os.killpg(driver.process.pid, signal.SIGINT)
    assert driver.process.wait(20) == 130
    _, left = psutil.wait_procs(workers, timeout=5)
    assert workers and not left
    text, first = driver.log.read_text(), recorded(run)
    assert "\nstopping; what is recorded stays (again: at once)\n" in text
    last = f"stopped with {len(first)} of 10 models recorded; the same command goes on from here"
    assert text.rstrip().endswith(last) and "Traceback" not in text
    assert 2 <= len(first) < 10, "the signal came too late to stop anything"

    driver = Driver(python, flags, tmp_path / "second.log")
    workers = driver.wait_for(run, len(first) + 1)
    driver.process.kill()
    driver.process.wait()
    _, left = psutil.wait_procs(workers, timeout=5)
    assert workers and not left, "processes outlive the driver"
    second = recorded(run)
    assert first.items() < second.items() and len(second) < 10

    driver = Driver(python, flags, tmp_path / "third.log")
    assert driver.process.wait(200) == 0, driver.log.read_text()
    whole = recorded(run)
    assert second.items() < whole.items() and len(whole) == 10
    assert (run / "report.html").exists()


# ------------------------------------------------------------------------------- what needs what

IMPORT_ALL = """
import importlib, json, pkgutil
missing = {}
for package in ("trainables", "analysis", "orchestrator"):
    root = importlib.import_module(package)
    for module in pkgutil.walk_packages(root.__path__, f"{package}.", onerror=lambda name: None):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                missing[module.name] = error.name.partition(".")[0]
print(json.dumps(missing))
"""
# Need Ray by what they import of the modules that the contract lists.
ALSO_RAY = {
    *(f"orchestrator.doctor.{name}" for name in ("cluster_file", "job", "machine", "neighbours")),
    *(f"orchestrator.nodes.{name}" for name in ("on_ray", "private_base", "watchdog")),
}
ANALYSES = ("analysis.clustering", "analysis.consensus.", "analysis.scale.")
JOBS_OF_ANALYSES = ("orchestrator.element_groups.", "orchestrator.element_scale.")


def test_all_modules_but_those_of_the_extras_can_be_imported(python: Path) -> None:
    done = subprocess.run(
        [python, "-c", IMPORT_ALL], env=variables(), capture_output=True, text=True, check=True
    )
    missing = json.loads(done.stdout)
    del missing["trainables.testing"]  # for the tests of other packages: needs pytest
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (ray,) = (one for one in contracts["contracts"] if one["id"] == "ray")
    listed = {line.partition(" -> ")[0] for line in ray["ignore_imports"]}
    of_ray = {name for name, lacks in missing.items() if lacks in ("ray", "grpc", "yaml")}
    assert of_ray == listed | ALSO_RAY
    for name in missing.keys() - of_ray:
        assert name.startswith((*ANALYSES, *JOBS_OF_ANALYSES)), f"{name} lacks {missing[name]}"
        assert not name.endswith(("sections", "files")), "reports need no extra"


def test_the_extras_are_those_of_the_package() -> None:
    asked = {name: {line.partition("[")[0].partition(">")[0].lower() for line in lines}
             for name, lines in project().items()}  # fmt: skip
    assert asked["analysis"] == {name.lower() for _, name in ANALYSIS.modules}
    assert RAY.name in asked and {module for module, _ in RAY.modules} <= asked["ray"]
    assert project()["all"][0] == "elemgrid[ray,analysis]"


def test_in_full_nothing_is_missing() -> None:
    RAY.demand("a test")
    ANALYSIS.demand("a test")
