"""Models that train nothing are to look like those that do."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.instant import InstantFit, InstantGrid, sample, thousands
from orchestrator.hybrid_grid.cells import Cell
from orchestrator.runs import durable
from orchestrator.runs.records import Records
from tests.crystals_for_tests import made_up_dataset
from trainables.training.fit import ArraySpec, fit
from trainables.training.recipe import Recipe

RECIPE = Recipe(name="tuned", optimiser="adamw", lr=1e-3, epochs=3, batch_size=8)
SPEC = ArraySpec(
    backbone="cgcnn", dim=4, mixings={"H": "a", "0": "b"}, fold=0, seed=0, recipe=RECIPE
)


def test_an_instant_model_leaves_as_much_as_a_real_one() -> None:
    dataset = made_up_dataset("cgcnn", 24)
    real = {outcome.course.member.key: outcome for outcome in fit(SPEC, dataset)}
    one = dataclasses.replace(SPEC, mixings={"0": "any"})
    instant = InstantFit({("cgcnn", 4): sample(one, dataset)}, SPEC, dataset, "cpu")
    outcomes = list(instant.advance())
    assert instant.finished
    members = [outcome.course.member for outcome in outcomes]
    assert [(member.key, member.label) for member in members] == [("a", "H"), ("b", "0")]
    for outcome in outcomes:
        shapes = {name: value.shape for name, value in outcome.arrays.items()}
        assert shapes == {name: value.shape for name, value in real["b"].arrays.items()}
        assert outcome.metrics.keys() == real["b"].metrics.keys()


def test_each_thousand_is_timed_and_the_rest_left_out() -> None:
    moments = [0.5 * number for number in range(1500)] + [1000.0 + number for number in range(600)]
    assert thousands(moments) == [500.0, moments[2000] - moments[1000]]
    assert thousands(moments[:900]) == []


def test_a_grid_is_taken_up_again_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_cluster: object
) -> None:
    """2 240 models, of which the last is not recorded: half a minute until it is."""
    grid = InstantGrid(8, crystals=40)
    records = Records(tmp_path / "records")
    *others, missing = grid.cells
    with monkeypatch.context() as patch:
        patch.setattr(durable.os, "fsync", lambda handle: None)
        records.write_all([(recorded(cell), {}) for cell in others])
    start = time.time()
    assert grid.train(tmp_path)
    assert len(others) == 2239 and records.recorded([missing.key])
    assert (records.folder / f"{missing.key}.json").stat().st_mtime - start < 30


def recorded(cell: Cell) -> dict[str, Any]:
    about = {
        name: getattr(cell.spec, name) for name in ("key", "backbone", "dim", "mixing", "fold")
    }
    return {**about, "task": cell.task, "status": "done", "val_mae": 1.0}
