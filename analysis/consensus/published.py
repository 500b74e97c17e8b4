"""The genetic algorithm as the thesis describes it: no local search, labels used as names.

Population 500, 2 000 generations, crossover with probability 0.5, mutation with 0.2 (each gene with
0.1), tournaments of three, any number of clusters. The thesis does not name its crossover; here it
is DEAP's usual one, at two points. DEAP provides the operators' names and the log; the operators
work on the whole population at once.

Shape letters: n elements, p partitions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from deap import base, tools
from numba import njit

from analysis.consensus.agreement import Agreement, canonical


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The thesis' settings."""

    population: int = 500
    generations: int = 2000
    crossover: float = 0.5
    mutation: float = 0.2
    gene: float = 0.1
    tournament: int = 3


def evolve_as_published(
    agreement: Agreement, seed: int, settings: Settings | None = None
) -> tuple[np.ndarray, tools.Logbook]:
    """The best partition [n] of all generations, and a log of each one's best and mean score."""
    settings = settings or Settings()
    random = np.random.default_rng(seed)
    n = len(agreement.numbers)
    toolbox = base.Toolbox()
    toolbox.register("evaluate", agreement.scores)
    toolbox.register("select", _tournament, size=settings.tournament)
    toolbox.register("mate", _cross, share=settings.crossover)
    toolbox.register("mutate", _mutate, share=settings.mutation, gene=settings.gene)
    log = tools.Logbook()
    log.header = ["generation", "best", "mean"]
    people = random.integers(0, n, (settings.population, n))
    scores = toolbox.evaluate(people)
    best, labels = float(scores.max()), people[scores.argmax()].copy()
    for generation in range(settings.generations):
        seeds = random.integers(0, 2**32, 3)
        chosen = toolbox.select(scores, seeds[0])
        people, scores = people[chosen], scores[chosen]
        changed = toolbox.mate(people, seeds[1]) | toolbox.mutate(people, seeds[2])
        scores[changed] = toolbox.evaluate(people[changed])
        if scores.max() > best:
            best, labels = float(scores.max()), people[scores.argmax()].copy()
        log.record(generation=generation, best=best, mean=float(scores.mean()))
    return canonical(labels), log


@njit(cache=True)
def _tournament(scores: np.ndarray, seed: int, size: int) -> np.ndarray:
    """Indices of the winners [p]."""
    np.random.seed(seed)
    p = len(scores)
    chosen = np.empty(p, dtype=np.int64)
    for place in range(p):
        best = np.random.randint(p)
        for _ in range(size - 1):
            other = np.random.randint(p)
            if scores[other] > scores[best]:
                best = other
        chosen[place] = best
    return chosen


@njit(cache=True)
def _cross(people: np.ndarray, seed: int, share: float) -> np.ndarray:
    """Neighbours exchange the genes between two points; returns which have changed [p]."""
    np.random.seed(seed)
    p, n = people.shape
    changed = np.zeros(p, dtype=np.bool_)
    for place in range(1, p, 2):
        if np.random.random() < share:
            one, other = np.random.randint(n + 1), np.random.randint(n + 1)
            for gene in range(min(one, other), max(one, other)):
                kept = people[place, gene]
                people[place, gene] = people[place - 1, gene]
                people[place - 1, gene] = kept
            changed[place] = changed[place - 1] = True
    return changed


@njit(cache=True)
def _mutate(people: np.ndarray, seed: int, share: float, gene: float) -> np.ndarray:
    """Gives some individuals some random labels; returns which have changed [p]."""
    np.random.seed(seed)
    p, n = people.shape
    changed = np.zeros(p, dtype=np.bool_)
    for place in range(p):
        if np.random.random() < share:
            for element in range(n):
                if np.random.random() < gene:
                    people[place, element] = np.random.randint(n)
            changed[place] = True
    return changed
