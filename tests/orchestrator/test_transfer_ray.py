"""The whole job on Ray: formulas and tables in, scores and what they establish out."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator.interface.errors import UsageError
from orchestrator.jobs import JOBS
from orchestrator.runs.records import Records
from orchestrator.transfer import job as transfer
from orchestrator.transfer.entries import SCHEMA
from orchestrator.transfer.files import FACTS, LEDGER, SCORES
from orchestrator.transfer.flags import parse
from orchestrator.transfer.overlap import overlap, source_of, without
from orchestrator.transfer.tables import Table, load_tables
from tests.compositions_for_tests import made_up_compositions, write_formulas, write_table
from tests.orchestrator.small_grids import FinishedGrid, grid
from trainables.compositions.dataset import Compositions
from trainables.compositions.reading import read_compositions

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two tables and four controls on two folds: twelve models."""
    folder = tmp_path_factory.mktemp("transfer")
    tables = [str(write_table(folder / f"{name}.csv", n)) for name, n in (("one", 3), ("two", 6))]
    return [
        *("--tasks", f"salts={write_formulas(folder / 'formulas.csv')}", "--tables", *tables),
        *("--folds", "0", "1", "--seeds", "0", "--epochs", "2", "--run", str(folder / "run")),
    ]


@pytest.fixture(scope="module")
def run(flags: list[str], ray_cluster: object) -> Path:
    assert JOBS["transfer"].main(flags) == 0
    return Path(flags[-1])


def test_every_model_is_scored_on_its_test_part(run: Path) -> None:
    scores = pd.read_parquet(run / SCORES)
    assert list(scores) == ["table", "task", "fold", "seed", "metric", "value"]
    names = ["one", "two", "one-hot", "random-3", "random-6", "one permuted"]
    assert set(scores["table"]) == set(names)
    assert set(scores["metric"]) == {"mae", "rmse", "mape", "max_error", "val_error"}
    assert len(scores) == 6 * 2 * 5
    ledger = pd.read_parquet(run / LEDGER)
    assert set(ledger["status"]) == {"done"} and len(ledger) == 12
    assert set(ledger["n_test"]) == {5}  # of 24 formulas folds 0 to 3 have 5
    data = read_compositions(run.parent / "formulas.csv")
    records = Records(run / "records", SCHEMA)
    for row in ledger.itertuples():
        arrays = records.arrays(row.key)
        assert not any(name.startswith("weights") for name in arrays), "12 million numbers each"
        one = (scores["table"] == row.table) & (scores["fold"] == row.fold)
        mae = float(scores.loc[one & (scores["metric"] == "mae"), "value"].iloc[0])
        assert mae == pytest.approx(row.test_mae)
        assert len(arrays["predictions/test/value"]) == row.n_test
        tested = data.target[arrays["predictions/test/row"]]
        assert arrays["predictions/test/row"].tolist() == data.test_rows(row.fold).tolist()
        assert mae == pytest.approx(np.abs(arrays["predictions/test/value"] - tested).mean())


def test_the_comparison_is_with_the_first_table(run: Path) -> None:
    facts = json.loads((run / FACTS).read_text())
    assert facts["reference"] == "one" and facts["overlap"] == []
    assert [row["table"] for row in facts["compared"] if "verdict" in row] == [
        "two", "one-hot", "random-3", "random-6", "one permuted",
    ]  # fmt: skip
    assert [table["control"] for table in facts["tables"]] == [False] * 2 + [True] * 4
    text = (run / "report.html").read_text()
    for title in ("Tables in CrabNet", "Paired differences", "Cost"):
        assert f">{title}</h2>" in text
    assert "Two areas under a curve" not in text


def test_nothing_is_trained_twice(
    run: Path, flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in (run / "records").iterdir()}
    kept = {name: (run / name).read_bytes() for name in (SCORES, FACTS)}
    assert JOBS["transfer"].main(flags) == 0
    assert "12 models, 12 recorded before" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in (run / "records").iterdir()}
    assert kept == {name: (run / name).read_bytes() for name in kept}
    # another table: its model alone, beside that of the reference
    other = write_table(tmp_path / "other.csv", 2)
    more = [*flags, "--no-controls"]
    at = more.index("--tables")
    more[at + 2] = str(other)
    manifest = (run / "manifest.json").read_bytes()
    assert JOBS["transfer"].main(more) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: --run {run} holds another comparison (tables other was nothing")
    assert "tables two was" in line and "tables one was" not in line and "--extend" in line
    assert (run / "manifest.json").read_bytes() == manifest
    assert JOBS["transfer"].main([*more, "--folds", "0", "--extend"]) == 0
    assert "2 models, 1 recorded before" in capsys.readouterr().out


def test_random_controls_are_drawn_for_each_seed_and_recorded(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tables that models were trained with, by the digests in their specifications."""
    own = tmp_path / "run"
    flags = [
        *("--tasks", f"salts={run.parent / 'formulas.csv'}"),
        *("--tables", str(run.parent / "one.csv"), "--folds", "0", "1", "--seeds", "0", "1"),
        *("--epochs", "1", "--run", str(own)),
    ]
    assert JOBS["transfer"].main(flags) == 0
    said = capsys.readouterr().out
    assert "salts: 2 folds, 2 seeds, 3 tables compared with one: 3 folds are the least" in said
    facts = json.loads((own / FACTS).read_text())
    drawn = {table["name"]: table["drawn"] for table in facts["tables"]}
    assert drawn["one"] == drawn["one-hot"] == {}
    ledger = pd.read_parquet(own / LEDGER)
    ledger["digest"] = [json.loads(spec)["table"] for spec in ledger["spec"]]
    found = ledger.groupby("table")["digest"].nunique().to_dict()
    assert found == {"one": 1, "one-hot": 1, "random-3": 2, "one permuted": 2}
    for row in ledger[ledger["table"].isin(["random-3", "one permuted"])].itertuples():
        assert row.digest == drawn[row.table][str(row.seed)]
    assert "drawn anew for each seed" in (own / "report.html").read_text()


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"--seeds": "1"}, "seeds was [0], is [1]"),
        ({"--folds": "2"}, "folds was [0], is [2]"),
        ({"--patience": "1"}, "patience was nothing, is 1"),
        ({"--epochs": "2"}, "epochs was 1, is 2"),
    ],
)
def test_another_comparison_is_refused_and_the_difference_named(
    tmp_path: Path, changes: dict[str, str], difference: str
) -> None:
    assert own_folder(tmp_path) == ""
    assert own_folder(tmp_path) == ""
    assert f"({difference}); name another folder" in own_folder(tmp_path, **changes)
    assert own_folder(tmp_path, **changes, extend=True) == ""
    assert own_folder(tmp_path) != ""


def test_changed_formulas_or_code_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own_folder(tmp_path) == ""
    assert "(data salts was " in own_folder(tmp_path, formulas=23)
    before = transfer.TRANSFER_VERSION
    monkeypatch.setattr(transfer, "TRANSFER_VERSION", 99)
    assert f"(training_version was {before}, is 99)" in own_folder(tmp_path)


def own_folder(folder: Path, *, formulas: int = 24, extend: bool = False, **changes: str) -> str:
    """The line that `transfer` prints on its run directory before it starts."""
    data = write_formulas(folder / "formulas.csv", formulas)
    table = write_table(folder / "one.csv", 3)
    given = {"--folds": "0", "--epochs": "1", "--seeds": "0", **changes}
    options = parse(
        ["--tasks", f"salts={data}", "--tables", str(table), "--no-controls"]
        + [word for pair in given.items() for word in pair]
        + ["--run", str(folder), *["--extend"] * extend]
    )
    found = transfer.open_data(options)
    try:
        transfer._own_folder(options, found, transfer.open_tables(options))
    except UsageError as error:
        return str(error)
    return ""


def test_classes_have_two_areas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "metals.csv"
    lines = [f"Na{a}K{b}Cl,{a > b}" for a in range(1, 6) for b in range(1, 6)]
    path.write_text("\n".join(["formula,target", *lines]))
    table = write_table(tmp_path / "one.csv", 3)
    folder = tmp_path / "run"
    code = JOBS["transfer"].main(
        ["--tasks", str(path), "--tables", str(table), "--no-controls", "--folds", "0",
         "--seeds", "0", "--epochs", "1", "--run", str(folder), "--trainable"]
    )  # fmt: skip
    assert code == 0
    assert "metals: 25 formulas of 3 elements, two classes" in capsys.readouterr().out
    scores = pd.read_parquet(folder / SCORES)
    assert {"roc_auc", "rocauc_labels", "balanced_accuracy"} <= set(scores["metric"])
    assert "Two areas under a curve" in (folder / "report.html").read_text()
    records = Records(folder / "records", SCHEMA)
    ledger = pd.read_parquet(folder / LEDGER)
    assert records.arrays(ledger["key"].iloc[0])["table"].shape == (118, 3)


def test_a_folder_of_another_job_is_refused(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manifest.json").write_text('{"created": "2026", "config": {}}')
    assert JOBS["transfer"].main([*flags[:-1], str(tmp_path)]) == 2
    assert "holds a run of hybrid_grid" in capsys.readouterr().err


# ------------------------------------------------------------------------ what tables have seen


ONE_MODEL = {"dims": "4", "mixing": "H", "backbones": "cgcnn"}  # a fold


@pytest.fixture(scope="module")
def distilled(finished: FinishedGrid, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of fold 0."""
    run = finished.copy(tmp_path_factory.mktemp("grid") / "run")
    said = grid(*finished.flags(run, **ONE_MODEL), "--extend")
    assert said.code == 0, said.err
    return run


def formulas_as(formulas: list[str]) -> Compositions:
    """A data set whose every fold is tested on these formulas, and others."""
    data = made_up_compositions(5 * len(formulas))
    named = data.formulas.astype(object)
    named[data.test_rows(0)] = formulas
    return Compositions(**{**vars(data), "formulas": named})


@pytest.fixture(scope="module")
def of_two_folds(
    finished: FinishedGrid, distilled: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same grid, of folds 0 and 1."""
    run = Path(shutil.copytree(distilled, tmp_path_factory.mktemp("folds") / "run"))
    said = grid(*finished.flags(run, folds="0 1", **ONE_MODEL), "--extend")
    assert said.code == 0, said.err
    return run


def table_of(run: Path) -> Table:
    (table,) = load_tables([str(run / "tables" / "Mat2Vec-H-32.csv")], (0,), controls=False)
    return table


def test_what_models_learned_is_seen_and_no_more(distilled: Path, of_two_folds: Path) -> None:
    """The test part of the only fold of a grid is in its shards, and no model learned from it."""
    table = table_of(distilled)
    assert table.run == distilled and table.distilled
    learned = source_of(distilled).learned
    assert len(learned) == 1, "one data set, one fold"
    (formulas,) = learned.values()
    (seen,) = source_of(distilled).data.values()
    fresh = sorted(set(seen.formulas) - formulas)[:4]
    assert fresh and formulas
    row = overlap(table, formulas_as(fresh), 0)
    assert row is not None and (row["seen"], row["formulas"]) == (0, len(fresh))
    row = overlap(table, formulas_as([*fresh[1:], sorted(formulas)[0]]), 0)
    assert row is not None and (row["seen"], row["formulas"]) == (1, len(fresh))
    # with fold 1, whose models learn from fold 0's test part
    row = overlap(table_of(of_two_folds), formulas_as(fresh), 0)
    assert row is not None and row["seen"] == len(fresh)
    assert overlap(table, made_up_compositions(20), 0)["seen"] == 0  # type: ignore[index]
    (elsewhere,) = load_tables(["megnet16"], (0,), controls=False)
    assert overlap(elsewhere, formulas_as(fresh), 0) is None and not elsewhere.distilled


def test_strict_drops_the_models_that_have_seen_the_fold(
    distilled: Path, of_two_folds: Path
) -> None:
    """Without those of fold 1 the table is that of the grid that had none."""
    one, both = table_of(distilled), table_of(of_two_folds)
    (formulas,) = source_of(distilled).learned.values()
    (seen,) = source_of(distilled).data.values()
    fresh = formulas_as(sorted(set(seen.formulas) - formulas)[:4])
    again = without(both, fresh, 0, map)
    assert np.abs(both.values - one.values).max() > 0.01
    assert again.values == pytest.approx(one.values, abs=1e-6)
    # where no model has seen anything, all are taken
    assert without(both, made_up_compositions(20), 0, map).values == pytest.approx(
        both.values, abs=1e-6
    )


def test_strict_refuses_what_it_cannot_undo(
    distilled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "known.csv"
    (learned,) = source_of(distilled).learned.values()
    lines = [f"{name.replace(' ', '')},{place}" for place, name in enumerate(sorted(learned))]
    path.write_text("\n".join(["formula,target", *lines]))
    table = str(distilled / "tables" / "Mat2Vec-H-32.csv")
    run = tmp_path / "run"
    flags = ["--tasks", str(path), "--tables", table, "--no-controls", "--folds", "1",
             "--seeds", "0", "--epochs", "1", "--run", str(run)]  # fmt: skip
    assert JOBS["transfer"].main([*flags, "--dry-run"]) == 0
    (number,) = re.findall(r"has seen (\d+) of \1 test formulas of known; --strict",
                           capsys.readouterr().out)  # fmt: skip
    assert int(number) > 5
    for more in (["--strict", "--dry-run"], ["--strict"]):
        assert JOBS["transfer"].main([*flags, *more]) == 2
        told = capsys.readouterr()
        assert "the input is sound" not in told.out and "Ray:" not in told.out
        (line,) = told.err.splitlines()
        assert "has learned formulas of known's test fold 1" in line
        assert not run.exists()
    # the commands that it names, as a user would run them
    job = "elemgrid hybrid_grid"
    asked = re.search(rf"{job} (.*) --without (\S+) --run (\S+);", line)
    assert asked is not None
    (tmp_path / "formulas").mkdir()
    words = ["--tasks", str(path), "--folds", "1", "--write-formulas", str(tmp_path / "formulas")]
    assert f"elemgrid transfer {' '.join(words[:-1])} formulas && for F in 1; do" in line
    assert JOBS["transfer"].main(words) == 0
    assert "cat formulas/known-fold$F.txt > formulas/without$F.txt" in line
    named = [word.strip("'") for word in asked[1].split()]
    own = f"{distilled}-without1"
    assert asked[3].replace("$F", "1") == own
    said = grid(*named, "--without", str(tmp_path / "formulas" / "known-fold1.txt"), "--run", own)
    assert said.code == 0, said.err
    (spec,) = re.findall(r"then give --tables (\S+) ", line)
    capsys.readouterr()
    tables = flags.index("--tables") + 1
    assert JOBS["transfer"].main([*flags[:tables], spec, *flags[tables + 1 :], "--strict"]) == 0
    assert "has seen 0 of" in capsys.readouterr().out


def test_a_table_outside_its_run_is_of_unknown_source(
    distilled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for suffix in (".csv", ".meta.json"):
        file = (distilled / "tables" / "Mat2Vec-H-32.csv").with_suffix(suffix)
        shutil.copy(file, tmp_path / f"mine{suffix}")
    flags = ["--tasks", str(write_formulas(tmp_path / "salts.csv")), "--no-controls",
             "--tables", str(tmp_path / "mine.csv"), "--folds", "0", "--epochs", "1",
             "--seeds", "0", "--run", str(tmp_path / "run")]  # fmt: skip
    assert JOBS["transfer"].main([*flags, "--strict"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--strict: what mine has seen is not known" in line
    assert not (tmp_path / "run").exists()
    assert JOBS["transfer"].main(flags) == 0
    assert "what mine has seen is not known" in capsys.readouterr().out
    assert "What mine has seen is not known" in (tmp_path / "run" / "report.html").read_text()


def test_a_grid_without_the_formulas_has_nothing_to_undo(
    finished: FinishedGrid, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Test formulas out, a grid without them, its table under --strict."""
    (seen,) = source_of(finished.run).data.values()
    formulas = sorted(set(seen.formulas))[:12]
    path = tmp_path / "known.csv"
    lines = [f"{name.replace(' ', '')},{place}" for place, name in enumerate(formulas)]
    path.write_text("\n".join(["formula,target", *lines]))
    tasks = ["--tasks", str(path), "--folds", "0"]
    assert JOBS["transfer"].main([*tasks, "--write-formulas", str(tmp_path)]) == 0
    without_them = tmp_path / "grid"
    of_them = finished.flags(without_them, **ONE_MODEL)
    said = grid(*of_them, "--without", str(tmp_path / "known-fold0.txt"))
    assert said.code == 0 and "crystals are learned from by no model" in said.out
    before = finished.ledger
    after = pd.read_parquet(without_them / "ledger.parquet")
    parts = ["n_train", "n_val"]
    learned = [int(ledger[parts].iloc[0].sum()) for ledger in (before, after)]
    assert learned[1] < learned[0]
    assert after["n_test"].iloc[0] == before["n_test"].iloc[0]
    assert not set(after["key"]) & set(before["key"])
    table = str(without_them / "tables" / "Mat2Vec-H-32.csv")
    flags = [*tasks, "--tables", table, "--no-controls", "--strict", "--dry-run"]
    assert JOBS["transfer"].main(flags) == 0
    assert "has seen 0 of" in capsys.readouterr().out
    # the same run with other formulas is another grid
    said = grid(*of_them)
    assert said.code == 2 and "without was" in said.error
