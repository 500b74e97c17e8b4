"""The job `ensemble` on a run that was made without Ray."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator.ensemble.files import FACTS, PREDICTIONS, RESULTS, FinishedEnsemble
from orchestrator.ensemble.predictions import read_fold
from orchestrator.jobs import JOBS
from orchestrator.report.job import write_report
from tests.orchestrator.finished_runs import make_run, replace_parquet


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("ensemble") / "run", folds=(0, 1, 2, 3, 4), dims=(4,))


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def refused(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    assert JOBS["ensemble"].main(flags) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ")
    return lines[0]


def test_every_test_crystal_is_predicted_once(run: Path) -> None:
    assert JOBS["ensemble"].main([str(run)]) == 0
    predicted = pd.read_parquet(run / PREDICTIONS)
    assert len(predicted) == 30 and predicted["id"].is_unique
    assert (predicted["std"] > 0).all()
    assert (predicted["ci_lower"] < predicted["prediction"]).all()
    facts = json.loads((run / FACTS).read_text())
    ledger = pd.read_parquet(run / "ledger.parquet")
    for fold in facts["folds"]:
        rows = ledger[ledger["fold"] == fold["fold"]]
        # The best single model is that of the ledger's least validation error, and its test error.
        best = rows.loc[rows["val_mae"].idxmin()]
        assert fold["test_mae"]["best"] == pytest.approx(best["test_mae"])
        assert fold["models"] == len(rows) == 6
        assert sum(fold["weights"].values()) == pytest.approx(1)
        assert fold["way"] == min(fold["validation_mae"], key=fold["validation_mae"].get)


def test_the_test_part_decides_nothing(run: Path, tmp_path: Path) -> None:
    """With other test targets, the same models get the same weights."""
    other = Path(shutil.copytree(run, tmp_path / "other"))
    frame = pd.read_parquet(other / "predictions.parquet")
    frame.loc[frame["part"] == "test", "target"] *= -7
    replace_parquet(other, "predictions.parquet", frame)
    for folder in (run, other):
        assert JOBS["ensemble"].main([str(folder)]) == 0
    one, two = (FinishedEnsemble(folder).facts["folds"] for folder in (run, other))
    assert [fold["weights"] for fold in one] == [fold["weights"] for fold in two]
    assert [fold["scale"] for fold in one] == [fold["scale"] for fold in two]
    assert [fold["test_mae"] for fold in one] != [fold["test_mae"] for fold in two]


def test_twice_is_the_same(run: Path) -> None:
    assert JOBS["ensemble"].main([str(run)]) == 0
    before = {name: (run / name).read_bytes() for name in (PREDICTIONS, FACTS)}
    assert JOBS["ensemble"].main([str(run)]) == 0
    assert before == {name: (run / name).read_bytes() for name in before}


def test_what_the_leaderboard_does_not_know_is_not_submitted(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / RESULTS).parent.mkdir()
    (run / RESULTS).write_text("of an earlier ensemble")
    assert JOBS["ensemble"].main([str(run)]) == 0
    assert "salts: not in the submission (no task of the leaderboard)" in capsys.readouterr().out
    assert not (run / RESULTS).exists()


def test_some_of_the_models(run: Path) -> None:
    assert JOBS["ensemble"].main([str(run), "--backbones", "megnet"]) == 0
    assert {fold["models"] for fold in FinishedEnsemble(run).facts["folds"]} == {3}


def test_what_was_asked_is_kept_and_the_report_is_of_these_models(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {}
    for backbone in ("cgcnn", "megnet"):
        assert JOBS["ensemble"].main([str(run), "--tasks", "salts", "--backbones", backbone]) == 0
        facts = FinishedEnsemble(run).facts
        assert (facts["tasks"], facts["backbones"]) == (["salts"], [backbone])
        (best,) = re.findall(r"best configuration (\S+) ", capsys.readouterr().out)
        text = (run / "report.html").read_text()
        section = text.partition(">Ensemble</h2>")[2].partition("</h2>")[0]
        assert f">{best}</td>" in section and f"Models of {backbone} alone" in section
        told[backbone] = best
    assert told["cgcnn"] != told["megnet"]
    assert JOBS["ensemble"].main([str(run)]) == 0
    assert FinishedEnsemble(run).facts["backbones"] == []
    assert " alone.</p>" not in (run / "report.html").read_text()


def test_the_report_tells_of_it(run: Path) -> None:
    assert "Ensemble" not in write_report(run).read_text()
    assert JOBS["ensemble"].main([str(run)]) == 0
    text = (run / "report.html").read_text()
    for title in ("Ensemble", "Ensemble: predictions", "Ensemble: calibration"):
        assert f">{title}</h2>" in text


def test_models_of_other_crystals_are_left_out(run: Path) -> None:
    frame = pd.read_parquet(run / "predictions.parquet")
    ledger = pd.read_parquet(run / "ledger.parquet")
    keys = sorted(ledger.loc[ledger["fold"] == 0, "key"])
    stranger, broken, shy = keys[1], keys[2], keys[3]
    validated = (frame["key"] == stranger) & (frame["part"] == "validation")
    frame.loc[validated, "id"] = frame.loc[validated, "id"] + "x"
    frame.loc[(frame["key"] == broken).idxmax(), "prediction"] = np.nan
    first = ((frame["key"] == shy) & (frame["part"] == "test")).idxmax()
    lacks = frame.loc[first, "id"]
    frame.drop(index=first).to_parquet(run / "predictions.parquet", index=False)
    found = read_fold(run / "predictions.parquet", [(key,) for key in keys])
    assert found.left_out == sorted([stranger, broken])
    assert lacks not in set(found.ids) and len(found.ids) == 5
    assert found.test.shape == (4, 5)


def test_of_two_halves_that_of_the_least_key_is_kept(run: Path) -> None:
    """Whatever the crystals are called, and whatever Python's hashes of these names are."""
    frame = pd.read_parquet(run / "predictions.parquet")
    ledger = pd.read_parquet(run / "ledger.parquet")
    keys = sorted(ledger.loc[ledger["fold"] == 0, "key"])
    others = frame["key"].isin(keys[1:4]) & (frame["part"] == "validation")
    for number in range(8):
        renamed = frame.assign(id=frame["id"].where(~others, frame["id"] + f"x{number}"))
        renamed.to_parquet(run / "predictions.parquet", index=False)
        found = read_fold(run / "predictions.parquet", [(key,) for key in keys])
        assert (
            found.columns == [(key,) for key in (keys[0], *keys[4:])]
            and found.left_out == keys[1:4]
        )


def test_predictions_stand_in_the_order_of_the_data(run: Path) -> None:
    frame = pd.read_parquet(run / "predictions.parquet")
    ledger = pd.read_parquet(run / "ledger.parquet")
    keys = sorted(ledger.loc[ledger["fold"] == 1, "key"])
    found = read_fold(run / "predictions.parquet", [(key,) for key in keys])
    for place, (key,) in enumerate(found.columns):
        rows = frame[(frame["key"] == key) & (frame["part"] == "test")]
        assert rows["id"].tolist() == found.ids.tolist()
        assert rows["prediction"].tolist() == found.test[place].tolist()
        assert rows["target"].tolist() == found.target.tolist()


def test_wrong_usage_is_one_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no model of it is done; there are: salts" in refused(
        capsys, str(run), "--tasks", "sugar"
    )
    assert "there are: cgcnn, megnet" in refused(capsys, str(run), "--backbones", "schnet")
    assert "--seed: -1 is wrong" in refused(capsys, str(run), "--seed", "-1")
    assert "manifest.json: missing" in refused(capsys, str(run.parent))
    assert "did you mean --tasks" in refused(capsys, str(run), "--task", "salts")


def test_a_dry_run_writes_nothing(run: Path) -> None:
    before = sorted(run.rglob("*"))
    assert JOBS["ensemble"].main([str(run), "--dry-run"]) == 0
    assert sorted(run.rglob("*")) == before
