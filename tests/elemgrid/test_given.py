"""Structures and targets as objects, kept beside a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure

from elemgrid.given import kept
from orchestrator.interface.errors import UsageError
from trainables.crystals.crystal import Entry
from trainables.crystals.sources import open_source

SALTS = [Structure(Lattice.cubic(4 + n / 10), ["Na", "Cl"], [[0] * 3, [0.5] * 3]) for n in range(4)]


def entries(folder: Path, structures: object, targets: object) -> list[Entry]:
    (folder / "run").mkdir(exist_ok=True)
    with kept(structures, targets, folder / "run") as path:  # type: ignore[arg-type]
        return list(open_source(path, "target").entries())


def test_a_run_that_began_leaves_its_structures(tmp_path: Path) -> None:
    found = entries(tmp_path, SALTS, np.array([1.5, 2.0, 3.0, np.nan]))
    assert (tmp_path / "run-structures.parquet").exists()
    assert [entry.id for entry in found] == ["0", "1", "2", "3"]
    assert [entry.target for entry in found] == ["1.5", "2.0", "3.0", ""]
    entries(tmp_path, SALTS, [1.5, 2.0, 3.0, None])  # the same
    with pytest.raises(UsageError, match="other structures or targets; name another run"):
        entries(tmp_path, SALTS, [1.5, 2.0, 3.0, 4.0])


def test_a_run_that_was_refused_leaves_nothing(tmp_path: Path) -> None:
    with kept(SALTS, [1, 2, 3, 4], tmp_path / "runs" / "mine") as path:
        assert path == tmp_path / "runs" / "mine-structures.parquet" and path.exists()
    assert not path.exists()


def test_names_decide_where_both_have_them(tmp_path: Path) -> None:
    by_name = entries(tmp_path, dict(zip("abcd", SALTS, strict=True)), dict(d=4, c=3, b=2, a=1))
    assert [(entry.id, entry.target) for entry in by_name] == list(zip("abcd", "1234", strict=True))
    (tmp_path / "run-structures.parquet").unlink()
    series = pd.Series(SALTS, index=[7, 8, 9, 10])
    by_index = entries(tmp_path, series, pd.Series([4, 3, 2, 1], index=[10, 9, 8, 7]))
    assert [entry.target for entry in by_index] == ["1", "2", "3", "4"]
    (tmp_path / "run-structures.parquet").unlink()
    in_order = entries(tmp_path, SALTS, pd.Series([1, 2, 3, 4], index=[9, 8, 7, 6]))
    assert [entry.target for entry in in_order] == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("structures", "targets", "error", "why"),
    [
        (SALTS, [1, 2], ValueError, "4 structures and 2 targets"),
        (SALTS, {"a": 1}, TypeError, "give both or neither"),
        ({"a": SALTS[0]}, {"b": 1}, ValueError, "'a' is the name of a structure or of a target"),
        (SALTS, [1, "a", None, 2.5], TypeError, "targets: give numbers, or words"),
        (SALTS, [1 << 70, 1, 2, 3], TypeError, "targets: give numbers, or words"),
        (SALTS, [np.arange(3), 1, 2, 3], TypeError, "one is an array"),
        ({"\ud800": SALTS[0]}, [1], TypeError, "surrogates"),
        ("a.csv", [1], TypeError, "name their column"),
        (Path("a.csv"), [1], TypeError, "name their column"),
    ],
)
def test_what_is_no_target_is_said(
    tmp_path: Path, structures: object, targets: object, error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        entries(tmp_path, structures, targets)


@pytest.mark.parametrize(
    ("targets", "cells"),
    [
        ([True, False] * 2, ["true", "false"]),
        (["metal", "insulator"] * 2, ["true", "false"]),
        (np.array([1, 2] * 2), ["1", "2"]),
    ],
)
def test_targets_of_any_type(tmp_path: Path, targets: object, cells: list[str]) -> None:
    assert [entry.target for entry in entries(tmp_path, SALTS, targets)] == cells * 2
