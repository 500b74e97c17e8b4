"""Inner folds in a grid: its models, their keys, and what goes with them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from analysis import leaderboard, selection
from orchestrator.grid.arrays import GridArray, arrays
from orchestrator.grid.cells import Cell
from orchestrator.grid.parts import conditions_of
from orchestrator.grid.strategies import scored
from orchestrator.hybrid_grid.flags import parse
from orchestrator.interface.errors import UsageError
from tests.orchestrator.small_data import cells_of, featurised, with_rows
from trainables.training.specification import ModelSpec

USUAL = ("--tasks", "ionic", "--dims", "4", "--backbones", "cgcnn", "--folds", "1")


def models(*flags: str) -> list[Cell]:
    return cells_of(parse((*USUAL, *flags)).config)


def test_each_configuration_is_trained_once_an_inner_fold_in_one_array() -> None:
    (array,) = arrays(models("--mixing", "H", "0", "--inner-folds", "3"))
    assert list(array.keys) == [f"{mixing} inner {k}" for mixing in "H0" for k in range(3)]
    assert array.keys == array.spec.mixings and array.spec.inner_folds == 3
    assert len(set(array.keys.values())) == 6
    for label, key in array.keys.items():
        row = array.row(label)
        model = ModelSpec.read(row["spec"])
        assert row["key"] == key == model.key and model.variant.label == label
        assert GridArray.describe(row) == f"cgcnn d4 {label}"
    assert list(array.only(["0 inner 2"]).keys) == ["0 inner 2"]


def test_a_grid_without_them_has_the_keys_that_it_had() -> None:
    (cell,) = models("--mixing", "H")
    before = json.loads(cell.spec.text)
    del before["inner_folds"], before["inner_fold"]
    assert ModelSpec.read(json.dumps(before)).key == cell.key
    seen = {cell.key for folds in "234" for cell in models("--inner-folds", folds)}
    assert len(seen) == 5 * (2 + 3 + 4) and not seen & {cell.key for cell in models()}


@pytest.mark.parametrize("given", ["1", "0", "-2", "101"])
def test_a_number_that_divides_nothing(given: str) -> None:
    with pytest.raises(UsageError, match=r"^--inner-folds: "):
        models("--inner-folds", given)


def test_a_split_that_says_what_validates_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_text("id,fold,part\na,0,train\nb,0,validation\nc,0,test\n")
    with pytest.raises(UsageError, match=re.escape(f"--inner-folds: --split {path} says which")):
        models("--split", str(path), "--inner-folds", "3")
    path.write_text("id,fold,part\na,0,train\nb,0,train\nc,0,test\n")
    assert models("--split", str(path), "--inner-folds", "3")


def test_more_parts_than_crystals_are_refused() -> None:
    data = {("ionic", "cgcnn"): featurised("cgcnn", 20)}
    conditions_of(parse((*USUAL, "--inner-folds", "16")).config, data)
    with pytest.raises(UsageError, match="with part 16 of 17 held back, 16 training, 0 valid") as e:
        conditions_of(parse((*USUAL, "--inner-folds", "17")).config, data)
    assert "give fewer --inner-folds" in str(e.value)


def ledger() -> tuple[pd.DataFrame, list[Cell]]:
    """Of inner fold 0 the mixing H is the better one, and on average 0 is."""
    cells = models("--mixing", "H", "0", "--inner-folds", "2", "--seed", "0", "1")
    errors = {("H", 0): 1.0, ("H", 1): 9.0, ("0", 0): 2.0, ("0", 1): 3.0}
    told = with_rows(cells, lambda model: errors[model.mixing, model.inner_fold])
    return told.assign(test_error=told["val_error"]), cells


def test_inner_folds_repeat_a_configuration_and_never_compete() -> None:
    told, cells = ledger()
    assert told[["inner_folds", "inner_fold"]].value_counts().to_dict() == {(2, 0): 4, (2, 1): 4}
    (best,) = leaderboard.best_by_validation(told).itertuples()
    assert (best.mixing, best.val_error, best.models, best.folds) == ("0", 2.5, 4, 1)
    (picked,) = leaderboard.picked_in_each_fold(told).itertuples()
    assert picked.val_error == 2.0
    won = selection.best_of_cells(told)
    assert won[["seed", "inner_fold", "mixing"]].to_numpy().tolist() == [
        [0, 0, "H"], [0, 1, "0"], [1, 0, "H"], [1, 1, "0"],
    ]  # fmt: skip
    assert set(told["setting"]) == {""} and len(cells) == 8


def test_a_search_compares_errors_of_the_same_inner_fold() -> None:
    from orchestrator.grid.cells import Space

    told, _ = ledger()
    space = Space(parse((*USUAL, "--mixing", "H", "0", "--inner-folds", "2")).config, {}, {})
    assert [(point["mixing"], error) for point, error in scored(space, told)] == [
        ("0", pytest.approx(1.5)), ("H", pytest.approx(2.0)),
    ]  # fmt: skip
