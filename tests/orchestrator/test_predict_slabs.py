"""`elemgrid predict` with a run of `contrast`: what it says of slabs, and what it refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import elemgrid
from orchestrator import cli
from orchestrator.predict.slab_run import predictor_of
from orchestrator.runs import sums
from tests.orchestrator.small_slabs import asked, table_of_slabs, write_slabs
from tests.orchestrator.test_predict import as_json
from trainables.crystals.crystal import Crystal, Entry
from trainables.crystals.parsing import parse
from trainables.crystals.slabs import GeneratedSlabs
from trainables.crystals.symbols import symbol

VALUES = {
    "work_function": "head", "lower": "head_lower", "upper": "head_upper",
    "regression": "regression", "nearest_work_function": "retrieval",
    "nearest_similarity": "nearest_similarity",
}  # fmt: skip


@pytest.fixture(scope="module")
def run(contrast_run: Path) -> Path:
    return contrast_run


def slabs(*names: str) -> list[Entry]:
    """The run's own materials of some names, without their potentials."""
    own = {entry.id: entry for entry in GeneratedSlabs(60).entries()}
    return [own[name] for name in names]


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    capsys.readouterr()
    assert cli.main(["predict", *argv]) == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_the_runs_own_test_materials_get_the_runs_own_predictions(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = pd.read_parquet(run / "contrast_predictions.parquet").set_index("id")
    told = told[told["part"] == "test"]
    table = write_slabs(tmp_path / "slabs.parquet", table_of_slabs(), "id", "structure")
    out = tmp_path / "predicted.parquet"
    assert cli.main(["predict", str(run), str(table), "--out", str(out)]) == 0
    found = pd.read_parquet(out)
    assert list(found.columns) == [
        "id", "work_function", "lower", "upper", "regression", "nearest",
        "nearest_work_function", "nearest_similarity", "outside", "reason",
    ]  # fmt: skip
    assert len(found) == 60
    learned = predictor_of(run, None, "ensemble").elements
    for entry, reason in zip(slabs(*found["id"]), found["reason"], strict=True):
        strange = np.setdiff1d(parse(entry).numbers, learned)
        named = "; ".join(f"element {symbol(z)}" for z in strange)
        assert reason == (f"no model can say anything: {named}" if named else "")
    found = found.set_index("id").loc[told.index]
    found = found[found["reason"] == ""]
    told = told.loc[found.index]
    assert len(found) >= 5
    for name, column in VALUES.items():
        np.testing.assert_allclose(found[name], told[column], atol=1e-5, err_msg=name)
    assert (found["nearest"] == told["nearest"]).all()
    assert "of 2 contrastive models, 2 regressions" in capsys.readouterr().err


def test_levels_are_those_of_the_ensemble(run: Path) -> None:
    predictor = predictor_of(run, None, "ensemble")
    entries = slabs(*predictor.ids[:3])
    narrow, wide = (predictor.predict(entries, level).numbers for level in (0.5, 0.8))
    np.testing.assert_array_equal(narrow["work_function"], wide["work_function"])
    assert (narrow["upper"] < wide["upper"]).all() and (narrow["lower"] > wide["lower"]).all()
    assert predictor.max_atoms == asked().max_atoms


def test_a_bad_slab_affects_only_itself(run: Path) -> None:
    predictor = predictor_of(run, None, "ensemble")
    entry = slabs(predictor.ids[0])[0]
    crystal = parse(entry)
    numbers = crystal.numbers.copy()
    numbers[0] = 54
    others = {
        "xenon": as_json(replace(crystal, numbers=numbers)),
        "bulk": json.dumps(BULK),
        "broken": "{}",
    }
    entries = [entry] + [
        Entry(row, name, "json", text, None, name)
        for row, (name, text) in enumerate(others.items())
    ]
    alone, found = predictor.predict([entry], 0.9), predictor.predict([*entries, entry], 0.9)
    assert found.reasons[0] == found.outside[0] == ""
    assert found.reasons[1] == "no model can say anything: element Xe"
    assert found.outside[1:4] == ["element Xe", "", ""]
    assert found.reasons[2].startswith("too little vacuum: atoms are 2.") and found.reasons[3]
    for name, values in found.numbers.items():
        assert np.isnan(values[1:4]).all(), name
        np.testing.assert_allclose(values[[0, 4]], alone.numbers[name][0], atol=1e-5)
    assert found.nearest[1:4] == [None] * 3 and found.nearest[0] == alone.nearest[0]
    atom = as_json(Crystal(crystal.numbers[:1], crystal.frac[:1], 30 * np.eye(3)))
    lone = predictor.predict([Entry(0, "lone", "json", atom, None, "lone")], 0.9)
    assert lone.outside == ["few neighbours"] and np.isfinite(lone.numbers["work_function"][0])
    nothing = predictor.predict(entries[1:], 0.9)
    assert np.isnan(nothing.numbers["work_function"]).all()


def test_a_slab_as_ase_makes_it_repeats_along_a_and_b_alone(run: Path) -> None:
    predictor = predictor_of(run, None, "ensemble")
    (entry,) = slabs(predictor.ids[0])
    told = json.loads(entry.text)
    told["lattice"]["pbc"] = [True, True, False]
    found = predictor.predict([entry, replace(entry, text=json.dumps(told))], 0.9)
    assert found.reasons == ["", ""]
    np.testing.assert_allclose(*found.numbers["work_function"], atol=1e-5)


BULK = {
    "lattice": {"matrix": [[4.2, 0, 0], [0, 4.2, 0], [0, 0, 4.2]]},
    "sites": [
        {"species": [{"element": element, "occu": 1}], "abc": abc}
        for element, places in {
            "Mg": ([0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]),
            "O": ([0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5], [0.5, 0.5, 0.5]),
        }.items()
        for abc in places
    ],
}


def test_a_slab_without_a_prediction_is_an_empty_row(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bulk.json"
    path.write_text(json.dumps(BULK))
    assert cli.main(["predict", str(run), str(path)]) == 1
    out = capsys.readouterr().out.splitlines()
    with pytest.warns(UserWarning, match="6 validation errors tell intervals up to level 0.8571"):
        frame = elemgrid.load_run(run).predict(path)
    assert frame["work_function"].dtype == float and frame["nearest"].isna().all()
    assert out[1].startswith(
        f'{path},,,,,,,,,"too little vacuum: atoms are 2.1 Å apart along c at most'
    )


def test_what_is_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bulk.json"
    path.write_text(json.dumps(BULK))
    for flags in (["--task", "x"], ["--model", "best"]):
        assert "has no --task and no --model" in refused(capsys, str(run), str(path), *flags)
    assert "--members: a run of contrast has none" in refused(
        capsys, str(run), str(path), "--members"
    )


def copied(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copy"))


def test_a_run_whose_ledger_changed_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = copied(run, tmp_path)
    ledger = pd.read_parquet(run / "contrast_ledger.parquet")
    ledger.iloc[1:].to_parquet(other / "contrast_ledger.parquet")
    (tmp_path / "x.json").write_text(json.dumps(BULK))
    given = str(other), str(tmp_path / "x.json")
    assert "its SHA-256 is not that in SHA256SUMS" in refused(capsys, *given)
    sums.note(other, {"contrast_ledger.parquet": sums.of_file(other / "contrast_ledger.parquet")})
    assert "made from another ledger than the run has now; run contrast again" in refused(
        capsys, *given
    )


def test_a_run_that_is_not_whole_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = copied(run, tmp_path)
    (tmp_path / "x.json").write_text(json.dumps(BULK))
    given = str(other), str(tmp_path / "x.json")
    weights = next((other / "records").glob("*.safetensors"))
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert f"{weights}: damaged" in refused(capsys, *given)
    weights.write_bytes(content)
    embedded = other / "contrast_embeddings.parquet"
    pd.read_parquet(embedded).drop(columns="work_function").to_parquet(embedded)
    sums.note(other, {embedded.name: sums.of_file(embedded)})
    assert "of an earlier version, without work functions" in refused(capsys, *given)
    (other / "contrast.json").unlink()
    assert "is no finished run; let contrast end first" in refused(capsys, *given)
