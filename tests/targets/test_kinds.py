"""What every kind of target has to keep, and what each one does with its cells and scores.

Legend: K models, B crystals, S sites, L numbers of a crystal.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from analysis.scores import classification_scores
from trainables.crystals.crystal import BadCrystal
from trainables.targets.base import Target
from trainables.targets.binary import Binary
from trainables.targets.kinds import KINDS, kind_of
from trainables.targets.scalar import Scalar
from trainables.targets.site import Site
from trainables.targets.tensor import Dielectric, Elastic, Piezo
from trainables.targets.vector import Properties, Spectrum
from trainables.tensors.irreps import DIELECTRIC, ELASTIC, PIEZO, Form
from trainables.testing.crystals import crystal
from trainables.testing.targets import RegressionContract, TargetContract

SALT = crystal([11, 17], [(0, 0, 0), (0.5, 0.5, 0.5)], np.eye(3) * 4)
RNG = np.random.default_rng(5)
ROWS = 40


def with_gaps(values: np.ndarray) -> np.ndarray:
    """The values with a fifth of the entries missing, never a whole row."""
    holes = RNG.random(values.shape) < 0.2
    if values.ndim > 1:
        holes[:, 0] = False
    return np.where(holes, np.nan, values)


class TestScalar(RegressionContract):
    kind = Scalar(Target(name="gap", unit="eV"))
    true = RNG.normal(3, 2, ROWS)


class TestBinary(TargetContract):
    kind = Binary(Target(name="is_metal", unit=None, kind="binary"))
    true = np.arange(ROWS) % 3 % 2.0


class TestSpectrum(RegressionContract):
    kind = Spectrum(Target(name="dos", unit=None, kind="spectrum", shape=(7,)))
    true = with_gaps(RNG.normal(1, 3, (ROWS, 7)))


class TestProperties(RegressionContract):
    kind = Properties(Target(name="gap,energy", unit=None, kind="properties", shape=(2,)))
    true = with_gaps(RNG.normal((1, -400), (0.1, 90), (ROWS, 2)))


class TestSite(RegressionContract):
    kind = Site(Target(name="spin", unit="μB", kind="site"))
    true = with_gaps(RNG.normal(size=ROWS))


def tensors(form: Form) -> np.ndarray:
    """[B, C] components, most of them isotropic."""
    drawn = RNG.normal(size=(ROWS, form.width))
    drawn[:, : form.isotropic] += 9
    return drawn


class TensorContract(TargetContract):
    """Tensors have one mean and one scale, so that each standardised component need not be 1."""

    def test_the_mean_knows_no_direction(self) -> None:
        isotropic = self.kind.form.isotropic  # type: ignore[attr-defined]
        mean = np.asarray(self.kind.scaler(self.true).mean)
        np.testing.assert_allclose(mean[:isotropic], self.true.mean(axis=0)[:isotropic])
        assert not mean[isotropic:].any()

    def test_the_mean_distance_is_one(self) -> None:
        standard = self.standard.numpy()
        assert np.linalg.norm(standard, axis=1).mean() == pytest.approx(1)
        same = np.repeat(np.eye(len(standard[0]))[:1], ROWS, axis=0)
        assert np.isfinite(self.kind.scaler(same).standardise(same)).all()

    def test_scores_do_not_see_how_a_crystal_is_turned(self) -> None:
        form = self.kind.form  # type: ignore[attr-defined]
        turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
        turns, said = np.repeat(turn[None], ROWS, axis=0), self.true * 0.9 + 0.1
        scaler = self.kind.scaler(self.true)
        scores = self.kind.metrics(said, self.true, scaler)
        turned = self.kind.metrics(form.turned(said, turns), form.turned(self.true, turns), scaler)
        assert turned == pytest.approx(scores, rel=1e-9)

    def test_a_network_without_directions_gives_the_isotropic_part(self) -> None:
        isotropic = self.kind.form.isotropic  # type: ignore[attr-defined]
        said, scaler = self.outputs[..., :isotropic], self.kind.scaler(self.true)
        whole = torch.nn.functional.pad(said, (0, self.outputs.shape[-1] - isotropic))
        for form in ("l1", "mse"):
            loss = self.kind.loss(said, self.standard, form)
            assert torch.equal(loss, self.kind.loss(whole, self.standard, form))
        value = self.kind.value(said[0].numpy(), scaler)
        assert np.array_equal(value, self.kind.value(whole[0].numpy(), scaler))


class TestDielectric(TensorContract):
    kind = Dielectric(Target(name="ε", unit=None, kind="dielectric", shape=(6,)))
    true = tensors(DIELECTRIC)


class TestElastic(TensorContract):
    kind = Elastic(Target(name="C", unit="GPa", kind="elastic", shape=(21,)))
    true = tensors(ELASTIC)


class TestPiezo(TensorContract):
    kind = Piezo(Target(name="e", unit="C/m²", kind="piezo", shape=(18,)))
    true = tensors(PIEZO)


CASES: dict[str, type[TargetContract]] = {
    "scalar": TestScalar,
    "binary": TestBinary,
    "spectrum": TestSpectrum,
    "properties": TestProperties,
    "site": TestSite,
    "dielectric": TestDielectric,
    "elastic": TestElastic,
    "piezo": TestPiezo,
}


def test_every_kind_keeps_the_contract_here() -> None:
    assert CASES.keys() == KINDS.keys()
    for name, case in CASES.items():
        assert case.kind.target.kind == name
        assert type(kind_of(case.kind.target)) is type(case.kind)


def test_an_entry_that_no_crystal_has_is_left_alone() -> None:
    for name in ("spectrum", "properties"):
        case = CASES[name]
        true = case.true.copy()
        true[:, 1] = np.nan
        scaler = case.kind.scaler(true)
        assert np.isfinite(scaler.mean).all() and np.isfinite(scaler.scale).all()
        assert np.isfinite(case.kind.trivial(true)).all()


def test_a_spectrum_keeps_the_proportions_of_its_entries() -> None:
    case = CASES["spectrum"]
    true = case.true * np.array([1, 1, 1, 1, 1, 1, 1e-6])
    assert np.nanstd(case.kind.scaler(true).standardise(true)[:, -1]) < 1e-5


def test_properties_count_alike_whatever_their_units() -> None:
    case = CASES["properties"]
    scaler = case.kind.scaler(case.true)
    off = case.true + scaler.scale  # by one standard deviation each
    scores = case.kind.metrics(off, case.true, scaler)
    assert scores["mae_standardised"] == pytest.approx(1)
    assert [scores["mae gap"], scores["mae energy"]] == pytest.approx(list(scaler.scale))


@pytest.mark.parametrize("seed", range(8))
def test_scores_of_classes_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = (rng.random(50) < (0.1, 0.5)[seed % 2]).astype(float)
    true[0], true[1] = 0, 1
    probability = np.clip(true * 0.3 + rng.random(50).round(1 + seed % 3), 0, 1)
    kind = CASES["binary"].kind
    found = kind.metrics(probability, true, kind.scaler(true))
    known = classification_scores(true, probability)
    for name in ("roc_auc", "accuracy", "balanced_accuracy", "f1"):
        assert found[name] == pytest.approx(known[name], abs=1e-12), name
    assert found["1-roc_auc"] == 1 - found["roc_auc"]


def test_one_class_alone_has_no_area() -> None:
    kind = CASES["binary"].kind
    scaler = kind.scaler(np.ones(4))
    scores = kind.metrics(np.array([0.2, 0.9, 0.6, 0.4]), np.ones(4), scaler)
    assert np.isnan(scores["1-roc_auc"]) and np.isnan(scores["balanced_accuracy"])
    assert scores["f1"] == pytest.approx(2 / 3)
    assert kind.errors(torch.zeros(2, 4), torch.ones(4), scaler).isnan().all()
    diverged = torch.tensor([[np.nan, 0.0, 0.0, 0.0]])
    assert kind.errors(diverged, torch.tensor([0.0, 1, 0, 1]), scaler).isnan().all()


def test_outputs_become_probabilities() -> None:
    kind = CASES["binary"].kind
    outputs = np.array([-2000.0, -40, -1, 0, 3, 2000])
    with np.errstate(over="ignore"):
        known = 1 / (1 + np.exp(-outputs))
    np.testing.assert_allclose(kind.value(outputs, kind.scaler(outputs)), known, rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "cell", "value"),
    [
        ("scalar", "1.5", 1.5),
        ("binary", "true", 1.0),
        (
            "spectrum",
            '[1, 2.5, null, NaN, "1", "n/a", -1e3]',
            [1, 2.5, np.nan, np.nan, 1, np.nan, -1e3],
        ),
        ("properties", '["0.5", ""]', [0.5, np.nan]),
        ("site", "[0.25, null]", [0.25, np.nan]),
    ],
)
def test_cells_are_parsed(name: str, cell: str, value: object) -> None:
    found = CASES[name].kind.parse(cell, SALT)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, np.array(value, float))


@pytest.mark.parametrize(
    ("name", "cell", "reason"),
    [
        ("scalar", "[1, 2]", "target is not a number: '[1, 2]'"),
        ("binary", "", "missing target: the cell is empty"),
        ("spectrum", "n/a", "missing target: the cell says 'n/a'"),
        ("spectrum", "1.5", "target is no list of numbers: '1.5'"),
        ("spectrum", "[1, 2", "target is no list of numbers: '[1, 2'"),
        (
            "spectrum",
            json.dumps([1] * 6),
            "target has another length: 6 numbers, and 7 by the list of",
        ),
        ("spectrum", json.dumps([None] * 7), "missing target: none of its numbers is there"),
        ("spectrum", "[1, 2, [3], 4, 5, 6, 7]", "target is not a number: number 3 of the list, "),
        (
            "spectrum",
            "[1, 2, 3, true, 5, 6, 7]",
            "target is not a number: number 4 of the list is True",
        ),
        ("spectrum", "[1, 2, 3, 4, 1e400, 6, 7]", "target is not finite: number 5 of the list, "),
        ("properties", "[null, null]", "missing target: none of its numbers is there"),
        ("site", "[1, 2, 3]", "target has another length: 3 numbers, and 2 by the structure's"),
    ],
)
def test_cells_that_do_not_fit_are_named(name: str, cell: str, reason: str) -> None:
    with pytest.raises(BadCrystal) as caught:
        CASES[name].kind.parse(cell, SALT)
    assert str(caught.value).startswith(reason) and "\n" not in str(caught.value)
