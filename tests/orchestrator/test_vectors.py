"""A finished run of spectra, and one with numbers beside it; made without Ray."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator.jobs import JOBS
from orchestrator.report.job import write_report
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.runs.records import Records
from tests.orchestrator.finished_runs import make_run
from trainables.targets.base import Target

DOS = Target(name="dos", unit="1/eV", kind="spectrum", shape=(5,))
BOTH = Target(name="gap,energy", unit=None, kind="properties", shape=(2,))
SMALL = {"folds": (0, 1), "dims": (4,), "backbones": ("cgcnn",), "mixing": ("H", "L")}


@pytest.fixture(scope="module", params=[DOS, BOTH], ids=["spectrum", "properties"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("vectors") / "run", target=request.param, **SMALL)


def test_predictions_stay_in_the_records(run: Path) -> None:
    finished = FinishedRun(run)
    finished.demand_files()
    assert pd.read_parquet(finished.predictions).empty
    assert finished.scalars.empty and finished.test_scores.empty
    for row in finished.done.itertuples():
        arrays = Records(run / "records").arrays(row.key)
        assert arrays["predictions/test/value"].shape[1:] == arrays["scaler/mean"].shape
        scores = json.loads(row.scores)
        assert scores[row.metric] == row.test_error
        assert np.isnan(row.test_mae) == (row.metric == "mae_standardised")


def test_a_record_of_another_length_is_damaged(run: Path, tmp_path: Path) -> None:
    records, copy = Records(run / "records"), Records(tmp_path / "records")
    key = FinishedRun(run).done["key"].iloc[0]
    row, arrays = records.read(key), records.arrays(key)
    arrays["predictions/test/value"] = arrays["predictions/test/value"][:, 1:]
    copy.write({name: row[name] for name in records.schema.names}, arrays)
    (error,) = copy.damage([key]).values()
    assert "predictions/test is of another size" in str(error)


def test_the_report_leaves_out_what_has_no_meaning(run: Path) -> None:
    page = write_report(run).read_text()
    assert "Predicted against true" not in page
    metric = FinishedRun(run).done["metric"].iloc[0]
    assert ("standard deviations of each" in page) == (metric == "mae_standardised")
    named = {"mae": "test MAE", "mae_standardised": "test standardised MAE"}
    assert f"{named[metric]}</th>" in page


def test_an_ensemble_of_it_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert JOBS["ensemble"].main([str(run)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "salts: ensembles are of one number or class a crystal; there is nothing" in line
