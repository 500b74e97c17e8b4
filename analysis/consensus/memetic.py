"""A genetic algorithm whose children are improved by local search, on islands.

Clusters have no names, so before two parents are crossed the labels of one are matched to those of
the other by common elements; each element then takes the label of one of the two, and local search
improves the child. Islands evolve separately and pass their best to the next one between rounds.

Shape letters: n elements, p partitions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numba import njit

from analysis.consensus.agreement import Agreement, canonical
from analysis.consensus.local import improve
from analysis.mapping import Map

ISLANDS, POPULATION, ROUNDS, CHILDREN = 4, 16, 4, 150


@dataclass(frozen=True)
class Found:
    """The best partition.

    Attributes:
        labels: [n], 0, 1, … in the order of the clusters' first elements.
        score: F.
    """

    labels: np.ndarray
    score: float


def evolve(agreement: Agreement, seed: int, map: Map = map) -> Found:
    """The best partition of `ISLANDS` islands; the same for any `map`."""
    weights = agreement.weights
    seeds = np.random.SeedSequence(seed).spawn(ISLANDS * ROUNDS)
    numbers = [int(one.generate_state(1)[0]) for one in seeds]
    islands: list[np.ndarray | None] = [None] * ISLANDS
    for turn in range(ROUNDS):
        tasks = zip(numbers[turn * ISLANDS : (turn + 1) * ISLANDS], islands, strict=True)
        islands = _pass_on(list(map(partial(_island, weights), tasks)))
    best = [max(agreement.scores(people)) for people in islands if people is not None]
    home = int(np.argmax(best))
    people = islands[home]
    assert people is not None
    labels = canonical(people[agreement.scores(people).argmax()])
    return Found(labels, agreement.score(labels))


def improve_from(labels_n: np.ndarray, agreement: Agreement, seed: int) -> np.ndarray:
    """The best partition of one short island that starts near a known one."""
    n = len(agreement.numbers)
    people = np.random.default_rng(seed).integers(0, n, (POPULATION, n), dtype=np.int64)
    people[0] = canonical(labels_n)
    found = _island(agreement.weights, (seed, people))
    return canonical(found[agreement.scores(found).argmax()])


def _island(weights: np.ndarray, task: tuple[int, np.ndarray | None]) -> np.ndarray:
    """One round of one island: its population [p, n], best first."""
    seed, people = task
    if people is None:
        people = np.random.default_rng(seed).integers(
            0, len(weights), (POPULATION, len(weights)), dtype=np.int64
        )
    people = people.copy()
    merits = np.array([improve(labels, weights) for labels in people])
    _live(people, merits, weights, CHILDREN, seed)
    return people[np.argsort(-merits, kind="stable")]


def _pass_on(islands: list[np.ndarray]) -> list[np.ndarray | None]:
    """Replaces each island's worst partition by the best of the previous one."""
    return [
        np.concatenate([people[:-1], islands[here - 1][:1]]) for here, people in enumerate(islands)
    ]


@njit(cache=True)
def _live(
    people: np.ndarray, merits: np.ndarray, weights: np.ndarray, children: int, seed: int
) -> None:
    """Each child in turn replaces the worst partition if it is better."""
    np.random.seed(seed % 2**32)
    for _ in range(children):
        mother, father = _pick(merits), _pick(merits)
        child = _cross(people[mother], match_labels(people[mother], people[father]))
        if mother == father:
            _shake(child)
        merit = improve(child, weights)
        worst = merits.argmin()
        known = False
        for other in merits:
            known = known or abs(other - merit) < 1e-14
        if merit > merits[worst] and not known:
            people[worst], merits[worst] = child, merit


@njit(cache=True)
def _pick(merits: np.ndarray) -> int:
    """The better of two random partitions."""
    one, other = np.random.randint(len(merits)), np.random.randint(len(merits))
    return one if merits[one] >= merits[other] else other


@njit(cache=True)
def match_labels(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """`theirs` relabelled by `ours`, pairs of clusters with most common elements first."""
    n = len(ours)
    common = np.zeros((n, n), dtype=np.int64)
    for i in range(n):
        common[theirs[i], ours[i]] += 1
    name = np.full(n, -1)
    taken = np.zeros(n, dtype=np.bool_)
    for shared in range(common.max(), 0, -1):
        for a in range(n):
            for b in range(n):
                if common[a, b] == shared and name[a] < 0 and not taken[b]:
                    name[a], taken[b] = b, True
    free = 0
    for a in range(n):
        if name[a] < 0:
            while taken[free]:
                free += 1
            name[a], taken[free] = free, True
    return name[theirs]


@njit(cache=True)
def _cross(mother: np.ndarray, father: np.ndarray) -> np.ndarray:
    """Each element's label from either parent."""
    child = mother.copy()
    for i in range(len(child)):
        if np.random.random() < 0.5:
            child[i] = father[i]
    return child


@njit(cache=True)
def _shake(child: np.ndarray) -> None:
    """Moves about every tenth element to a random cluster."""
    for i in range(len(child)):
        if np.random.random() < 0.1:
            child[i] = child[np.random.randint(len(child))]
