"""An upper bound of the score of any partition, and a proof that the best one is optimal.

Partitions are the 0-1 points c with c_ij + c_jk − c_ik ≤ 1 for all triples (Grötschel and
Wakabayashi, 1989, 10.1007/BF01589097). Without the 0-1 that is a linear programme, whose optimum
bounds every partition. Its n³/2 triangles are added when they are violated, which few are. The
bound is read from the multipliers alone: for any y ≥ 0,

    max_c W·c − yᵀ(A c − 1) = Σ y + Σ_ij max(0, W_ij − (Aᵀy)_ij)

over the box 0 ≤ c ≤ 1 is a bound, so it holds for any accuracy of the solver. Where the optimum is
not 0-1, pairs are fixed together or apart (branch and bound) until the bound meets the best
partition.

Shape letters: n elements, e pairs i < j, t triangles.
"""

from __future__ import annotations

import heapq
import itertools
import time
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from analysis.consensus.agreement import Agreement, canonical
from analysis.consensus.local import improve

VIOLATED = 1e-6
CUTS_A_ROUND = 3000
# Scores closer than this are equal; they are means of shares of pairs.
CLOSED = 1e-9


@dataclass(frozen=True)
class Certificate:
    """A partition and the bound that no partition can exceed.

    Attributes:
        labels: the best partition found [n]; the given one, unless a better was found on the way.
        score: its F.
        bound: upper bound of F over all partitions; equal to `score` if the gap is closed.
        proven: whether no partition is better.
        nodes: number of linear programmes solved, with different pairs fixed.
        triangles: number of inequalities needed.
    """

    labels: np.ndarray
    score: float
    bound: float
    proven: bool
    nodes: int
    triangles: int

    @property
    def gap(self) -> float:
        """(bound − score) / score."""
        return (self.bound - self.score) / self.score


def certify(agreement: Agreement, labels_n: np.ndarray, seconds: float = 60.0) -> Certificate:
    """Bounds the score of all partitions, within about `seconds`."""
    search = _Search(agreement, canonical(np.asarray(labels_n)), time.monotonic() + seconds)
    bound = search.run()
    score = search.score
    proven = bound - score <= CLOSED
    return Certificate(
        labels=canonical(search.labels),
        score=score,
        bound=score if proven else bound,
        proven=proven,
        nodes=search.nodes,
        triangles=len(search.cuts),
    )


@dataclass(order=True)
class _Node:
    """A part of the search space: pairs fixed to a value, and a bound for all partitions in it."""

    bound_below: float  # negative, as heaps return the smallest first
    number: int
    fixed: dict[int, float] = field(compare=False)
    values: np.ndarray = field(compare=False)


class _Search:
    """Branch and bound; triangles found in one node are used in all."""

    def __init__(self, agreement: Agreement, labels: np.ndarray, until: float) -> None:
        self.agreement, self.until = agreement, until
        self.n = len(agreement.numbers)
        self.pairs = np.triu_indices(self.n, 1)
        self.place = np.full((self.n, self.n), -1)
        self.place[self.pairs] = np.arange(len(self.pairs[0]))
        self.place = np.maximum(self.place, self.place.T)
        weights = agreement.weights[self.pairs]
        # The solver's tolerances are absolute.
        self.unit = float(np.abs(weights).max()) or 1.0
        self.weights = weights / self.unit
        self.cuts: list[tuple[int, int, int]] = []  # pairs: first + second − third ≤ 1
        self.known: set[tuple[int, int, int]] = set()
        self.nodes = 0
        self.labels, self.score = labels, agreement.score(labels)

    def run(self) -> float:
        """The bound: the largest of all open parts."""
        numbers = itertools.count()
        root_bound, values = self._bound({})
        open_nodes = [_Node(-root_bound, next(numbers), {}, values)]
        while open_nodes:
            node = open_nodes[0]
            bound = -node.bound_below
            if bound - self.score <= CLOSED or time.monotonic() > self.until:
                return max(bound, self.score)
            heapq.heappop(open_nodes)
            branch = self._fractional(node.values)
            if branch is None:  # 0-1 and already rounded to a partition
                return max(bound, self.score)
            for value in (1.0, 0.0):
                fixed = {**node.fixed, branch: value}
                child, values = self._bound(fixed)
                # A bound of the whole part also holds for its halves.
                child = min(child, bound)
                if child - self.score > CLOSED:
                    heapq.heappush(open_nodes, _Node(-child, next(numbers), fixed, values))
        return self.score

    def _bound(self, fixed: dict[int, float]) -> tuple[float, np.ndarray]:
        """Bound of a part, and the fractional optimum [e] behind it."""
        self.nodes += 1
        low, high = np.zeros(len(self.weights)), np.ones(len(self.weights))
        for pair, value in fixed.items():
            low[pair] = high[pair] = value
        self._add_violated((self.weights > 0).astype(np.float64).clip(low, high))
        bound = np.inf
        while True:
            found, values = self._solve(low, high)
            bound = min(bound, found)
            self._take_up(values)
            late = self._done(bound) or time.monotonic() > self.until
            if late or not self._add_violated(values):
                return self.agreement.base + self.unit * bound, values

    def _done(self, bound: float) -> bool:
        return self.agreement.base + self.unit * bound - self.score <= CLOSED

    def _solve(self, low: np.ndarray, high: np.ndarray) -> tuple[float, np.ndarray]:
        """Bound in units of the weights, from the multipliers, and the optimum [e]."""
        t = len(self.cuts)
        if t == 0:
            values = np.where(self.weights > 0, high, low)
            return float(self.weights @ values), values
        rows = np.repeat(np.arange(t), 3)
        matrix = csr_array(
            (np.tile([1.0, 1.0, -1.0], t), (rows, np.array(self.cuts).ravel())),
            shape=(t, len(self.weights)),
        )
        found = linprog(
            -self.weights,
            A_ub=matrix,
            b_ub=np.ones(t),
            bounds=np.stack([low, high], axis=1),
            method="highs",
        )
        if found.x is None:  # fixed pairs contradict each other
            return -np.inf, np.where(self.weights > 0, high, low)
        multipliers = np.maximum(-found.ineqlin.marginals, 0.0)
        left = self.weights - matrix.T @ multipliers
        bound = float(multipliers.sum() + np.where(left > 0, left * high, left * low).sum())
        return bound, found.x

    def _add_violated(self, values: np.ndarray) -> int:
        """Adds the most violated triangles; returns how many."""
        square = np.zeros((self.n, self.n))
        square[self.pairs] = values
        square += square.T
        found = []
        for middle in range(self.n):
            # c_im + c_mk − c_ik ≤ 1
            excess = np.triu(square[middle][:, None] + square[middle][None] - square - 1.0, 1)
            excess[middle] = excess[:, middle] = 0.0
            for i, k in np.argwhere(excess > VIOLATED):
                found.append((float(excess[i, k]), middle, int(i), int(k)))
        found.sort(key=lambda cut: (-cut[0], *cut[1:]))
        before = len(self.cuts)
        for _, middle, i, k in found:
            first, second = sorted((self.place[i, middle], self.place[middle, k]))
            cut = (int(first), int(second), int(self.place[i, k]))
            if cut not in self.known:
                self.known.add(cut)
                self.cuts.append(cut)
                if len(self.cuts) - before == CUTS_A_ROUND:
                    break
        return len(self.cuts) - before

    def _take_up(self, values: np.ndarray) -> None:
        """Rounds the optimum to a partition, improves it, and keeps it if it is the best so far."""
        together = values > 0.5
        graph = csr_array(
            (np.ones(int(together.sum())), (self.pairs[0][together], self.pairs[1][together])),
            shape=(self.n, self.n),
        )
        labels = connected_components(graph, directed=False)[1].astype(np.int64)
        improve(labels, self.agreement.weights)
        score = self.agreement.score(labels)
        if score > self.score:
            self.labels, self.score = labels, score

    def _fractional(self, values: np.ndarray) -> int | None:
        """The least decided pair; among ties the one with the largest weight."""
        undecided = np.minimum(values, 1 - values)
        if undecided.max() < VIOLATED:
            return None
        half = undecided >= undecided.max() - 1e-9
        return int(np.argmax(np.where(half, np.abs(self.weights), -1.0)))
