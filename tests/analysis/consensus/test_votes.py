"""Twins have one vote."""

from __future__ import annotations

import numpy as np

from analysis.consensus.votes import distinct

NUMBERS = np.arange(1, 21)


def test_a_model_and_its_twin_have_one_vote() -> None:
    """γ = −4 adds a ten-thousandth of the learned vectors, γ = 0 as much of both."""
    random = np.random.default_rng(0)
    h, l = random.normal(size=(2, 20, 8))  # noqa: E741
    mixed = [(NUMBERS, vectors) for vectors in (h, h + 1e-4 * l, h + l, l)]
    assert distinct(mixed) == [0, 2, 3]


def test_the_unit_and_the_order_of_elements_do_not_matter() -> None:
    vectors = np.random.default_rng(0).normal(size=(20, 8))
    turned = np.random.default_rng(1).permutation(20)
    assert distinct([(NUMBERS, vectors), (NUMBERS[turned], 3 * vectors[turned])]) == [0]


def test_models_of_other_elements_are_no_twins() -> None:
    vectors = np.random.default_rng(0).normal(size=(20, 8))
    assert distinct([(NUMBERS, vectors), (NUMBERS + 1, vectors)]) == [0, 1]


def test_vectors_that_are_all_alike_are_no_twins() -> None:
    """Their distances are zero, which correlate with nothing."""
    assert distinct([(NUMBERS, np.zeros((20, 3)))] * 2) == [0, 1]
