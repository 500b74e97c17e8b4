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
    assert "eps: folds of " in said.out
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
    assert "<h1>Models of eps, stiff</h1>" in page and "Error against mixing</h2>" not in page
    assert "of tensors the isotropic one" in page and "R² is 1" not in page
    assert "<th>setting</th>" not in page, "it has no entries"


def test_a_damaged_table_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run / "tensors.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    try:
        assert JOBS["report"].main([str(run)]) == 2
        assert f"{path}: damaged" in capsys.readouterr().err
    finally:
        path.write_bytes(content)


def test_an_ensemble_has_no_use_for_tensors(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert JOBS["ensemble"].main([str(run)]) == 2
    assert "ensembles are of one number or class a crystal" in capsys.readouterr().err


def test_new_structures_get_matrices_from_a_run_and_from_its_export(
    run: Path, tmp_path: Path
) -> None:
    data, out, exported = run.parent / "made.parquet", tmp_path / "p.csv", tmp_path / "e.csv"
    finished = FinishedRun(run).done
    own = finished[(finished["task"] == "stiff") & (finished["backbone"] == "tensor")]
    key = own["key"].iloc[0]
    which = ["--task", "stiff", "--model", key]
    assert JOBS["predict"].main([str(run), str(data), *which, "--out", str(out)]) == 0
    assert JOBS["export"].main([str(run), str(tmp_path / "folder"), *which]) == 0
    assert JOBS["predict"].main([str(tmp_path / "folder"), str(data), "--out", str(exported)]) == 0
    assert out.read_bytes() == exported.read_bytes()
    said = pd.read_csv(out, dtype={"id": str}).set_index("id")
    upper = [f"c{i + 1}{j + 1}" for i in range(6) for j in range(i, 6)]
    assert said.columns.tolist() == [*upper, "spread", "stable", "outside", "reason"]
    recorded = pd.read_parquet(run / "tensors.parquet")
    recorded = recorded[(recorded["key"] == key) & (recorded["part"] == "test")]
    known = 0
    for row in recorded.itertuples():
        matrix = np.array(row.prediction).reshape(6, 6)[np.triu_indices(6)]
        found = said.loc[row.id]
        if not isinstance(found["reason"], str):
            np.testing.assert_allclose(found[upper].astype(float), matrix, rtol=1e-4, atol=1e-3)
            assert bool(found["stable"]) == row.stable and np.isnan(found["spread"])
            known += 1
        else:
            assert "element" in found["reason"] and found[upper].isna().all()
    assert known > 1


def test_members_and_other_tensors_of_a_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(run.parent / "made.parquet")
    assert JOBS["predict"].main([str(run), data, "--task", "eps", "--members"]) == 2
    assert "--members: a column for each model is for numbers" in capsys.readouterr().err
    assert JOBS["predict"].main([str(run), data, "--task", "eps"]) == 0
    assert capsys.readouterr().out.startswith("id,xx,yy,zz,yz,xz,xy,spread,outside,reason\n")
