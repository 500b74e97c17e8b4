"""Voigt's notation and derived numbers, against closed forms and pymatgen."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.analysis.elasticity.elastic import ElasticTensor

from trainables.tensors.irreps import ELASTIC, PIEZO
from trainables.tensors.scalars import moduli, refractive_index, stable, youngs_modulus
from trainables.tensors.voigt import (
    OTHER_ORDERS,
    mandel,
    order_in_words,
    piezo,
    piezo_matrix,
    reordered,
    stiffness,
    stiffness_matrix,
)

RNG = np.random.default_rng(1)


def isotropic(bulk: float, shear: float) -> np.ndarray:
    """[6, 6] Voigt matrix."""
    found = np.zeros((6, 6))
    found[:3, :3] = bulk - 2 * shear / 3
    found[range(3), range(3)] += 2 * shear
    found[range(3, 6), range(3, 6)] = shear
    return found


def sound(seed: int) -> np.ndarray:
    """[6, 6] Voigt matrix of no symmetry that is positive definite."""
    drawn = np.random.default_rng(seed).normal(size=(6, 6)) * 5
    return np.asarray(drawn @ drawn.T + isotropic(100, 60))


def test_notations_lead_back() -> None:
    matrix, rows = sound(0), RNG.normal(size=(4, 3, 6))
    assert np.array_equal(stiffness_matrix(stiffness(matrix)), matrix)
    assert np.array_equal(piezo_matrix(piezo(rows)), rows)
    assert np.abs(ELASTIC.cartesian(ELASTIC.components(stiffness(matrix))) - stiffness(matrix)
                  ).max() < 1e-12  # fmt: skip
    assert np.abs(PIEZO.cartesian(PIEZO.components(piezo(rows))) - piezo(rows)).max() < 1e-13
    assert np.linalg.norm(mandel(stiffness(matrix))) == pytest.approx(
        np.linalg.norm(stiffness(matrix))
    )


@pytest.mark.parametrize("order", OTHER_ORDERS)
def test_another_order_is_undone(order: tuple[int, ...]) -> None:
    matrix, names = sound(0), ["yz", "xz", "xy"]
    at = [0, 1, 2, *(3 + place for place in order)]
    assert np.array_equal(reordered(matrix[np.ix_(at, at)], order), matrix)
    assert np.array_equal(reordered(matrix[:3][:, at], order), matrix[:3])
    assert order_in_words(order).split()[3:] == [names[place] for place in order]


@pytest.mark.parametrize("seed", range(3))
def test_moduli_are_those_of_pymatgen(seed: int) -> None:
    matrix = sound(seed)
    theirs = ElasticTensor.from_voigt(matrix)
    bulk, shear = moduli(stiffness(matrix))
    assert bulk == pytest.approx(theirs.k_vrh, rel=1e-9)
    assert shear == pytest.approx(theirs.g_vrh, rel=1e-9)


def test_an_isotropic_body_is_as_stiff_in_all_directions() -> None:
    directions = RNG.normal(size=(7, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    found = youngs_modulus(stiffness(isotropic(100.0, 60.0)), directions)
    np.testing.assert_allclose(found, 9 * 100 * 60 / (3 * 100 + 60), rtol=1e-12)


def test_a_cubic_body_is_not() -> None:
    """Nye, section VIII.5: 1/E = s11 − 2 (s11 − s12 − s44/2)(n1²n2² + n2²n3² + n3²n1²)."""
    c11, c12, c44 = 166.0, 64.0, 80.0  # silicon, GPa
    matrix = isotropic(1.0, 1.0) * 0
    matrix[:3, :3] = c12
    matrix[range(6), range(6)] = [c11] * 3 + [c44] * 3
    s11 = (c11 + c12) / ((c11 - c12) * (c11 + 2 * c12))
    s12 = -c12 / ((c11 - c12) * (c11 + 2 * c12))
    along = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1]]) / np.sqrt([[1], [2], [3]])
    known = [1 / (s11 - 2 * (s11 - s12 - 0.5 / c44) * share) for share in (0, 1 / 4, 1 / 3)]
    np.testing.assert_allclose(youngs_modulus(stiffness(matrix), along), known, rtol=1e-12)


def test_what_is_not_positive_definite_is_told_and_averaged_by_voigt() -> None:
    matrix = isotropic(100.0, 60.0)
    matrix[5, 5] = -1
    both = stiffness(np.stack([isotropic(100.0, 60.0), matrix]))
    assert stable(both).tolist() == [True, False]
    bulk, shear = moduli(both)
    assert bulk == pytest.approx([100, 100]) and shear == pytest.approx([60, 60 - 61 / 5])


def test_the_index_of_a_permittivity() -> None:
    found = refractive_index(np.array([np.diag([1.0, 2, 3]) * 2, -np.eye(3)]))
    assert found == pytest.approx([2, 0])
