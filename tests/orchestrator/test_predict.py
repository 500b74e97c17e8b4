"""`elemgrid predict` and `elemgrid export`, on runs that were made without Ray."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator.jobs import JOBS
from orchestrator.predict import folder as exported
from orchestrator.predict import work
from orchestrator.predict.from_run import predictor_of
from orchestrator.predict.job import rows_of
from orchestrator.runs import durable
from tests.orchestrator.finished_runs import make_run, write_shards
from trainables import checksum
from trainables.crystals.crystal import Crystal, Entry
from trainables.crystals.symbols import symbol
from trainables.targets.base import Target
from trainables.testing.crystals import made_up

CRYSTALS = 30
KINDS = {
    "numbers": {},
    "classes": {"target": Target(name="metal", unit=None, kind="binary")},
    "inner": {"inner_folds": 3, "mixing": ("H", "residual")},
}


def as_json(crystal: Crystal) -> str:
    """A crystal as pymatgen writes it."""
    sites = [
        {"species": [{"element": symbol(int(z)), "occu": 1}], "abc": place.tolist()}
        for z, place in zip(crystal.numbers, crystal.frac, strict=True)
    ]
    return json.dumps({"lattice": {"matrix": crystal.lattice.tolist()}, "sites": sites})


def entries_of(crystals: Sequence[Crystal]) -> list[Entry]:
    return [
        Entry(row, f"made-{row}", "json", as_json(crystal), None, f"here:{row}")
        for row, crystal in enumerate(crystals)
    ]


def structures_in(folder: Path, crystals: Sequence[Crystal]) -> list[str]:
    """A JSON file for each crystal; their paths in order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"made-{row}.json" for row in range(len(crystals))]
    for path, crystal in zip(paths, crystals, strict=True):
        path.write_text(as_json(crystal))
    return list(map(str, paths))


@pytest.fixture(scope="module", params=list(KINDS))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param) / "run"
    folds = (0, 1, 2, 3, 4)
    make_run(folder, folds=folds, dims=(4,), backbones=("cgcnn", "schnet"), **KINDS[request.param])
    return write_shards(folder, CRYSTALS)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("few") / "run", backbones=("cgcnn",), dims=(4,))
    return write_shards(folder, CRYSTALS)


def predicted(capsys: pytest.CaptureFixture[str], *flags: str) -> pd.DataFrame:
    capsys.readouterr()
    assert JOBS["predict"].main(flags) == 0
    return pd.read_csv(io.StringIO(capsys.readouterr().out), keep_default_na=False)


def refused(capsys: pytest.CaptureFixture[str], job: str, *flags: str) -> str:
    capsys.readouterr()
    assert JOBS[job].main(flags) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert told[-1].startswith("error: ") and not any("Traceback" in line for line in told)
    return told[-1]


def test_each_fold_predicts_its_test_part_as_the_ensemble_does(made: Path) -> None:
    """What the run itself says of its test crystals, from their structures anew."""
    assert JOBS["ensemble"].main([str(made)]) == 0
    told = pd.read_parquet(made / "ensemble.parquet").set_index("id")
    predictor = predictor_of(made, None, "ensemble")
    entries = entries_of(made_up(CRYSTALS))
    found = predictor.predict(entries, 0.95)
    every = {key: np.ones(CRYSTALS, bool) for key in found.members}
    for fold in predictor.folds:
        own = predictor.combined(found.members, every, 0.95, [fold])
        names = told.index[told["fold"] == fold.fold]
        places = [int(name.removeprefix("made-")) for name in names]
        for row, column in enumerate(("prediction", "std", "ci_lower", "ci_upper")):
            given = told.loc[names, column].to_numpy()
            np.testing.assert_allclose(own[row, places], given, rtol=1e-5, atol=1e-6)


def test_the_folds_are_averaged(made: Path) -> None:
    predictor = predictor_of(made, None, "ensemble")
    found = predictor.predict(entries_of(made_up(CRYSTALS)), 0.5)
    every = {key: np.ones(CRYSTALS, bool) for key in found.members}
    each = [predictor.combined(found.members, every, 0.5, [fold])[0] for fold in predictor.folds]
    assert len(each) == 5
    np.testing.assert_allclose(found.prediction, np.mean(each, axis=0))
    if predictor.panel.target.kind == "scalar":
        assert (found.lower < found.prediction).all() and (found.prediction < found.upper).all()
        wide = predictor.predict(entries_of(made_up(CRYSTALS)), 0.95)
        assert (wide.upper - wide.lower >= found.upper - found.lower).all()
    else:
        assert np.isnan(found.std).all() and np.isnan(found.lower).all()


def test_an_exported_folder_predicts_the_same_bits(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    structures = structures_in(tmp_path / "new", made_up(5))
    here = predicted(capsys, str(made), *structures, "--members")
    folder = tmp_path / "models"
    assert JOBS["export"].main([str(made), str(folder)]) == 0
    there = predicted(capsys, str(folder), *structures, "--members")
    pd.testing.assert_frame_equal(here, there)
    assert len(here.columns) > 7 and list(here["id"]) == structures


ALONE = """
import sys
blocked = {"ray", "pyarrow", "pydantic", "sklearn", "numba", "deap", "optuna", "torch_geometric",
           "e3nn", "elementembeddings", "mendeleev", "pandas"}

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"no {name}", name=name)

sys.meta_path.insert(0, Missing())
from orchestrator import cli
sys.exit(cli.main(sys.argv[1:]))
"""


def test_torch_numpy_and_pymatgen_suffice(numbers: Path, tmp_path: Path) -> None:
    folder, structures = tmp_path / "models", structures_in(tmp_path / "new", made_up(3))
    assert JOBS["export"].main([str(numbers), str(folder)]) == 0
    command = [sys.executable, "-c", ALONE, "predict", str(folder), *structures]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert len(found.stdout.splitlines()) == 4


def test_an_exported_folder_has_no_names_structures_or_targets(
    numbers: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    assert JOBS["export"].main([str(numbers), str(folder)]) == 0
    content = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"weights/" in content
    assert b"made-" not in content and b"predictions/" not in content


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_row_for_each_structure_in_the_order_given(
    numbers: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    structures = structures_in(tmp_path / "new", made_up(4))
    Path(structures[2]).write_text(as_json(made_up(4)[2]).replace("lattice", "lettuce"))
    out = tmp_path / f"found{suffix}"
    assert JOBS["predict"].main([str(numbers), *structures[::-1], "--out", str(out)]) == 0
    read = pd.read_csv if suffix == ".csv" else pd.read_parquet
    found = read(out)
    assert list(found["id"]) == structures[::-1]
    assert found["prediction"].isna().tolist() == [False, True, False, False]
    reasons = found["reason"].fillna("")
    assert "lattice" in reasons[1] and list(reasons[[0, 2, 3]]) == [""] * 3
    assert "1 of 4 structures without a prediction" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, "new"]


def test_a_command_without_any_prediction_fails(
    numbers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    structures = structures_in(tmp_path / "new", made_up(2))
    for path in structures:
        Path(path).write_text('{"sites": []}')
    assert JOBS["predict"].main([str(numbers), *structures]) == 1
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 3
    assert "2 of 2 structures without a prediction" in told.err


def test_a_folder_and_a_table_give_the_same_predictions(
    numbers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crystals = made_up(6)
    structures_in(tmp_path / "new", crystals)
    table = tmp_path / "new.json"
    rows = [[json.loads(as_json(crystal)), 0.5] for crystal in crystals]
    content = {"index": list(range(6)), "columns": ["structure", "y"], "data": rows}
    table.write_text(json.dumps(content))
    one = predicted(capsys, str(numbers), str(tmp_path / "new"))
    other = predicted(capsys, str(numbers), str(table))
    assert list(one["id"]) == [f"made-{row}.json" for row in range(6)]
    assert list(one["prediction"]) == list(other["prediction"])
    both = predicted(capsys, str(numbers), str(table), str(tmp_path / "new"))
    assert list(both["prediction"]) == [*other["prediction"], *one["prediction"]]


def test_a_strange_element_is_marked_and_models_that_cannot_know_it_are_silent(
    numbers: Path,
) -> None:
    strange = made_up(1)[0]
    numbers_ = np.full(len(strange.numbers), 94, np.uint8)
    wide = strange.lattice * 2
    entry = entries_of([Crystal(numbers_, strange.frac, wide)])
    handcrafted = predictor_of(numbers, None, _of_mixing(numbers, "H")).predict(entry, 0.95)
    assert np.isfinite(handcrafted.prediction[0]) and "element Pu" in handcrafted.outside[0]
    learned = predictor_of(numbers, None, _of_mixing(numbers, "L")).predict(entry, 0.95)
    assert np.isnan(learned.prediction[0])
    assert all(np.isnan(own[0]) for own in learned.members.values())
    assert learned.reasons[0].startswith("no model can say anything: element Pu")


def test_models_that_know_too_little_leave_no_interval(numbers: Path) -> None:
    """The spread is that of all columns, and says nothing of some of them alone."""
    predictor = predictor_of(numbers, None, "ensemble")
    fold = predictor.folds[0]
    rng = np.random.default_rng(0)
    columns = (("a",), ("b",))
    two = dataclasses.replace(fold, columns=columns, weights=np.array([0.5, 0.5]))
    values = {"a": rng.normal(size=3), "b": rng.normal(size=3)}
    known = {"a": np.array([True, True, False]), "b": np.array([True, False, False])}
    mean, std, low, high = predictor.combined(values, known, 0.5, [two])
    assert mean[0] == pytest.approx((values["a"][0] + values["b"][0]) / 2)
    assert mean[1] == values["a"][1] and np.isnan(mean[2])
    assert np.isfinite([std[0], low[0], high[0]]).all()
    assert np.isnan([std[1], low[1], high[1]]).all()


def test_batches_follow_the_rows_and_change_no_prediction(
    numbers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = predictor_of(numbers, None, "ensemble")
    entries = entries_of(made_up(CRYSTALS))
    whole = predictor.predict(entries, 0.95)
    monkeypatch.setattr("trainables.training.panel.MOST_ROWS", 40)
    parts = predictor.predict(entries, 0.95)
    np.testing.assert_allclose(parts.prediction, whole.prediction, rtol=1e-5)
    assert parts.outside == whole.outside


def test_nothing_to_predict_leaves_what_is_there(
    numbers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = tmp_path / "empty.csv", tmp_path / "mine.csv"
    table.write_text("id,cif\n")
    out.write_text("mine")
    for flags in (["--out", str(out), "--overwrite"], ["--out", str(tmp_path / "x.parquet")], []):
        assert "no structure" in refused(capsys, "predict", str(numbers), str(table), *flags)
    assert out.read_text() == "mine" and not (tmp_path / "x.parquet").exists()


def test_a_level_that_no_errors_tell_is_said(
    numbers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (structure,) = structures_in(tmp_path / "new", made_up(1))
    assert JOBS["predict"].main([str(numbers), structure, "--level", "0.999"]) == 0
    assert "6 validation errors tell intervals up to level 0.8571" in capsys.readouterr().err
    assert JOBS["predict"].main([str(numbers), structure, "--level", "0.5"]) == 0
    assert "careful" not in capsys.readouterr().err


def test_structures_above_max_atoms_are_refused_in_their_row(
    numbers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (structure,) = structures_in(tmp_path / "new", made_up(1))
    assert JOBS["predict"].main([str(numbers), structure, "--max-atoms", "1"]) == 1
    assert "--max-atoms" in capsys.readouterr().out


def test_a_file_s_path_may_be_long(
    numbers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deep = tmp_path.joinpath(*(["a" * 60] * 4))
    (structure,) = structures_in(deep, made_up(1))
    assert predicted(capsys, str(numbers), structure)["id"].tolist() == [structure]


def _of_mixing(run: Path, mixing: str) -> str:
    ledger = pd.read_parquet(run / "ledger.parquet")
    return str(ledger.loc[ledger["mixing"] == mixing, "key"].iloc[0])


def test_few_neighbours_and_far_crystals_are_marked(numbers: Path) -> None:
    predictor = predictor_of(numbers, None, "ensemble")
    ordinary = made_up(CRYSTALS)
    sparse = [Crystal(one.numbers, one.frac, one.lattice * 3) for one in ordinary[:5]]
    flags = predictor.predict(entries_of([*ordinary, *sparse]), 0.95).outside
    assert sum("far" in flag for flag in flags[:CRYSTALS]) <= 3
    assert all("few neighbours" in flag for flag in flags[CRYSTALS:])


def test_the_flag_is_judged_on_the_test_parts(numbers: Path) -> None:
    held = predictor_of(numbers, None, "ensemble").facts["held_out"]
    assert held["crystals"] == 12 and 0 <= held["outside"] < 12  # two of five folds
    assert held["error_inside"] > 0


def test_best_and_a_key_choose_models(numbers: Path) -> None:
    ledger = pd.read_parquet(numbers / "ledger.parquet")
    means = ledger.groupby("mixing")["val_error"].mean()
    best = predictor_of(numbers, "salts", "best")
    assert {row["mixing"] for row in best.panel.rows.values()} == {means.idxmin()}
    key = str(ledger["key"].iloc[3])
    (only,) = predictor_of(numbers, None, key[:10]).panel.rows
    assert only == key


def test_one_model_alone_predicts_what_its_record_says(numbers: Path) -> None:
    told = pd.read_parquet(numbers / "predictions.parquet")
    key = str(told["key"].iloc[0])
    found = predictor_of(numbers, None, key).predict(entries_of(made_up(CRYSTALS)), 0.95)
    for row in told[told["key"] == key].itertuples():
        place = int(str(row.id).removeprefix("made-"))
        assert found.prediction[place] == pytest.approx(row.prediction, rel=1e-6)


def test_an_interrupted_table_goes_on_where_it_ended(
    numbers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.predict.inputs.ROWS_PER_BLOCK", 3)
    structures = structures_in(tmp_path / "new", made_up(12))
    whole, out = tmp_path / "whole.csv", tmp_path / "found.csv"
    flags = [str(numbers), *structures, "--workers", "1", "--out"]
    assert JOBS["predict"].main([*flags, str(whole)]) == 0

    worked = []

    def counted(predictor: object, block: tuple[int, list[Entry]], **rest: object) -> object:
        worked.append(block[0])
        if len(worked) == 3:
            raise KeyboardInterrupt
        return rows_of(predictor, block, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr("orchestrator.predict.job.rows_of", counted)
    assert JOBS["predict"].main([*flags, str(out)]) == 130
    assert not out.exists() and len(list((tmp_path / ".found.csv.parts").iterdir())) == 2
    first = min((tmp_path / ".found.csv.parts").iterdir())
    first.write_text(first.read_text().replace("made-0", "made-9"))  # damaged: is made again
    left = [durable.name_draft(one) for one in (out, out, first)]  # by writers that were killed
    other = [
        durable.name_draft(tmp_path / "found.csv.gz"), tmp_path / ".found.csv.0123.tmp",
        durable.name_draft(out).with_suffix(".tmp2"),
    ]  # fmt: skip
    for path in (*left, *other):
        path.write_text("id,")
    link, folder = durable.name_draft(out), durable.name_draft(out)
    link.symlink_to(other[0])
    folder.mkdir()
    assert JOBS["predict"].main([*flags, str(out)]) == 0
    assert worked == [0, 1, 2, 0, 2, 3]
    assert out.read_bytes() == whole.read_bytes()
    assert not (tmp_path / ".found.csv.parts").exists()
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in (*other, link, folder))


def test_what_is_there_already_is_not_replaced(
    numbers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (structure,) = structures_in(tmp_path / "new", made_up(1))
    out = tmp_path / "mine.csv"
    out.write_text("mine")
    flags = [str(numbers), structure, "--out", str(out)]
    assert "is there already" in refused(capsys, "predict", *flags)
    assert out.read_text() == "mine"
    assert JOBS["predict"].main([*flags, "--overwrite"]) == 0
    assert out.read_text().startswith("id,prediction")
    assert "not empty" in refused(capsys, "export", str(numbers), str(tmp_path / "new"))


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--model", "nonsense"], "--model nonsense: no such model is done"),
        (["--task", "nonsense"], "there are: salts"),
        (["--level", "1"], "between 0 and 1"),
        (["--out", "found.txt"], ".csv or .parquet"),
        (["--out", "no/such/found.csv"], "no folder no/such"),
        (["--levl", "0.5"], "did you mean --level?"),
    ],
)
def test_wrong_flags_are_refused_in_one_line(
    numbers: Path, tmp_path: Path, flags: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (structure,) = structures_in(tmp_path / "new", made_up(1))
    assert told in refused(capsys, "predict", str(numbers), structure, *flags)


def test_what_is_no_run_or_no_structure_is_refused_in_one_line(
    numbers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (structure,) = structures_in(tmp_path / "new", made_up(1))
    assert "neither a run of fit" in refused(capsys, "predict", str(tmp_path), structure)
    assert "no such folder" in refused(capsys, "predict", str(tmp_path / "none"), structure)
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "fit_progress.json").write_text("{}")
    assert "its fit has not ended" in refused(capsys, "predict", str(tmp_path), structure)
    assert "no such" in refused(capsys, "predict", str(numbers), str(tmp_path / "missing.cif"))
    (tmp_path / "empty").mkdir()
    assert "no structure files" in refused(capsys, "predict", str(numbers), str(tmp_path / "empty"))


@pytest.mark.parametrize("name", [exported.PREDICTOR, exported.ARRAYS, "models"])
def test_a_flipped_bit_in_an_exported_folder_is_found(
    numbers: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "models"
    assert JOBS["export"].main([str(numbers), str(folder)]) == 0
    (structure,) = structures_in(tmp_path / "new", made_up(1))
    files = sorted((folder / name).iterdir()) if name == "models" else [folder / name]
    for path in files[:2]:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        kept = path.read_bytes()
        path.write_bytes(bytes(content))
        assert str(path.stem) in refused(capsys, "predict", str(folder), structure)
        path.write_bytes(kept)
    (folder / exported.ARRAYS).unlink()
    assert "missing" in refused(capsys, "predict", str(folder), structure)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("folds", [{"fold": 0}]),
        ("folds", "all"),
        ("max_atoms", "many"),
        ("format", 2),
        ("facts", {"held_out": {"crystals": "many"}}),
        *(
            ("fold", {part: wrong})
            for part, wrong in {
                "columns": [["../../secret"]],
                "weights": [0.5, 0.5, 0.5],
                "floor": "much",
                "scale": -1.0,
                "unit": 0.0,
                "reference": "0" * 24,
                "fewest_neighbours": {"strange": 3},
            }.items()
        ),
    ],
)
def test_what_was_made_up_in_an_exported_folder_is_one_line(
    numbers: Path, tmp_path: Path, name: str, value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "models"
    assert JOBS["export"].main([str(numbers), str(folder)]) == 0
    content = json.loads((folder / exported.PREDICTOR).read_text())
    if name == "fold":
        content["folds"][0] |= value
    else:
        content[name] = value
    (folder / exported.PREDICTOR).write_text(json.dumps(checksum.add(content)))
    (structure,) = structures_in(tmp_path / "new", made_up(1))
    told = refused(capsys, "predict", str(folder), structure)
    assert exported.PREDICTOR in told and "export it again" in told


def test_a_damaged_record_is_named(
    numbers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(numbers, tmp_path / "run"))
    (structure,) = structures_in(tmp_path / "new", made_up(1))
    for path in (run / "records").glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-8])
    assert "damaged" in refused(capsys, "predict", str(run), structure)


def test_ids_are_no_formulas_of_a_spreadsheet(
    numbers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "new.parquet"
    pd.DataFrame({"id": ["=1+1"], "structure": [as_json(made_up(1)[0])]}).to_parquet(table)
    assert list(predicted(capsys, str(numbers), str(table))["id"]) == ["'=1+1"]


def test_results_come_in_the_order_of_the_blocks() -> None:
    known = {2: "two"}
    found = work.in_order(str, iter(range(5)), 1, None, known.get)
    assert list(found) == [(0, "0"), (1, "1"), (2, "two"), (3, "3"), (4, "4")]
