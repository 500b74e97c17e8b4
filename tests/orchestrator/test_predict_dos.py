"""`elemgrid predict` with a run of `dos`: densities of states of new crystals, and refusals."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import elemgrid
from orchestrator import cli
from orchestrator.dos.flags import parse
from orchestrator.predict.curve_run import predictor_of
from orchestrator.predict.curves import CurvePredictor, Ensemble, labels
from orchestrator.predict.networks import Model
from orchestrator.runs import sums
from orchestrator.runs.ledger import LEDGER, digest_of
from tests.orchestrator.small_densities import poscar, with_silver
from trainables.crystals.crystal import Entry
from trainables.crystals.symbols import symbol
from trainables.training.density_models import rebuilt
from trainables.training.density_spec import DensitySpec

NAMES = {
    "prediction": "density", "deviation": "deviation", "at_fermi_predicted": "at_fermi",
    "at_fermi_deviation": "at_fermi_deviation",
}  # fmt: skip


@pytest.fixture(scope="module")
def predictor(dos_run: Path) -> CurvePredictor:
    return predictor_of(dos_run, None, "ensemble")


def entries(*structures: str) -> list[Entry]:
    """Files of VASP."""
    return [
        Entry(row, f"new-{row}", "poscar", text, None, f"row {row}")
        for row, text in enumerate(structures)
    ]


def salts() -> dict[str, Entry]:
    """The crystals of the run by id, without their densities."""
    table = with_silver()
    made = entries(*map(str, table["poscar"]))
    return dict(zip(map(str, table["material_id"]), made, strict=True))


SILVER = poscar("Ag", "Br", 5.77)
SALT = poscar("Na", "Cl", 5.64)


def refused(capsys: pytest.CaptureFixture[str], *argv: str, job: str = "predict") -> str:
    capsys.readouterr()
    assert cli.main([job, *argv]) == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_a_fold_alone_says_of_its_test_crystals_what_the_run_says(
    dos_run: Path, predictor: CurvePredictor
) -> None:
    told = pd.read_parquet(dos_run / "dos_predictions.parquet")
    crystals = salts()
    assert [one.fold for one in predictor.ensembles] == [0, 1]
    for one in predictor.ensembles:
        rows = told[(told["fold"] == one.fold) & ~told["id"].str.startswith("silver")]
        assert len(rows) >= 5
        alone = replace(predictor, ensembles=(one,))
        found = alone.predict([crystals[name] for name in rows["id"]], 0.95)
        assert not any(found.reasons) and not any(found.outside)
        for theirs, ours in NAMES.items():
            true = np.stack(rows[theirs].tolist())
            np.testing.assert_allclose(found.values[ours], true, atol=1e-5, err_msg=ours)


def test_folds_are_averaged_that_know_the_elements(predictor: CurvePredictor) -> None:
    """Silver is in the test part of fold 0 alone."""
    given = entries(SALT, SILVER)
    each = [
        replace(predictor, ensembles=(one,)).predict(given, 0.95) for one in predictor.ensembles
    ]
    found = predictor.predict(given, 0.95)
    assert each[0].outside == ["", "element Ag"] and each[1].outside == found.outside == ["", ""]
    for name, values in found.values.items():
        first, second = (one.values[name] for one in each)
        np.testing.assert_allclose(values[0], (first[0] + second[0]) / 2)
        assert np.isnan(first[1]).all()
        np.testing.assert_array_equal(values[1], second[1])


def test_members_that_held_an_element_back_are_left_out(predictor: CurvePredictor) -> None:
    fold = predictor.ensembles[1]
    knows = [symbol(47) in map(symbol, own) for own in fold.elements]
    assert sorted(knows) == [False, True, True, True]

    def said(elements: list[tuple[int, ...]]) -> dict[str, np.ndarray]:
        own = replace(fold, elements=tuple(elements))
        found = replace(predictor, ensembles=(own,)).predict(entries(SALT, SILVER), 0.95)
        return dict(found.values)

    salt = tuple(z for z in fold.elements[knows.index(True)] if z != 47)
    each = [
        said([own if at == k else (1,) for at in range(4)]) for k, own in enumerate(fold.elements)
    ]
    all_of, one_of = said(list(fold.elements)), said([(*salt, 47), salt, salt, salt])
    for place, members in (
        (0, each),
        (1, [own for own, met in zip(each, knows, strict=True) if met]),
    ):
        densities = np.stack([own["density"][place] for own in members])
        np.testing.assert_allclose(all_of["density"][place], densities.mean(0), atol=1e-6)
        np.testing.assert_allclose(all_of["deviation"][place], densities.std(0, ddof=1), atol=1e-6)
    assert np.isfinite(one_of["density"]).all() and np.isfinite(one_of["deviation"][0]).all()
    assert np.isnan(one_of["deviation"][1]).all()  # one network has none


def test_a_bad_crystal_affects_only_itself(predictor: CurvePredictor) -> None:
    strange = poscar("Na", "Xe", 5.64)
    lone = poscar("Na", "Cl", 40.0)
    given = entries(SALT, strange, "no structure", lone, SALT)
    alone, found = predictor.predict(given[:1], 0.95), predictor.predict(given, 0.95)
    assert found.outside == ["", "element Xe", "", "few neighbours", ""]
    assert found.reasons[1] == "no model can say anything: element Xe" and found.reasons[2]
    assert [found.reasons[row] for row in (0, 3, 4)] == [""] * 3
    for name, values in found.values.items():
        assert np.isnan(values[1:3]).all() and np.isfinite(values[3]).all()
        for row in (0, 4):
            np.testing.assert_allclose(values[row], alone.values[name][0], atol=1e-6)
    nothing = predictor.predict(given[1:3], 0.95)
    assert np.isnan(nothing.values["density"]).all() and all(nothing.reasons)


def test_a_table_has_a_column_for_each_energy(
    dos_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "POSCAR"
    path.write_text(SALT)
    assert cli.main(["predict", str(dos_run), str(path)]) == 0
    told = capsys.readouterr()
    assert (
        "salts: density of states of electrons, scaled to the maximum 1 of each crystal, at 21"
        " energies from -10 to 10 eV, by 8 networks of 2 folds, which are averaged"
    ) in told.err
    out = tmp_path / "found.parquet"
    assert cli.main(["predict", str(dos_run), str(path), "--out", str(out)]) == 0
    text, stored = pd.read_csv(io.StringIO(told.out)), pd.read_parquet(out)
    energies = list(map(str, range(-10, 11)))
    assert list(text.columns) == list(stored.columns) == [
        "id", "at_fermi", "at_fermi_deviation", *(f"density_{one}" for one in energies),
        *(f"deviation_{one}" for one in energies), "outside", "reason",
    ]  # fmt: skip
    numbers = stored.columns[1:-2]
    np.testing.assert_allclose(text[numbers], stored[numbers], rtol=1e-8)
    assert stored["at_fermi"][0] == stored["density_0"][0]
    frame = elemgrid.load_run(dos_run).predict(path)
    pd.testing.assert_frame_equal(frame, stored)
    nothing = elemgrid.load_run(dos_run).predict([])
    assert list(nothing.columns) == list(stored.columns) and nothing.empty


@pytest.mark.parametrize(
    ("low", "high", "points", "first"),
    [
        (-10, 10, 400, ["-10", "-9.949875", "-9.899749"]),
        (-3, 1, 9, ["-3", "-2.5", "-2"]),
        (0, 1e9, 3, ["0", "500000000", "1000000000"]),
        (0, 1e-6, 3, ["0", "0.0000005", "0.000001"]),
    ],
)
def test_energies_as_text(low: float, high: float, points: int, first: list[str]) -> None:
    found = labels(np.linspace(low, high, points))
    assert found[:3] == first and len(set(found)) == points
    assert "0" in labels(np.linspace(-1, 1, 11))  # none is -0, or 1e-17


def test_the_predictor_is_told_apart_by_what_predicts(predictor: CurvePredictor) -> None:
    first, second = predictor.ensembles
    others = [
        predictor,
        replace(predictor, max_atoms=7),
        replace(predictor, ensembles=(first,)),
        replace(predictor, ensembles=(second,)),
        replace(predictor, ensembles=(replace(first, elements=((11,),) * 4), second)),
    ]
    assert len({one.digest for one in others}) == len(others)
    assert predictor.max_atoms == parse(["--data", "x.parquet"]).max_atoms


def test_an_interrupted_table_goes_on(
    dos_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.predict.inputs.ROWS_PER_BLOCK", 1)
    paths = [tmp_path / f"{name}.vasp" for name in "abc"]
    for path, anion in zip(paths, ("Cl", "Br", "I"), strict=True):
        path.write_text(poscar("Na", anion, 6.0))
    out, whole = tmp_path / "found.csv", tmp_path / "whole.csv"
    flags = [str(dos_run), *map(str, paths), "--workers", "1", "--out"]
    assert cli.main(["predict", *flags, str(whole)]) == 0
    predict, seen = CurvePredictor.predict, []

    def interrupted(self: CurvePredictor, block: list[Entry], level: float) -> object:
        seen.append(block[0].id)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return predict(self, block, level)

    monkeypatch.setattr(CurvePredictor, "predict", interrupted)
    assert cli.main(["predict", *flags, str(out)]) == 130 and not out.exists()
    assert cli.main(["predict", *flags, str(out)]) == 0
    assert [Path(one).name[0] for one in seen] == ["a", "b", "b", "c"]
    assert out.read_bytes() == whole.read_bytes()


def test_phonons_have_no_fermi_level(predictor: CurvePredictor) -> None:
    def of_phonons(model: Model[DensitySpec]) -> Model[DensitySpec]:
        window = replace(model.spec.window, fermi=False)
        return replace(model, spec=replace(model.spec, window=window))

    def among(one: Ensemble) -> Ensemble:
        return replace(one, models=tuple(map(of_phonons, one.models)))

    other = replace(predictor, ensembles=tuple(map(among, predictor.ensembles)))
    found = other.predict(entries(SALT), 0.95)
    assert list(found.values) == ["density", "deviation"]
    assert "of phonons" in (line := other.described()[0]) and "in the unit of the file" in line
    table = found.table(members=False)
    assert list(table)[:2] == ["id", "density_-10"] and len(table) == 3 + 2 * 21


def test_what_is_refused(dos_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "POSCAR"
    path.write_text(SALT)
    given = str(dos_run), str(path)
    for flags in (["--task", "x"], ["--model", "best"]):
        assert "a run of dos has no --task and no --model" in refused(capsys, *given, *flags)
    assert "--members: a run of dos has none" in refused(capsys, *given, "--members")
    line = refused(capsys, str(dos_run), str(tmp_path / "folder"), job="export")
    assert "a run of dos; only runs of fit and hybrid_grid are exported" in line
    with pytest.raises(elemgrid.UsageError, match="a run of dos; distances and tables are of"):
        _ = elemgrid.load_run(dos_run).tables
    assert "fold" in elemgrid.load_run(dos_run).ledger
    other = tmp_path / "transfer"
    other.mkdir()
    (other / "manifest.json").write_text(json.dumps({"job": "transfer"}))
    assert "a run of transfer; runs that predict are of fit, hybrid_grid, contrast or dos" in (
        refused(capsys, str(other), str(path))
    )


def test_a_run_that_is_not_whole_is_refused(
    dos_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Path(shutil.copytree(dos_run, tmp_path / "copy"))
    (tmp_path / "POSCAR").write_text(SALT)
    given = str(other), str(tmp_path / "POSCAR")
    facts = json.loads((other / "dos.json").read_text())
    learned = [row.pop("elements") for row in facts["folds"]]
    assert not any("Ag" in own for own in learned[0].values())
    assert sum("Ag" in own for own in learned[1].values()) == 3  # one holds the crystal back
    assert all({symbol(11), symbol(17)} <= set(own) for own in learned[0].values())
    sums.write_json(other, "dos.json", facts)
    assert "dos.json: of an earlier version, without the elements" in refused(capsys, *given)
    ledger = pd.read_parquet(other / "dos_ledger.parquet").iloc[1:]
    ledger.to_parquet(other / "dos_ledger.parquet")
    sums.note(other, {"dos_ledger.parquet": sums.of_file(other / "dos_ledger.parquet")})
    assert "made from another ledger than the run has now; run dos again" in refused(capsys, *given)
    (other / "dos.json").unlink()
    assert "is no finished run; let dos end first" in refused(capsys, *given)


def test_parts_of_a_learning_curve_and_members_alone_do_not_predict(
    dos_run: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(dos_run, tmp_path / "copy"))
    ledger = pd.read_parquet(other / "dos_ledger.parquet")

    def folds() -> dict[int, int]:
        """Members by fold, once the files say that they are of this ledger."""
        sums.write_parquet(other, "dos_ledger.parquet", pa.Table.from_pandas(ledger))
        facts = json.loads((other / "dos.json").read_text())
        facts[sums.MADE_FROM] = {LEDGER: digest_of(ledger)}
        sums.write_json(other, "dos.json", facts)
        ensembles = predictor_of(other, None, "ensemble").ensembles
        return {one.fold: len(one.models) for one in ensembles}

    ledger.loc[(ledger["fold"] == 1) & (ledger["member"] == 0), "status"] = "failed"
    assert folds() == {0: 4, 1: 3}
    ledger.loc[ledger["fold"] == 0, "share"] = 0.5
    assert folds() == {1: 3}


def test_models_of_another_version_are_refused(predictor: CurvePredictor) -> None:
    spec = predictor.ensembles[0].models[0].spec
    with pytest.raises(ValueError, match="made with version 1 of the training, and "):
        rebuilt(replace(spec, training=1), {})
    with pytest.raises(ValueError, match="the weights are those of another network"):
        rebuilt(spec, {})
