"""Cells of tensors, and their scores."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from trainables.crystals.crystal import BadCrystal
from trainables.crystals.quarantine import Quarantine
from trainables.targets.base import Target
from trainables.targets.kinds import kind_of
from trainables.targets.tensor import TensorKind
from trainables.tensors.irreps import FORMS
from trainables.tensors.voigt import piezo, stiffness
from trainables.testing.crystals import crystal

SALT = crystal([11, 17], [(0, 0, 0), (0.5, 0.5, 0.5)], np.eye(3) * 4)
STIFF = np.diag([200.0, 190, 180, 60, 50, 40])
STIFF[:3, :3] += 30
WEAK = np.arange(18.0).reshape(3, 6)


def kind(name: Any) -> TensorKind:
    """A kind of tensor."""
    found = kind_of(Target(name="x", unit=None, kind=name, shape=(FORMS[name].width,)))
    assert isinstance(found, TensorKind)
    return found


@pytest.mark.parametrize(
    ("name", "given", "tensor"),
    [
        ("dielectric", np.diag([1.0, 2, 3]), np.diag([1.0, 2, 3])),
        ("dielectric", np.diag([1.0, 2, 3]).ravel(), np.diag([1.0, 2, 3])),
        ("dielectric", np.arange(9.0, 3, -1), np.array([[9.0, 4, 5], [4, 8, 6], [5, 6, 7]])),
        ("elastic", STIFF, stiffness(STIFF)),
        ("elastic", STIFF.ravel(), stiffness(STIFF)),
        ("elastic", stiffness(STIFF), stiffness(STIFF)),
        ("piezo", WEAK, piezo(WEAK)),
        ("piezo", piezo(WEAK), piezo(WEAK)),
    ],
)
def test_all_ways_to_write_a_tensor(name: str, given: np.ndarray, tensor: np.ndarray) -> None:
    own = kind(name)
    found = own.parse(json.dumps(given.tolist()), SALT)
    assert np.abs(own.form.cartesian(found) - tensor).max() < 1e-12
    written = own.written(found[None])
    assert np.abs(own.parse(json.dumps(written.ravel().tolist()), SALT) - found).max() < 1e-12


TILTED = np.diag([1.0, 2, 3])
TILTED[0, 1] = 0.5
SOFT = STIFF.copy()
SOFT[5, 5] = -40
NEEDS = "it needs 3 × 6 of Voigt or 3 × 3 × 3, or a flat list"
RAGGED = "has rows that differ in length, or numbers beside rows"


@pytest.mark.parametrize(
    ("name", "cell", "reason"),
    [
        ("dielectric", "", "missing target: the cell is empty"),
        ("dielectric", "3.5", "target is no list of numbers: '3.5'"),
        (
            "dielectric",
            "[1, 2, 3]",
            "dielectric tensor has another shape: it has 3 entries; it needs 9 (3 × 3) or 6"
            " (Voigt's xx yy zz yz xz xy)",
        ),
        (
            "dielectric",
            "[1, 2, 3, null, 0, 0]",
            "dielectric tensor is incomplete: entry 4 is missing or not finite",
        ),
        (
            "dielectric",
            "[[1, 2, 3, 0, 0, 0]]",
            "dielectric tensor has another shape: it is 1 × 6; it needs 3 × 3 or Voigt's"
            " xx yy zz yz xz xy, or a flat list",
        ),
        (
            "elastic",
            "[[1, 2], [3, 4]]",
            "elastic tensor has another shape: it is 2 × 2; it needs 6 × 6 of Voigt or"
            " 3 × 3 × 3 × 3, or a flat list",
        ),
        (
            "elastic",
            "[1, 2, 3, 4]",
            "elastic tensor has another shape: it has 4 entries; it needs 36"
            " (6 × 6 of Voigt) or 81 (3 × 3 × 3 × 3)",
        ),
        (
            "piezo",
            json.dumps(WEAK.T.tolist()),
            f"piezo tensor has another shape: it is 6 × 3; {NEEDS}",
        ),
        (
            "piezo",
            json.dumps([WEAK.tolist()]),
            f"piezo tensor has another shape: it is 1 × 3 × 6; {NEEDS}",
        ),
        (
            "piezo",
            json.dumps([WEAK.ravel().tolist()]),
            f"piezo tensor has another shape: it is 1 × 18; {NEEDS}",
        ),
        (
            "piezo",
            "[" * 9 + "1" + "]" * 9,
            f"piezo tensor has another shape: it is nested 9 deep; {NEEDS}",
        ),
        (
            "piezo",
            json.dumps([*WEAK.tolist(), []]),
            f"piezo tensor has another shape: it {RAGGED}; {NEEDS}",
        ),
        (
            "piezo",
            json.dumps([[*WEAK[0].tolist(), 1], WEAK[1].tolist(), WEAK[2, 1:].tolist()]),
            f"piezo tensor has another shape: it {RAGGED}; {NEEDS}",
        ),
        (
            "piezo",
            json.dumps([*WEAK.ravel().tolist(), []]),
            f"piezo tensor has another shape: it {RAGGED}; {NEEDS}",
        ),
        (
            "dielectric",
            "[[1, 0, 0], [0, null, 0], [0, 0, 1]]",
            "dielectric tensor is incomplete: entry 5 is missing or not finite",
        ),
        (
            "dielectric",
            "[[1, 0, 0], [0, NaN, 0], [0, 0, 1]]",
            "dielectric tensor is incomplete: entry 5 is missing or not finite",
        ),
        (
            "dielectric",
            '[[1, 0, 0], [0, "x", 0], [0, 0, 1]]',
            "target is not a number: number 5 of the list, 'x'",
        ),
        (
            "dielectric",
            json.dumps(TILTED.tolist()),
            "dielectric tensor is not symmetric in its indices: 9 % of its norm; check the order"
            " of its entries",
        ),
        (
            "elastic",
            json.dumps(SOFT.tolist()),
            "elastic tensor is not positive definite: its lowest eigenvalue is -80, so the crystal"
            " would give way; leave it out or compute it again",
        ),
    ],
)
def test_a_bad_tensor_costs_one_line(name: str, cell: str, reason: str) -> None:
    with pytest.raises(BadCrystal) as caught:
        kind(name).parse(cell, SALT)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("cell", "least"),
    [
        ([0.0] * 6, "0"),
        ([-5.0, -5, -5, 0, 0, 0], "-5"),
        ([5.0, 5, -5, 0, 0, 0], "-5"),
        ([0.2, 0.2, 0.2, 0, 0, 0], "0.2"),
        ([5.0, 5, 5, 0, 0, 4.5], "0.5"),
    ],
)
def test_a_permittivity_is_that_of_the_vacuum_at_least(cell: list[float], least: str) -> None:
    with pytest.raises(BadCrystal) as caught:
        kind("dielectric").parse(json.dumps(cell), SALT)
    assert str(caught.value) == (
        f"dielectric tensor is below the vacuum's: its lowest eigenvalue is {least}, and crystals"
        " have 1 at least; give it relative to the vacuum, and no susceptibility"
    )
    kind("dielectric").parse("[1, 0.995, 1, 0, 0, 0]", SALT)


def test_the_summary_keeps_causes_apart_and_counts_alike_ones() -> None:
    cells = ("[1]", "[1, 2]", "[[1, 2], [3]]", "[null, 1, 1, 0, 0, 0]", "[1, NaN, 1, 0, 0, 0]")
    quarantine = Quarantine()
    for place, cell in enumerate((*cells, '["x"]', '[1, "y"]', json.dumps(TILTED.tolist()))):
        with pytest.raises(BadCrystal) as caught:
            kind("dielectric").parse(cell, SALT)
        quarantine.add(f"made:{place}", str(place), str(caught.value))
    assert quarantine.reasons() == [
        ("dielectric tensor has another shape", 3),
        ("dielectric tensor is incomplete", 2),
        ("target is not a number", 2),
        ("dielectric tensor is not symmetric in its indices", 1),
    ]


def test_scores_say_what_an_engineer_asks() -> None:
    own = kind("elastic")
    true = own.form.components(np.stack([stiffness(STIFF)] * 4))
    soft = own.form.components(stiffness(SOFT))
    said = np.stack([true[0], true[0] * 1.2, true[0] * 1.5, soft])
    scores = own.metrics(said, true, own.scaler(true))
    size = np.linalg.norm(true[0])
    gaps = [0, 0.2 * size, 0.5 * size, np.linalg.norm(soft - true[0])]
    assert scores["frobenius"] == pytest.approx(np.mean(gaps))
    assert scores["median_frobenius"] == pytest.approx(np.median(gaps))
    assert (scores["within_25"], scores["unstable"]) == (0.5, 1)
    bulk = own.scalars(own.form.cartesian(true[:1]))["bulk modulus"][0]
    voigt = STIFF[:3, :3].sum() / 9  # of the one that is not positive definite
    assert scores["mae bulk modulus"] == pytest.approx((0.7 * bulk + abs(voigt - bulk)) / 4)


def test_a_dielectric_is_scored_by_its_index() -> None:
    own = kind("dielectric")
    true = own.form.components(np.stack([np.eye(3) * 4, np.eye(3) * 9]))
    said = own.form.components(np.stack([np.eye(3) * 4, np.eye(3) * 16]))
    scores = own.metrics(said, true, own.scaler(true))
    assert scores["mae refractive index"] == pytest.approx(0.5)
    assert scores["mae trace"] == pytest.approx(10.5)
