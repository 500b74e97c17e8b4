"""A recorded model predicts what was recorded of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from orchestrator.runs.records import Records
from tests.crystals_for_tests import BACKBONES, graphs_of, made_up, made_up_dataset
from trainables.training.checkpoint import CheckpointError, load_model, predict
from trainables.training.fit import ArraySpec, fit
from trainables.training.recipe import Recipe

RECIPE = Recipe(name="tuned", optimiser="adamw", lr=1e-2, averaging=0.9, epochs=3, batch_size=16)


def recorded(folder: Path, backbone: str, conv_width: int | None = None) -> dict[str, Path]:
    """Records of an array of three models: label -> file."""
    mixings = {"H": "a", "-2": "b", "L": "c"}
    spec = ArraySpec(
        backbone=backbone, dim=6, mixings=mixings, fold=0, seed=0, recipe=RECIPE,
        conv_width=conv_width,
    )  # fmt: skip
    records = Records(folder)
    for outcome in fit(spec, made_up_dataset(backbone, 40)):
        member = outcome.course.member
        row = {"key": member.key, "backbone": backbone, "dim": 6, "mixing": member.label}
        records.write(row | {"status": "done"} | outcome.metrics, outcome.arrays)
    return {label: folder / f"{key}.safetensors" for label, key in mixings.items()}


@pytest.mark.parametrize(("backbone", "width"), [("cgcnn", None), ("cgcnn", 9), ("megnet", None)])
def test_predictions_are_the_recorded_ones(
    tmp_path: Path, backbone: str, width: int | None
) -> None:
    for label, path in recorded(tmp_path, backbone, width).items():
        model, row = load_model(path)
        arrays = Records(tmp_path).arrays(path.stem)
        rows = arrays["predictions/test/row"]
        graphs = graphs_of([made_up(40)[i] for i in rows], backbone)
        np.testing.assert_allclose(
            predict(model, row, graphs), arrays["predictions/test/value"], rtol=1e-5
        )
        assert (row["backbone"], row["mixing"], row["dim"]) == (backbone, label, 6)
        errors = arrays["predictions/test/value"] - made_up_dataset(backbone, 40).target[rows]
        assert row["test_mae"] == pytest.approx(np.abs(errors).mean())
        assert not model.training


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_damaged_record_is_named(tmp_path: Path, backbone: str) -> None:
    path = recorded(tmp_path, backbone)["H"]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"a\.safetensors: damaged"):
        load_model(path)


def test_what_is_no_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(CheckpointError, match=r"x\.safetensors: no such file"):
        load_model(path)
    path.write_text("not tensors")
    with pytest.raises(CheckpointError, match="damaged"):
        load_model(path)
    save_file({"curve/val_mae": np.ones(2)}, path)
    with pytest.raises(CheckpointError, match="not a record"):
        load_model(path)
    row = {"row": json.dumps({"backbone": "cgcnn", "dim": 4, "mixing": "0"})}
    save_file({"curve/val_mae": np.ones(2)}, path, row)
    with pytest.raises(CheckpointError, match="no weights"):
        load_model(path)
    save_file({"weights/out.bias": np.ones((1, 1))}, path, row)
    with pytest.raises(CheckpointError, match="not a model of this version"):
        load_model(path)
