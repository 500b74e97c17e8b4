"""A finished run of classes: its ledger, report, ensemble; made without Ray."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.scores import classification_scores
from orchestrator.ensemble.files import FACTS, PREDICTIONS
from orchestrator.jobs import JOBS
from orchestrator.report.job import write_report
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.runs.run_directory import write_manifest
from tests.orchestrator.finished_runs import make_run
from trainables.targets.base import Target

METAL = Target(name="is_metal", unit=None, kind="binary")
FOLDS = (0, 1, 2, 3, 4)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classes") / "run"
    return make_run(folder, target=METAL, folds=FOLDS, dims=(4,), backbones=("cgcnn",))


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def test_the_ledger_has_true_areas_beside_the_trivial_one(run: Path) -> None:
    finished = FinishedRun(run)
    predictions = pd.read_parquet(finished.predictions).query("part == 'test'")
    assert set(predictions["target"]) == {0, 1}
    for row in finished.done.itertuples():
        mine = predictions[predictions["key"] == row.key]
        assert mine["prediction"].between(0, 1).all()
        known = classification_scores(mine["target"].to_numpy(), mine["prediction"].to_numpy())
        scores = json.loads(row.scores)
        for name in ("roc_auc", "balanced_accuracy", "f1", "accuracy"):
            assert scores[name] == pytest.approx(known[name]), name
        assert row.metric == "1-roc_auc" and pd.isna(row.unit)
        assert row.test_error == pytest.approx(1 - known["roc_auc"])
        assert row.dummy_error == 0.5
        assert np.isnan(row.test_mae) and np.isnan(row.dummy_mae)


def test_the_report_shows_their_scores_and_no_parity(run: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    for data in manifest["datasets"].values():
        data["classes"] = ["insulator", "metal"]
    write_manifest(run, manifest)
    page = write_report(run).read_text()
    assert "is the probability of <b>metal</b>" in page
    assert "test 1 − ROC-AUC" in page and "test balanced accuracy" in page
    assert "area under the ROC curve" in page
    assert "RMSE</th>" not in page and "Predicted against true" not in page
    assert "MAE</th>" not in page


def test_an_ensemble_is_of_probabilities(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert JOBS["ensemble"].main([str(run)]) == 0
    out = capsys.readouterr().out
    assert "salts: test 1 − ROC-AUC" in out and "intervals" not in out
    predicted = pd.read_parquet(run / PREDICTIONS)
    assert predicted["prediction"].between(0, 1).all()
    assert predicted[["std", "ci_lower", "ci_upper"]].isna().all(axis=None)
    for fold in json.loads((run / FACTS).read_text())["folds"]:
        rows = predicted[predicted["fold"] == fold["fold"]]
        known = classification_scores(rows["target"].to_numpy(), rows["prediction"].to_numpy())
        assert fold["scores"] == pytest.approx(known, nan_ok=True)
        assert fold["test_error"][fold["way"]] == pytest.approx(1 - known["roc_auc"])
        assert fold["metric"] == "1-roc_auc" and set(fold["test_error"]) == {
            "best",
            "mean",
            "greedy",
        }
    page = write_report(run).read_text()
    assert "greedy selection" in page and "Calibration" not in page
