"""Every kind of target is trained, goes on after a break to the bit, is evaluated, and predicts.

Legend: B crystals, L = 400 numbers of a spectrum, S sites.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from orchestrator.grid.arrays import GridArray
from orchestrator.runs.records import Records
from tests import atoms_backbone
from tests.orchestrator.small_data import model_spec
from trainables.models.backbones import BACKBONES
from trainables.models.recipe import Recipe
from trainables.representations.dataset import Dataset
from trainables.representations.neighbours import find_neighbours
from trainables.targets.base import Target
from trainables.targets.kinds import kind_of
from trainables.testing.crystals import made_up
from trainables.testing.samples import dataset_of
from trainables.training.checkpoint import load_model, predict
from trainables.training.fit import ArrayFit
from trainables.training.outcome import Outcome

CRYSTALS = 60
RECIPE = Recipe(name="tuned", optimiser="adamw", lr=2e-2, averaging=0.5, epochs=30, batch_size=12)
L = 400
TARGETS = {
    "binary": Target(name="dense", unit=None, kind="binary"),
    "spectrum": Target(name="dos", unit="1/eV", kind="spectrum", shape=(L,)),
    "properties": Target(name="mass,density", unit=None, kind="properties", shape=(2,)),
    "site": Target(name="charge@site", unit="e", kind="site"),
}
NAMES = ("cgcnn", "megnet", "schnet")
LEARNERS = [(kind, name) for kind in TARGETS for name in NAMES if kind != "site"]
every = pytest.mark.parametrize(("kind", "name"), [*LEARNERS, ("site", "atoms")])


@pytest.fixture(autouse=True)
def _atoms(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(BACKBONES.data, "atoms", atoms_backbone.SPEC)
    yield


@cache
def learned(kind: str, name: str) -> Dataset:
    """The made-up crystals with something to learn from of that kind."""
    crystals = made_up(CRYSTALS)
    mass = np.array([one.numbers.mean() for one in crystals])
    volume = np.array([abs(np.linalg.det(one.lattice)) / len(one.numbers) for one in crystals])
    if kind == "site":
        full = atoms_backbone.SPEC.representation
        graphs = full.build(find_neighbours(crystals, [full]))
        charge = np.concatenate([one.numbers - one.numbers.mean() for one in crystals])
        charge[::5] = np.nan
        ids = np.array([str(row) for row in range(CRYSTALS)])
        rows = np.arange(CRYSTALS)
        return Dataset(graphs, charge, ids, rows, CRYSTALS, target_ptr=graphs.node_ptr)
    data = dataset_of(name, crystals)
    if kind == "binary":
        classes = (mass > np.median(mass)).astype(np.int8)
        return dataclasses.replace(data, target=classes.astype(float), classes=classes)
    if kind == "properties":
        target = np.stack([mass, 1e-3 * mass / volume], axis=1)
        target[::4, 0] = np.nan
        return dataclasses.replace(data, target=target)
    energies = np.linspace(0, 40, L)
    target = np.exp(-(((energies - mass[:, None]) / 6) ** 2))
    target[::7, : L // 3] = np.nan
    return dataclasses.replace(data, target=target)


def array_of(kind: str, name: str) -> GridArray:
    spec = BACKBONES[name]
    models = [
        model_spec(name, mixing=label, dim=8, recipe=RECIPE, target=TARGETS[kind],
                   representation=spec.representation, options=spec.options())
        for label in ("H", "0")
    ]  # fmt: skip
    return GridArray(task="made-up", models=tuple(models))


def ended(fit: ArrayFit) -> dict[str, Outcome]:
    found = {}
    while not fit.finished:
        for outcome in fit.advance():
            found[outcome.history.member.label] = outcome
    return found


@cache
def outcomes(kind: str, name: str) -> dict[str, Outcome]:
    return ended(ArrayFit(array_of(kind, name).spec, learned(kind, name)))


@every
def test_it_learns_more_than_the_trivial_prediction_knows(kind: str, name: str) -> None:
    for outcome in outcomes(kind, name).values():
        metrics = outcome.metrics
        assert not outcome.history.diverged
        assert metrics["train_error"] < metrics["dummy_error"], metrics
        if name in ("cgcnn", "atoms"):  # the others take longer
            assert metrics["test_error"] < 0.8 * metrics["dummy_error"], metrics
        assert metrics["val_error"] == pytest.approx(outcome.history.best_error, rel=1e-4)
        assert ("test_mae" in metrics) == (kind in ("spectrum", "site"))


@every
def test_what_is_recorded_is_of_the_fold_and_scores_as_recorded(kind: str, name: str) -> None:
    data, target = learned(kind, name), kind_of(TARGETS[kind])
    for outcome in outcomes(kind, name).values():
        arrays = outcome.arrays
        rows, value = arrays["predictions/test/row"], arrays["predictions/test/value"]
        true = data.targets_of(rows)
        assert value.shape == true.shape and value.dtype == np.float64
        scaler = target.scaler(data.targets_of(np.setdiff1d(np.arange(CRYSTALS), rows)))
        if kind != "properties":  # whose error depends on the training part's scale
            scores = target.metrics(value, true, scaler)
            assert scores[target.metric] == pytest.approx(outcome.metrics["test_error"])
            assert scores == pytest.approx(outcome.scores)
        if kind == "site":
            sizes = np.diff(arrays["predictions/test/ptr"])
            assert sizes.tolist() == [len(made_up(CRYSTALS)[row].numbers) for row in rows]


@every
def test_it_goes_on_after_a_break_to_the_bit(kind: str, name: str) -> None:
    spec, data = array_of(kind, name).spec, learned(kind, name)
    fit = ArrayFit(spec, data)
    for _ in range(3):
        assert not list(fit.advance())
    again = ArrayFit(spec, data)
    again.load(fit.save())
    for label, outcome in ended(again).items():
        known = outcomes(kind, name)[label]
        assert outcome.metrics == known.metrics
        for part, array in known.arrays.items():
            assert np.array_equal(outcome.arrays[part], array), part


@pytest.mark.parametrize(("kind", "name"), [*LEARNERS[::4], ("site", "atoms")])
def test_a_record_of_it_is_sound_and_predicts(tmp_path: Path, kind: str, name: str) -> None:
    data, array = learned(kind, name), array_of(kind, name)
    records = Records(tmp_path)
    for label, outcome in outcomes(kind, name).items():
        row = array.row(label) | {"status": "done"} | outcome.metrics | outcome.sizes
        records.write(row, outcome.arrays)
        key = array.keys[label]
        assert not records.damage([key])
        model, row = load_model(tmp_path / f"{key}.safetensors")
        tested = outcome.arrays["predictions/test/row"]
        values, reasons = predict(model, row, data.graphs.take(tested))
        known = outcome.arrays["predictions/test/value"]
        np.testing.assert_allclose(values, known, rtol=1e-4, atol=1e-5)
        assert reasons == [""] * len(tested)
