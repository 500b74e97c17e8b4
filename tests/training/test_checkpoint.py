"""A recorded model predicts what was recorded of it, or says why it does not."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.runs.records import SCHEMA, Records
from tests.orchestrator.small_data import grid_array, model_spec
from trainables.elements import handcrafted
from trainables.models.backbones import BACKBONES
from trainables.models.options import CGCNNOptions, MEGNetOptions, NetworkOptions
from trainables.models.recipe import Recipe
from trainables.testing.crystals import filled, made_up
from trainables.testing.samples import built, graphs_of, made_up_dataset
from trainables.training import record_file
from trainables.training.checkpoint import CheckpointError, load_model, predict
from trainables.training.fit import fit

RECIPE = Recipe(name="tuned", optimiser="adamw", lr=1e-2, averaging=0.9, epochs=3, batch_size=16)


def recorded(folder: Path, backbone: str, options: NetworkOptions | None = None) -> dict[str, Path]:
    """Records of an array of three models: label -> file."""
    options = options or BACKBONES[backbone].options()
    array = grid_array("H -2 L", backbone=backbone, dim=6, recipe=RECIPE, options=options)
    records = Records(folder)
    for outcome in fit(array.spec, made_up_dataset(backbone, 40)):
        row = array.row(outcome.history.member.label)
        records.write(row | {"status": "done"} | outcome.metrics, outcome.arrays)
    return {label: folder / f"{key}.safetensors" for label, key in array.keys.items()}


def refused(path: Path) -> str:
    """The line that `load_model` refuses a file with."""
    with pytest.raises(CheckpointError) as caught:
        load_model(path)
    text = str(caught.value)
    assert "\n" not in text and path.stem in text
    return text


@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        ("cgcnn", CGCNNOptions()),
        ("cgcnn", CGCNNOptions(conv_width=9, layers=2, pooled=7)),
        ("megnet", MEGNetOptions()),
        ("megnet", MEGNetOptions(blocks=1)),
    ],
    ids=str,
)
def test_predictions_are_the_recorded_ones(
    tmp_path: Path, backbone: str, options: NetworkOptions
) -> None:
    for label, path in recorded(tmp_path, backbone, options).items():
        model, row = load_model(path)
        arrays = Records(tmp_path).arrays(path.stem)
        rows = arrays["predictions/test/row"]
        graphs = graphs_of([made_up(40)[i] for i in rows], backbone)
        values, reasons = predict(model, row, graphs)
        np.testing.assert_allclose(values, arrays["predictions/test/value"], rtol=1e-5)
        assert reasons == [""] * len(rows)
        assert (row["backbone"], row["mixing"], row["dim"]) == (backbone, label, 6)
        assert set(SCHEMA.names) <= set(row)
        errors = arrays["predictions/test/value"] - made_up_dataset(backbone, 40).target[rows]
        assert row["test_mae"] == pytest.approx(np.abs(errors).mean())
        assert not model.training


def test_a_record_holds_a_handcrafted_table_that_is_not_built_in(tmp_path: Path) -> None:
    """`elements` is built from the package, a foreign table from the record alone."""
    values = np.random.default_rng(0).normal(size=(118, 5))
    mine = handcrafted.standardised(values, np.ones(118, dtype=bool))
    for name, table in (("elements", None), (handcrafted.named("mine", mine), mine)):
        recipe = replace(RECIPE, handcrafted=name)
        array = grid_array("H -2", backbone="cgcnn", dim=6, recipe=recipe)
        records = Records(tmp_path / name)
        for outcome in fit(replace(array.spec, table=table), made_up_dataset("cgcnn", 40)):
            row = array.row(outcome.history.member.label)
            records.write(row | {"status": "done"} | outcome.metrics, outcome.arrays)
        for key in array.keys.values():
            model, row = load_model(records.folder / f"{key}.safetensors")
            arrays = records.arrays(key)
            assert ("handcrafted" in arrays) == (table is not None)
            columns = 109 if table is None else 5
            assert arrays["weights/embedding.projection.weight"].shape == (columns, 6)
            graphs = graphs_of([made_up(40)[i] for i in arrays["predictions/test/row"]], "cgcnn")
            said, _ = predict(model, row, graphs)
            np.testing.assert_allclose(said, arrays["predictions/test/value"], rtol=1e-5)


def test_a_record_with_another_handcrafted_table_is_refused(tmp_path: Path) -> None:
    mine, other = (
        handcrafted.standardised(
            np.random.default_rng(seed).normal(size=(118, 5)), np.ones(118, dtype=bool)
        )
        for seed in (0, 1)
    )
    recipe = replace(RECIPE, handcrafted=handcrafted.named("mine", mine))
    array = grid_array("H", backbone="cgcnn", dim=6, recipe=recipe)
    (outcome,) = fit(replace(array.spec, table=mine), made_up_dataset("cgcnn", 40))
    row = array.row("H") | {"status": "done"} | outcome.metrics
    for table in (other, None):
        held = {name: value for name, value in outcome.arrays.items() if name != "handcrafted"}
        held |= {} if table is None else {"handcrafted": table}
        folder = tmp_path / str(table is None)
        Records(folder).write(row, held)
        said = refused(folder / f"{array.keys['H']}.safetensors")
        why = "the handcrafted table is not" if table is not None else "without the handcrafted"
        assert f"{why}" in said and recipe.handcrafted in said


# ----------------------------------------------------------------------------- unseen elements


@pytest.mark.parametrize("backbone", BACKBONES)
def test_an_element_that_no_training_crystal_had_gives_a_reason_and_no_number(
    tmp_path: Path, backbone: str
) -> None:
    new = [filled("wurtzite", elements, 3.9) for elements in ((11, 17), (18, 17), (18, 96))]
    kind = BACKBONES[backbone].representation
    for path in recorded(tmp_path, backbone).values():
        model, row = load_model(path)
        assert row["elements"] == Records(tmp_path).arrays(path.stem)["elements/numbers"].tolist()
        assert {11, 17} <= set(row["elements"]) and not {18, 96} & set(row["elements"])
        values, reasons = predict(model, row, built(new, kind))
        assert reasons == [
            "", "Ar was in no training crystal", "Ar, Cm were in no training crystal",
        ]  # fmt: skip
        assert np.isfinite(values).tolist() == [True, False, False]
        alone, _ = predict(model, row, built(new[:1], kind))
        assert values[0] == pytest.approx(alone[0], rel=1e-6)
        values, reasons = predict(model, row, built(new[1:], kind))
        assert np.isnan(values).all() and all(reasons)


# ------------------------------------------------------------------------------ what is damaged


def test_each_flipped_bit_of_a_record_is_an_error_and_never_another_model(tmp_path: Path) -> None:
    path = recorded(tmp_path, "cgcnn")["-2"]
    for file in (path, path.with_suffix(".json")):
        whole = file.read_bytes()
        rng = np.random.default_rng(5)
        places = [*range(16), *rng.choice(len(whole), 140, replace=False), len(whole) - 1]
        for place in places:
            flipped = bytearray(whole)
            flipped[place] ^= 1 << int(rng.integers(8))
            file.write_bytes(flipped)
            assert f"{file}: damaged" in refused(path), place
        for size in (0, 1, len(whole) // 2, len(whole) - 1):
            file.write_bytes(whole[:size])
            assert f"{file}: damaged" in refused(path), size
        file.write_bytes(whole)
    assert load_model(path)


def test_weights_without_their_row_are_refused_as_are_those_of_another_model(
    tmp_path: Path,
) -> None:
    paths = recorded(tmp_path, "cgcnn")
    name, other = paths["H"].stem, paths["L"].stem
    alone = tmp_path / "alone" / f"{name}.safetensors"
    alone.parent.mkdir()
    shutil.copy(paths["H"], alone)
    assert f"{name}.json is not beside it" in refused(alone) and "copy both files" in refused(alone)
    shutil.copy(paths["L"].with_suffix(".json"), alone.with_suffix(".json"))
    assert f"not of the row in {name}.json" in refused(alone)
    shutil.copy(paths["L"], alone)  # a whole record in the place of another
    assert f"holds the model {other}; name both files by that" in refused(alone)
    for suffix in (".json", ".safetensors"):
        shutil.copy(paths["H"].with_suffix(suffix), alone.with_suffix(suffix))
    assert load_model(alone)


def test_what_is_no_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    assert "x.safetensors: no such file" in refused(path)
    path.write_text("not tensors")
    assert "x.json is not beside it" in refused(path)
    path.with_suffix(".json").mkdir()
    assert "x.json: cannot be read" in refused(path)
    path.with_suffix(".json").rmdir()
    for text in (b"", b"{}", b"[1", b'{"key": 1'):
        path.with_suffix(".json").write_bytes(text + record_file.seal(text))
        assert "x.json: damaged, or not the row of a record" in refused(path)


def changed(path: Path, change: dict[str, object]) -> str:
    """The line that a record is refused with whose row says something else, sealed all the same."""
    records = Records(path.parent)
    row, arrays = records.read(path.stem), records.arrays(path.stem)
    records.forget(path.stem)
    records.write(row | change, arrays)
    return refused(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spec": None}, "not a model of this version"),
        ({"spec": "[]"}, "(no object)"),
        ({"spec": "{"}, "(no JSON)"),
        ({"spec": model_spec().text.replace("cgcnn", "other")}, "(backbone 'other' is unknown)"),
        ({"spec": model_spec().text.replace('"dim":4', '"dim":"4"')}, "(dim is '4')"),
        ({"spec": model_spec().text.replace('"dim":4,', "")}, "(field dim is missing)"),
        ({"spec": model_spec(dim=5).text}, "(its specification is of the model "),
    ],
)
def test_a_whole_record_that_specifies_no_model_or_another_is_refused(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    path = recorded(tmp_path, "cgcnn")["H"]
    assert words in changed(path, change)


def test_weights_of_another_size_than_specified_are_refused(tmp_path: Path) -> None:
    """No width is guessed from them."""
    path = recorded(tmp_path, "cgcnn", CGCNNOptions(conv_width=9))["H"]
    records = Records(tmp_path)
    row, arrays = records.read(path.stem), records.arrays(path.stem)
    spec = model_spec(dim=6, recipe=RECIPE, options=CGCNNOptions(conv_width=8))
    records.write(row | {"key": spec.key, "spec": spec.text}, arrays)
    text = refused(path.with_name(f"{spec.key}.safetensors"))
    assert "weights/convolutions.0.edge: 41 × 18, and 41 × 16 as specified" in text
    fewer = {name: value for name, value in arrays.items() if name != "weights/out.bias"}
    records.forget(path.stem)
    records.write(row, fewer)
    assert "weights/out.bias: none, and 1 × 1 as specified" in refused(path)


def test_a_record_of_a_model_that_did_not_finish_is_refused(tmp_path: Path) -> None:
    path = recorded(tmp_path, "cgcnn")["H"]
    records = Records(tmp_path)
    row = records.read(path.stem)
    records.forget(path.stem)
    records.write(row, {"curve/val_mae": np.ones(2)})
    assert "holds no weights" in refused(path)
