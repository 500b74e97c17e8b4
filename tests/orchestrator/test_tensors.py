"""Grids of tensors: what is refused, planned and said, without training."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.data.given_folds import HASHED
from orchestrator.hybrid_grid.flags import parse
from orchestrator.interface.errors import UsageError
from tests.orchestrator.made_tensors import COLUMNS, write_tensors
from tests.orchestrator.small_grids import grid


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tensors(tmp_path_factory.mktemp("tensors") / "made.parquet")


def test_tensors_have_folds_by_the_hash_of_the_formula_unless_others_are_given() -> None:
    given = parse(["--tasks", "a.parquet:x@elastic", "b.parquet:y@piezo@standard"]).division
    assert given is not None and given.column == HASHED
    other = parse(["--tasks", "a.parquet:x@elastic", "--groups", "formula"]).division
    assert other is not None and other.column == "formula"
    assert parse(["--tasks", "a.parquet:x@site", "b.parquet:y"]).division is None


def test_data_sets_with_other_folds_are_not_mixed_with_them_unasked() -> None:
    with pytest.raises(UsageError) as caught:
        parse(["--tasks", "a.parquet:x@elastic", "phonons"])
    assert str(caught.value) == (
        "--tasks: a.parquet:x@elastic has folds by formula, and phonons has others; run them apart,"
        " or give --groups formula-hash for both"
    )


def test_what_has_a_direction_is_not_for_a_network_without(data: Path, tmp_path: Path) -> None:
    flags = ["--tasks", f"{data}:{COLUMNS['piezo']}", "--run", str(tmp_path / "run")]
    for more in ([], ["--dry-run"]):
        said = grid(*flags, "--backbones", "schnet", *more)
        assert said.code == 2
        assert said.error == (
            "error: made: a piezo tensor has no part without a direction, which is all that schnet"
            " could learn; name other --backbones, as tensor"
        )


def test_a_grid_of_tensors_is_planned(data: Path, tmp_path: Path) -> None:
    tasks = [f"{name}={data}:{target}" for name, target in COLUMNS.items()]
    said = grid(
        *("--tasks", *tasks, "--run", str(tmp_path / "run"), "--backbones", "tensor"),
        *("--dims", "4", "--mixing", "H", "--epochs", "2", "--dry-run"),
    )
    assert said.code == 0, said.err
    assert said.out.startswith("15 models in 15 arrays; 0 are recorded")
    assert all(name in said.out for name in COLUMNS)
    assert not (tmp_path / "run").exists()
