"""Agreement in closed form, the searches, and the proof, against brute force."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from analysis.consensus.agreement import Agreement, Reference, agree, canonical
from analysis.consensus.certificate import _Search, certify
from analysis.consensus.local import improve, improve_by_moves
from analysis.consensus.memetic import evolve, match_labels
from analysis.consensus.published import Settings, evolve_as_published
from analysis.consensus.stability import jaccard, stability
from tests.analysis.consensus.references import all_partitions, literal_score, noisy_references

SMALL = [
    noisy_references(n, models, seed, clusters=4, noise=1.2)
    for n, models, seed in ((3, 2, 0), (5, 7, 1), (7, 4, 2), (8, 9, 3), (8, 30, 4), (8, 2, 5))
]


def of_weights(weights: np.ndarray) -> Agreement:
    """An agreement whose score is Σ W c alone."""
    n = len(weights)
    none = np.zeros((n, n), dtype=np.int64)
    return Agreement(np.arange(1, n + 1), weights, 0.0, 1, none, none)


@pytest.mark.parametrize("seed", range(5))
def test_the_closed_form_is_the_mean_over_pairs(seed: int) -> None:
    references = noisy_references(20, 9, seed)
    agreement = agree(references)
    labels = np.random.default_rng(seed).integers(0, 6, (4, len(agreement.numbers)))
    for row, score in zip(labels, agreement.scores(labels), strict=True):
        by_number = dict(zip(agreement.numbers.tolist(), row.tolist(), strict=True))
        assert score == pytest.approx(literal_score(references, by_number), abs=1e-12)


def test_pairs_are_counted() -> None:
    agreement = agree(
        [
            Reference(np.array([1, 3, 8]), np.array([0, 0, 1])),
            Reference(np.array([3, 8, 9]), np.array([5, 5, 5])),
            Reference(np.array([4]), np.array([0])),  # one element: nothing to say
        ]
    )
    assert agreement.numbers.tolist() == [1, 3, 8, 9] and agreement.references == 2
    assert agreement.shared[1].tolist() == [1, 2, 2, 1]
    assert agreement.together[1].tolist() == [1, 2, 1, 1]
    assert agreement.weights[0, 3] == 0  # in no model together


def test_nothing_to_agree_on() -> None:
    with pytest.raises(ValueError, match="nothing to agree on"):
        agree([Reference(np.array([4]), np.array([0]))])


def test_canonical_labels() -> None:
    assert canonical(np.array([7, 7, 2, 7, 9])).tolist() == [0, 0, 1, 0, 2]


@pytest.mark.parametrize("seed", range(4))
def test_no_single_move_or_join_improves_what_was_improved(seed: int) -> None:
    agreement = agree(noisy_references(30, 20, seed, noise=1.0))
    n = len(agreement.numbers)
    labels = np.random.default_rng(seed).integers(0, n, n)
    gain = improve(labels, agreement.weights)
    score = agreement.score(labels)
    assert score == pytest.approx(agreement.base + gain, abs=1e-12)
    for element in range(n):
        for label in range(n):
            moved = labels.copy()
            moved[element] = label
            assert agreement.score(moved) <= score + 1e-12
    for one in np.unique(labels):
        for other in np.unique(labels):
            joined = np.where(labels == one, other, labels)
            assert agreement.score(joined) <= score + 1e-12


@pytest.mark.parametrize("references", SMALL)
def test_brute_force_agrees(references: list[Reference]) -> None:
    agreement = agree(references)
    best = max(map(agreement.score, all_partitions(len(agreement.numbers))))
    found = evolve(agreement, seed=1)
    assert found.score == pytest.approx(best, abs=1e-12)
    proof = certify(agreement, found.labels)
    assert proof.proven and proof.bound == proof.score == pytest.approx(best, abs=1e-9)
    # and from a bad start: the proof finds the best by itself, or says that a gap is left
    alone = certify(agreement, np.arange(len(agreement.numbers)))
    assert alone.proven and alone.score == pytest.approx(best, abs=1e-9)
    labels, log = evolve_as_published(agreement, 0, Settings(population=60, generations=40))
    assert agreement.score(labels) == pytest.approx(log[-1]["best"], abs=1e-12)
    assert agreement.score(labels) <= best + 1e-12


def test_where_the_linear_programme_is_not_enough() -> None:
    """A star: each leaf wants the middle and no other leaf; halves give 1.5, partitions 1."""
    weights = -np.ones((4, 4))
    weights[0, :] = weights[:, 0] = 1.0
    np.fill_diagonal(weights, 0.0)
    proof = certify(of_weights(weights), np.arange(4))
    assert proof.proven and proof.score == proof.bound == 1.0
    assert proof.nodes > 1


@pytest.mark.parametrize("seed", range(3))
def test_branches_close_what_is_hard(seed: int) -> None:
    """Random signs, where triangles alone leave a gap."""
    random = np.random.default_rng(seed)
    weights = np.triu(random.choice([-1.0, 1.0], (9, 9)), 1)
    agreement = of_weights(weights + weights.T)
    best = max(map(agreement.score, all_partitions(9)))
    proof = certify(agreement, evolve(agreement, 0).labels)
    assert proof.proven and proof.score == best


def test_every_bound_is_of_a_programme_whose_triangles_hold() -> None:
    random = np.random.default_rng(0)
    weights = np.triu(random.choice([-2.0, -1.0, 0.0, 1.0, 2.0], (16, 16)), 1)
    search = _Search(of_weights(weights + weights.T), np.arange(16), float("inf"))
    search._bound({})
    for pair in range(0, 120, 9):
        for value in (0.0, 1.0):
            _, values = search._bound({pair: value})
            assert search._add_violated(values) == 0


def test_a_proof_that_has_no_time_is_a_bound_all_the_same() -> None:
    random = np.random.default_rng(0)
    weights = np.triu(random.choice([-1.0, 1.0], (40, 40)), 1)
    agreement = of_weights(weights + weights.T)
    found = evolve(agreement, 0)
    proof = certify(agreement, found.labels, seconds=1e-9)
    assert not proof.proven and proof.bound > proof.score > 0 and proof.gap > 0


def threaded(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    with ThreadPoolExecutor(3) as pool:
        yield from pool.map(function, items)


def test_one_answer_whatever_does_the_work() -> None:
    references = noisy_references(40, 60, 0)
    agreement = agree(references)
    alone, shared = evolve(agreement, 5), evolve(agreement, 5, threaded)
    np.testing.assert_array_equal(alone.labels, shared.labels)
    stable = [
        stability(references, agreement, alone.labels, draws=4, map=m) for m in (map, threaded)
    ]
    np.testing.assert_array_equal(*stable)


@pytest.mark.parametrize("seed", range(2))
def test_better_than_restarts_of_single_moves(seed: int) -> None:
    agreement = agree(noisy_references(89, 400, seed))
    n = len(agreement.numbers)
    random = np.random.default_rng(seed)
    starts = random.integers(0, n, (200, n))
    best = agreement.base + max(improve_by_moves(row, agreement.weights) for row in starts)
    assert evolve(agreement, seed).score >= best - 1e-12


def test_labels_are_matched_before_parents_are_crossed() -> None:
    ours = np.array([0, 0, 0, 1, 1, 2])
    theirs = np.array([4, 4, 3, 5, 5, 5])
    matched = match_labels(ours, theirs).tolist()
    assert matched[:2] == [0, 0] and matched[3:] == [1, 1, 1]
    assert matched[2] not in (0, 1)  # the cluster that has nobody left to be matched with


def test_what_all_models_say_is_stable() -> None:
    labels = np.array([0, 0, 1, 1, 2])
    numbers = np.arange(1, 6)
    alike = [Reference(numbers, labels) for _ in range(8)]
    # half of the models put the fifth element elsewhere
    torn = [Reference(numbers, np.array([0, 0, 1, 1, 1])) for _ in range(8)]
    sure = stability(alike, agree(alike), labels, draws=20)
    np.testing.assert_array_equal(sure, 1.0)
    both = [*alike, *torn]
    found = stability(both, agree(both), labels, draws=50)
    assert found[0] == found[1] == 1.0
    assert found[4] < 0.9 and found[2] < 1.0


def test_folds_are_drawn_whole() -> None:
    """One fold of four puts the third element elsewhere, by however many models."""
    numbers, labels = np.arange(1, 6), np.array([0, 0, 0, 1, 1])
    other = np.array([0, 0, 1, 1, 1])
    references, folds = [], []
    for fold in range(4):
        references += [Reference(numbers, other if fold == 0 else labels)] * 50
        folds += [fold] * 50
    dims = [8, 16] * 100
    found = stability(references, agree(references), labels, factors=[folds, dims], draws=200)
    alone = stability(references, agree(references), labels, draws=200)
    assert alone[2] == 1.0, "of 200 models, 50 are never outvoted by chance"
    # in (1 + 4·3)/256 of the draws fold 0 comes three times or more, in 6·9/256 twice
    assert 0.85 < found[2] < 0.98
    single = stability(references, agree(references), labels, factors=[[0] * 200], draws=20)
    np.testing.assert_array_equal(
        single, stability(references, agree(references), labels, draws=20)
    )


def test_a_draw_of_folds_and_dimensions_that_no_model_has() -> None:
    """Two models, of fold 0 and dimension 8 and of fold 1 and dimension 16."""
    references = [Reference(np.arange(1, 5), np.array([0, 0, 1, 1]))] * 2
    found = stability(
        references, agree(references), np.array([0, 0, 1, 1]), factors=[[0, 1], [8, 16]], draws=20
    )
    np.testing.assert_array_equal(found, 1.0)


def test_an_element_that_no_draw_has() -> None:
    references = [Reference(np.array([1, 2, 3]), np.array([0, 0, 1])) for _ in range(30)]
    references.append(Reference(np.array([2, 3, 4]), np.array([0, 1, 1])))
    agreement = agree(references)
    found = stability(references, agreement, np.array([0, 0, 1, 1]), draws=1, seed=3)
    assert np.isnan(found[3]) and np.isfinite(found[:3]).all()


def test_jaccard_of_clusters() -> None:
    one, other = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    np.testing.assert_allclose(jaccard(one, other), [2 / 3, 2 / 3, 1 / 4, 1 / 2])


def test_the_published_algorithm_repeats_and_climbs() -> None:
    agreement = agree(noisy_references(30, 40, 0))
    settings = Settings(population=100, generations=60)
    labels, log = evolve_as_published(agreement, 3, settings)
    again, _ = evolve_as_published(agreement, 3, settings)
    np.testing.assert_array_equal(labels, again)
    best = log.select("best")
    assert best == sorted(best) and best[-1] > best[0]
    assert evolve(agreement, 0).score >= best[-1]
