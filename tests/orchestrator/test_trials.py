"""A trial without Tune around it: one bad model must not take its array with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.grid import GridArray
from orchestrator.ledger import Records
from orchestrator.trials import ArrayTrial
from tests.crystals_for_tests import made_up_dataset
from trainables.training.fit import ArrayFit, ArraySpec
from trainables.training.recipe import Recipe

pytestmark = pytest.mark.ray
RECIPE = Recipe(name="tuned", optimiser="adamw", lr=1e-3, epochs=2, batch_size=8)


def finished_rows(trial: ArrayTrial) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for _ in range(50):
        report = trial.step()
        rows.extend(report["finished"])
        if report["done"]:
            return rows
    raise AssertionError("the trial never ended")


def test_a_model_that_raises_fails_alone(tmp_path: Path, ray_cluster: dict[str, Any]) -> None:
    import ray

    # No command line lets such a mixing through; here it is what makes building the model raise.
    mixings = {"H": "key-h", "nonsense": "key-n", "L": "key-l"}
    spec = ArraySpec(backbone="cgcnn", dim=4, mixings=mixings, fold=0, seed=0, recipe=RECIPE)
    array = GridArray(task="made-up", spec=spec)
    trial = ArrayTrial.__new__(ArrayTrial)
    trial.setup(
        {"array": array.id},
        arrays={array.id: array},
        datasets={("made-up", "cgcnn"): ray.put(made_up_dataset("cgcnn", 24))},
        records=Records(tmp_path),
        targets={"made-up": ("y", None)},
        device="cpu",
        threads=1,
        make_fit=ArrayFit,
    )
    rows = {row["key"]: row for row in finished_rows(trial)}
    assert {key: row["status"] for key, row in rows.items()} == {
        "key-h": "done",
        "key-n": "failed",
        "key-l": "done",
    }
    assert "nonsense" in rows["key-n"]["error"]
    records = Records(tmp_path)
    assert records.recorded(mixings.values()) == set(mixings.values())
    assert records.read("key-h")["test_mae"] == rows["key-h"]["test_mae"]
