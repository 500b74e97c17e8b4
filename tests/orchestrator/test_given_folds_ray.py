"""A grid and a comparison on folds of groups, run as by a user."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from orchestrator.jobs import JOBS
from orchestrator.transfer.overlap import source_of
from tests.compositions_for_tests import write_table
from tests.orchestrator.small_grids import digests, grid, rows, write_matbench

CRYSTALS = 40


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    """A grid of two models, of two folds, on 40 crystals in groups of about three."""
    names = [f"c{row}" for row in range(CRYSTALS)]
    data = write_matbench(tmp_path / "salts.json.gz", rows(CRYSTALS), names)
    groups = tmp_path / "groups.csv"
    groups.write_text("\n".join(["id,group", *(f"c{n},g{n % 13}" for n in range(CRYSTALS))]))
    return [
        *("--tasks", str(data), "--run", str(tmp_path / "run"), "--dims", "4", "--mixing", "H"),
        *("--backbones", "cgcnn", "--folds", "0", "1", "--epochs", "2"),
        *("--groups", str(groups)),
    ]


def test_a_grid_of_groups(flags: list[str], tmp_path: Path, ray_cluster: object) -> None:
    run, groups = tmp_path / "run", tmp_path / "groups.csv"
    said = grid(*flags)
    assert said.code == 0, said.err
    assert "salts: folds of 13 groups; they test " in said.out
    ledger = pd.read_parquet(run / "ledger.parquet").set_index("key")
    predictions = pd.read_parquet(run / "predictions.parquet")
    group = predictions["id"].str[1:].astype(int) % 13
    for key, row in ledger.iterrows():
        own = predictions["key"] == key
        test = set(group[own & (predictions["part"] == "test")])
        validation = set(group[own & (predictions["part"] == "validation")])
        assert test and validation and not test & validation
        held = sum(n % 13 in test | validation for n in range(CRYSTALS))
        assert row["n_train"] == CRYSTALS - held, "no crystal of these groups is learned from"
    # again: nothing is trained, and the plan knows it
    before = digests(run / "records")
    assert "2 models, 2 recorded before" in grid(*flags).out
    assert digests(run / "records") == before
    plan = grid(*flags, "--dry-run")
    assert plan.code == 0 and "2 models in 2 arrays; 2 are recorded" in plan.out
    # what other jobs know of the folds
    seen = source_of(run).data["salts"]
    assert seen.folds is not None
    held = predictions[predictions["part"] == "test"].groupby("key")["id"].apply(set)
    fold = ledger["fold"].to_dict()
    for key, ids in held.items():
        rows_of = [int(name[1:]) for name in ids]
        assert set(seen.folds.test_rows(fold[key])) == set(rows_of)
    # another file of groups is another grid; without it, all the more
    groups.write_text(groups.read_text().replace("c3,g3", "c3,g4"))
    assert "groups was" in grid(*flags).error
    assert "groups was" in grid(*flags[:-2]).error
    extended = grid(*flags, "--folds", "0", "--extend")
    assert extended.code == 0, extended.err
    changed = pd.read_parquet(run / "ledger.parquet")["key"]
    assert not set(changed) & set(ledger.index), "other folds, other models"


def test_a_grid_of_groups_that_cannot_be_is_refused(
    flags: list[str], tmp_path: Path, ray_cluster: object
) -> None:
    (tmp_path / "groups.csv").write_text("\n".join(f"c{n},g" for n in range(CRYSTALS)))
    assert "1 groups; 5 folds need at least 5" in grid(*flags).error
    (tmp_path / "groups.csv").write_text("c1,g1\n")
    assert "no group for c0, c2, c3 and 36 more of salts" in grid(*flags).error
    assert not list((tmp_path / "run").glob("records/*"))


def test_a_comparison_with_bad_rows_on_folds_of_compositions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ray_cluster: object
) -> None:
    lines = [
        f"Na{a}K{b}Cl,{'metal' if a > b else 'salt'}" for a in range(1, 7) for b in range(1, 7)
    ]
    path, run = tmp_path / "kinds.csv", tmp_path / "run"
    path.write_text("\n".join(["Formula,kind", *lines, "NaN,salt", "KCl,n/a", *lines[:4]]))
    table = write_table(tmp_path / "one.csv", 3)
    flags = ["--tasks", str(path), "--tables", str(table), "--no-controls", "--folds", "0",
             "--seeds", "0", "--epochs", "1", "--run", str(run), "--groups", "formula"]  # fmt: skip
    assert JOBS["transfer"].main([*flags, "--max-bad", "0.01"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "row 37: bad formula: 'NaN'" in line and "row 38: missing target" in line
    assert not run.exists()
    assert JOBS["transfer"].main([*flags, "--max-bad", "0.1"]) == 0
    said = capsys.readouterr().out
    assert "two classes: 1 is salt, 0 is metal" in said and "2 rows are left out" in said
    bad = pd.read_csv(run / "quarantine.csv")
    assert bad["row"].tolist() == [37, 38] and bad["file"].tolist() == ["kinds.csv"] * 2
    assert JOBS["transfer"].main([*flags[:-2], "--max-bad", "0.1"]) == 2
    assert "groups was" in capsys.readouterr().err
