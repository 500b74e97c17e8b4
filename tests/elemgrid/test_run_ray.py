"""A run from Python: predictions, ledger, tables, and the examples of the docstrings."""

from __future__ import annotations

import doctest
import json
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import elemgrid
from orchestrator.jobs import JOBS
from tests.orchestrator.small_grids import FinishedGrid, rows

pytestmark = pytest.mark.ray

MODULES = ("elemgrid", "elemgrid.run", "elemgrid.fitting", "elemgrid.estimators")


@pytest.fixture(scope="module")
def structures() -> list[dict]:  # type: ignore[type-arg]
    """Of elements that the models know."""
    return [structure for structure, _ in (rows(5)[place] for place in (0, 2, 3))]


def test_it_predicts_what_the_command_line_does(
    finished: FinishedGrid,
    tmp_path: Path,
    structures: list[dict],  # type: ignore[type-arg]
) -> None:
    given, out = tmp_path / "given.json", tmp_path / "found.parquet"
    given.write_text(json.dumps(structures))
    flags = [str(finished.run), str(given), "--members", "--level", "0.5", "--out", str(out)]
    assert JOBS["predict"].main(flags) == 0
    by_command = pd.read_parquet(out).drop(columns="id")
    run = elemgrid.load_run(finished.run)
    found = run.predict(structures, members=True, level=0.5)
    pd.testing.assert_frame_equal(found.drop(columns="id"), by_command)
    assert found["id"].tolist() == ["0", "1", "2"]
    assert (found["lower"] < found["upper"]).all()
    assert run.predictor() is run.predictor()  # stays in memory


def test_a_run_that_changes_predicts_anew(
    finished: FinishedGrid,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    structures: list[dict],  # type: ignore[type-arg]
) -> None:
    """Also where another folder has the same name, seen from elsewhere; or there is none left."""
    monkeypatch.chdir(tmp_path)
    flags = ["--tasks", str(finished.data), "--backbones", "megnet", "--dims", "4", "--mixing", "H"]
    assert JOBS["hybrid_grid"].main([*flags, "--folds", "0", "--epochs", "1", "--run", "b"]) == 0
    shutil.copytree(finished.run, "a")
    first = elemgrid.load_run("a")
    was = first.predict(structures)["prediction"]
    other = elemgrid.load_run("b").predict(structures)["prediction"]
    assert not np.allclose(was, other)
    shutil.rmtree("a")
    shutil.move("b", "a")
    assert np.allclose(first.predict(structures)["prediction"], other)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert np.allclose(first.predict(structures)["prediction"], other)
    shutil.rmtree(tmp_path / "a")
    with pytest.raises(elemgrid.UsageError, match="no such folder"):
        first.predict(structures)


def test_levels_give_intervals_of_their_own(
    finished: FinishedGrid,
    structures: list[dict],  # type: ignore[type-arg]
) -> None:
    """As far as there are validation errors; beyond, a warning."""
    run = elemgrid.load_run(finished.run)
    half, most = run.predict(structures, level=0.3), run.predict(structures, level=0.8)
    assert (most["upper"] > half["upper"]).all()
    with pytest.warns(UserWarning, match="validation errors tell intervals up to level"):
        run.predict(structures, level=0.999)


def test_a_bad_structure_affects_only_its_row(
    finished: FinishedGrid,
    structures: list[dict],  # type: ignore[type-arg]
) -> None:
    """Its numbers are NaN, also where no structure of a list has any."""
    run = elemgrid.load_run(finished.run)
    good = run.predict(structures)
    bad = {**structures[1], "sites": []}
    mixed = run.predict([structures[0], bad, structures[2]])
    assert mixed["reason"].ne("").tolist() == [False, True, False]
    np.testing.assert_allclose(
        mixed["prediction"].drop(1), good["prediction"].drop(1), rtol=1e-6, atol=0
    )
    alone = run.predict([bad])
    assert alone["prediction"].dtype == float and alone["prediction"].isna().all()
    small = run.predict(structures, max_atoms=1)
    assert small["reason"].str.contains("atoms").all()
    assert list(run.predict([]).columns) == list(good.columns)


def test_ledger_tables_and_distances(finished: FinishedGrid) -> None:
    run = elemgrid.load_run(str(finished.run))
    assert repr(run) == f"Run({str(finished.run)!r})"
    assert run.ledger["key"].is_unique and (run.ledger["status"] == "done").all()
    assert set(run.tables) == {path.stem for path in (finished.run / "tables").glob("*.csv")}
    assert all(table.vectors.shape[0] == 118 for table in run.tables.values())
    assert run.distances["distance"].between(0, 2).all()


def test_an_exported_folder_predicts_the_same(
    finished: FinishedGrid,
    tmp_path: Path,
    structures: list[dict],  # type: ignore[type-arg]
) -> None:
    assert JOBS["export"].main([str(finished.run), str(tmp_path / "out")]) == 0
    away = elemgrid.load_run(tmp_path / "out")
    pd.testing.assert_frame_equal(
        away.predict(structures), elemgrid.load_run(finished.run).predict(structures)
    )
    with pytest.raises(elemgrid.UsageError, match="only predicts"):
        _ = away.ledger


def test_what_is_wrong_is_said_in_a_line(finished: FinishedGrid, tmp_path: Path) -> None:
    with pytest.raises(elemgrid.UsageError, match="no such folder"):
        elemgrid.load_run(tmp_path / "missing")
    with pytest.raises(elemgrid.UsageError, match="neither a run nor a folder of export"):
        elemgrid.load_run(tmp_path)
    run = elemgrid.load_run(finished.run)
    for level in (95, "0.9", 0):
        with pytest.raises(elemgrid.UsageError, match="between 0 and 1"):
            run.predict([], level=level)  # type: ignore[arg-type]
    for odd in ({"workers": -1}, {"workers": 2.5}, {"max_atoms": "3"}, {"max_atoms": 0}):
        with pytest.raises(elemgrid.UsageError, match=f"{min(odd)} .*: give a whole number from 1"):
            run.predict([], **odd)  # type: ignore[arg-type]
    with pytest.raises(elemgrid.UsageError, match="no such model"):
        run.predict([], model="nothing")
    with pytest.raises(elemgrid.UsageError, match="other"):
        run.predict([], task="other")


def test_examples_of_the_docstrings(
    ray_cluster: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--tasks", "ionic", "--backbones", "cgcnn", "--dims", "16", "--mixing", "H"]
    flags += ["--folds", "0", "--epochs", "2", "--run", "runs/ionic"]
    assert JOBS["hybrid_grid"].main(flags) == 0
    tried = 0
    for name in MODULES:
        result = doctest.testmod(import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
        assert not result.failed, name
        tried += result.attempted
    assert tried >= 10
