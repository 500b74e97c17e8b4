"""Fits from Python, each in a process of its own, and estimators in scikit-learn's manner."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from sklearn.base import clone

import elemgrid
from elemgrid.fitting import _for_python
from orchestrator.fit.flags import parse
from tests.crystals.test_source_folder import CIF

pytestmark = pytest.mark.ray

SALTS = [(metal, halogen) for metal in ("Li", "Na", "K", "Rb") for halogen in ("F", "Cl", "Br")]


def salts(copies: int = 4) -> tuple[list[Structure], np.ndarray]:
    """Rock salts, each in several sizes, and a number that follows from the size."""
    rng = np.random.default_rng(0)
    structures, targets = [], []
    for metal, halogen in SALTS:
        for size in 5 + rng.random(copies):
            cell = Lattice(size / 2 * (np.ones((3, 3)) - np.eye(3)))  # primitive, face-centred
            structures.append(Structure(cell, [metal, halogen], [[0, 0, 0], [0.5, 0.5, 0.5]]))
            targets.append(-100 / size)
    return structures, np.array(targets)


def test_an_estimator_fits_once_and_predicts(
    ray_cluster: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same data again are not trained again; nor is a clone's fit of them."""
    structures, targets = salts()
    model = elemgrid.CrystalRegressor(minutes=0.1, folds=[0], folder=str(tmp_path))
    assert model.fit(structures, targets) is model
    assert capsys.readouterr().out == ""
    mean, std = model.predict(structures[:6], return_std=True)
    assert mean.shape == std.shape == (6,) and (std > 0).all()
    assert np.array_equal(mean, model.predict(structures[:6]))
    assert model.score(structures, targets) < 1
    records = model.run_.folder / "records"
    before = {path.name: path.stat().st_mtime_ns for path in records.iterdir()}
    again = clone(model).fit(structures, targets)
    assert again.run_.folder == model.run_.folder
    assert {path.name: path.stat().st_mtime_ns for path in records.iterdir()} == before
    strange = structures[0].copy()
    strange.replace(0, "X")
    with pytest.raises(ValueError, match=r"structure 1: .*unknown element.*1 of 2"):
        model.predict([structures[0], strange])


def test_an_interrupt_stops_a_fit(
    ray_cluster: object, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As a notebook's stop button does; the process of the fit ends, and its command goes on."""
    structures, targets = salts()
    run = tmp_path / "run"

    def press() -> None:
        while not (run / "fit_progress.json").exists():
            time.sleep(0.1)
        time.sleep(3)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        elemgrid.fit(structures, targets, run=run, minutes=60)
    said = capfd.readouterr().out
    assert "stopped" in said.splitlines()[-1]
    assert (run / "fit_progress.json").exists() and not (run / "fit.json").exists()
    assert not _processes_of(run)


def _processes_of(run: Path) -> list[str]:
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            said = place.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"--run {run}" in said:
            found.append(said)
    return found


def test_errors_are_those_of_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(elemgrid.UsageError, match="no such file"):
        elemgrid.fit(tmp_path / "missing.csv", run=tmp_path / "run", verbose=False)
    structures, targets = salts(1)
    with pytest.raises(ValueError, match="12 structures and 3 targets"):
        elemgrid.fit(structures, targets[:3], run=tmp_path / "run")
    with pytest.raises(TypeError, match="targets: none are given"):
        elemgrid.fit(structures, run=tmp_path / "run")
    with pytest.raises(TypeError, match="PATH:COLUMN"):
        elemgrid.fit(tmp_path / "a.csv", targets, run=tmp_path / "run")
    with pytest.raises(ValueError, match="y has 12 classes"):
        elemgrid.CrystalClassifier().fit(structures, targets)
    with pytest.raises(ValueError, match="take CrystalClassifier"):
        elemgrid.CrystalRegressor().fit(structures, [1.5, 2.5] * 6)
    for run in (".", "", ".."):
        with pytest.raises(elemgrid.UsageError, match="name a folder"):
            elemgrid.fit("ionic", run=run)


def test_errors_name_arguments(tmp_path: Path) -> None:
    data = tmp_path / "bad.csv"
    data.write_text("cif,gap\n" + "x,1\n" * 9 + f'"{CIF}",1\n')
    with pytest.raises(elemgrid.UsageError, match="9 of 10 crystals are bad") as caught:
        elemgrid.fit(data, run=tmp_path / "run", verbose=False)
    assert str(caught.value).endswith("mend the input or raise the limit by max_bad")
    with pytest.raises(elemgrid.UsageError, match=r"^minutes: 0 is wrong"):
        elemgrid.fit(data, run=tmp_path / "run", minutes=0, verbose=False)
    said = _for_python("--run runs/a--run: add --extend, --follow-links or --seeds")
    assert said == "run runs/a--run: add --extend, --follow-links or --seeds", "fit takes no other"


def test_a_crash_is_no_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its exit status is that of a fit of which some models failed."""
    broken = tmp_path / "broken"
    (broken / "elemgrid").mkdir(parents=True)
    (broken / "elemgrid" / "__init__.py").write_text("raise ValueError('of theirs')")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "fit.json").write_text("{}")  # of an earlier fit
    monkeypatch.setattr("sys.path", [str(broken), *sys.path])
    with pytest.raises(elemgrid.UsageError, match="ended with status 1: ValueError: of theirs"):
        elemgrid.fit("ionic", run=tmp_path / "run", verbose=False)


def test_the_call_is_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No path and no name is taken for a flag."""
    seen: list[tuple[str, ...]] = []
    monkeypatch.setattr("elemgrid.fitting._conduct", lambda given, *_, **__: seen.append(given))
    monkeypatch.setattr("elemgrid.fitting.load_run", lambda folder: folder)
    options = {"minutes": 7, "folds": [1, 3], "seed": 5, "max_bad": 0.5, "address": "auto"}
    elemgrid.fit("--version", run=tmp_path / "--help", **options)  # type: ignore[arg-type]
    command = list(seen[0])
    assert command[-2:] == ["--", "--version"]
    parsed = parse(command[1:])
    assert (parsed.structures, parsed.run) == ("--version", tmp_path / "--help")
    asked = (parsed.minutes, parsed.folds, parsed.seed, parsed.max_bad, parsed.address)
    assert asked == (7, (1, 3), 5, 0.5, "auto")


def test_nothing_is_imported_from_where_a_fit_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that others can write into may hold any module."""
    for name in ("json", "hashlib", "torch", "pandas"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(elemgrid.UsageError, match="no such file"):
        elemgrid.fit("missing.csv", run="run", verbose=False)
    assert not (tmp_path / "ran").exists()


def test_a_classifier_has_the_classes_of_its_data(ray_cluster: object, tmp_path: Path) -> None:
    """In the order of y, however a data set would sort or read such words."""
    structures, targets = salts()
    words = np.where(targets < np.median(targets), " 10", "9")
    model = elemgrid.CrystalClassifier(minutes=0.1, folds=[0], folder=str(tmp_path))
    model.fit(iter(structures), words)  # samples may come once
    assert model.classes_.tolist() == [" 10", "9"]
    probabilities = model.predict_proba(structures)
    assert np.allclose(probabilities.sum(axis=1), 1) and (probabilities >= 0).all()
    predicted = model.predict(structures)
    assert np.array_equal(predicted == "9", probabilities[:, 1] > probabilities[:, 0])
    assert model.score(structures, words) > 0.7
