"""Tensors through the job: trained, scored, written as matrices, reported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator.jobs import JOBS
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.runs.records import Records
from tests.orchestrator.made_tensors import COLUMNS, write_tensors
from tests.orchestrator.small_grids import embedded, grid
from trainables.crystals.parsing import parse
from trainables.models.backbones import BACKBONES
from trainables.representations.columns import column_of
from trainables.representations.shards import load
from trainables.representations.symmetrise import symmetrise
from trainables.representations.tensor_frames import point_group
from trainables.targets.kinds import kind_of
from trainables.targets.tensor import TensorKind
from trainables.training.checkpoint import load_model, predict
from trainables.training.specification import ModelSpec

SCORES = {
    "eps": {"mae trace", "mae refractive index"},
    "stiff": {"mae trace", "mae bulk modulus", "mae shear modulus", "unstable"},
}
COMMON = {"frobenius", "median_frobenius", "within_25"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tensors")
    data = write_tensors(folder / "made.parquet")
    tasks = [f"{name}={data}:{COLUMNS[name]}" for name in SCORES]
    said = grid(
        *("--tasks", *tasks, "--run", str(folder / "run"), "--backbones", "tensor", "schnet"),
        *("--dims", "4", "--mixing", "H", "--folds", "0", "--epochs", "8"),
    )
    assert said.code == 0, said.err
    assert "eps: folds as given" in said.out
    return folder / "run"


def test_each_model_is_scored_by_its_predictions_alone(run: Path) -> None:
    finished = FinishedRun(run)
    assert len(finished.done) == 4 and set(finished.done["metric"]) == {"frobenius"}
    for row in finished.done.itertuples():
        kind = kind_of(ModelSpec.read(row.spec).target)
        arrays = Records(run / "records").arrays(row.key)
        scores = json.loads(row.scores)
        assert scores.keys() == COMMON | SCORES[row.task]
        assert scores["frobenius"] == row.test_error
        assert arrays["predictions/test/value"].shape[1:] == kind.target.shape
    learned = finished.done.groupby("backbone")[["train_error", "dummy_error"]].mean()
    assert (learned["train_error"] < learned["dummy_error"]).all()


def test_the_matrices_obey_the_symmetry_of_their_crystals(run: Path) -> None:
    crystals = {entry.id: parse(entry) for entry in embedded(60)}
    rows = {str(place + 1): crystal for place, crystal in enumerate(crystals.values())}
    finished = FinishedRun(run).done.set_index("key")
    said = pd.read_parquet(run / "tensors.parquet")
    directed = 0
    for row in said.sample(40, random_state=0).itertuples():
        kind = kind_of(ModelSpec.read(finished.loc[row.key, "spec"]).target)
        assert isinstance(kind, TensorKind)
        value = kind.form.components(kind.cartesian(np.array(row.prediction)))
        crystal = rows[row.id]
        apart = kind.form.matrices(point_group(symmetrise(crystal))) @ value - value
        assert np.abs(apart).max() < 1e-12 * max(1.0, float(np.abs(value).max()))
        directed += bool(np.abs(value[kind.form.isotropic :]).max() > 1e-3)
        assert (row.stable is None) == (kind.form.name != "elastic")
    assert directed > 5
    unstable = said[said["stable"].notna() & (said["part"] == "test")]
    counts = unstable.groupby("key")["stable"].agg(lambda sound: (~sound.astype(bool)).sum())
    for key, count in counts.items():
        assert json.loads(finished.loc[key, "scores"])["unstable"] == count


def test_a_loaded_model_predicts_the_same_tensors(run: Path) -> None:
    finished = FinishedRun(run)
    own = finished.done[finished.done["backbone"] == "tensor"]
    row = own[own["task"] == "stiff"].iloc[0]
    model, about = load_model(run / "records" / f"{row['key']}.safetensors")
    (folder,) = (run / "shards" / "stiff").glob("orbits*")
    kind = kind_of(ModelSpec.read(row["spec"]).target)
    data = load(folder, BACKBONES["tensor"].representation.columns, column_of(kind))
    arrays = Records(run / "records").arrays(row["key"])
    rows = arrays["predictions/test/row"]
    found = predict(model, about, data.graphs.take(rows))
    known = np.array([not reason for reason in found.reasons])
    assert known.sum() > 1 and np.isnan(found.values[~known]).all()
    recorded = arrays["predictions/test/value"][known]
    np.testing.assert_allclose(found.values[known], recorded, rtol=1e-4, atol=1e-3)


def test_the_report_compares_networks_with_and_without_directions(run: Path) -> None:
    page = (run / "report.html").read_text()
    assert "Tensors</h2>" in page and "What directions bring" in page
    assert "Predicted against true principal values" in page
    assert "modulus of" in page and "in all directions" in page
    assert "<td>eps</td>" in page and "trivial ÷ error" in page


def test_a_damaged_table_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run / "tensors.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    try:
        assert JOBS["report"].main([str(run)]) == 2
        assert f"{path}: damaged" in capsys.readouterr().err
    finally:
        path.write_bytes(content)


def test_other_jobs_say_that_they_have_no_use_for_tensors(run: Path) -> None:
    for job in ("ensemble", "predict"):
        more = ["--out", str(run / "x.csv"), str(run)] if job == "predict" else []
        assert JOBS[job].main([str(run), *more]) == 2
