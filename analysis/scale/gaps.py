"""Distances between neighbours of an order of the elements (thesis 3.1.3, eq. 3.3).

    L(x) = η (Σ_k x_k − n)² + Σ_{i<j} (S_ij D_ij + λ / D_ij),   D_ij = x_i + … + x_{j−1}

pulls elements that replace each other together (S) and pushes all apart (λ). The printed inner sum
starts at j = j + 1, a misprint for j = i + 1. L is convex and grows without bound as a gap closes,
so it has a unique minimum with positive gaps. Newton's method finds it to rounding.

Shape letters: n elements in their order, g = n − 1 gaps between them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

ETA = 0.1
MOST_STEPS = 200
# Relative to the largest entry of the initial gradient; sums of n² terms have no more digits.
TOLERANCE = 1e-10
# A step goes at most this share of the way to the nearest gap of zero.
TO_THE_WALL = 0.9
ROUNDING = 1e-9

Repulsion = Literal["all", "adjacent"]


@dataclass(frozen=True, kw_only=True)
class Gaps:
    """The minimum of eq. 3.3 for one λ and one η.

    Attributes:
        values: gaps [g], positive.
        pull: Σ_{i<j} S_ij D_ij, the thesis' loss X.
        crowding: Σ_{i<j} 1 / D_ij over all pairs, the thesis' loss Y.
        gradient: largest entry of |∂L/∂x| at the end of the search; all gaps are positive, so the
            projected gradient is the gradient.
        converged: whether that is rounding, and so the minimum proven.
    """

    lam: float
    eta: float
    values: np.ndarray
    pull: float
    crowding: float
    gradient: float
    steps: int
    converged: bool

    @property
    def positions(self) -> np.ndarray:
        """Positions [n] from 1 to n, the gaps rescaled in proportion."""
        return 1.0 + np.concatenate([[0.0], np.cumsum(rescaled(self.values))])

    @property
    def variance(self) -> float:
        """Variance of the rescaled gaps: the deviation from an even scale."""
        return float(np.var(rescaled(self.values)))


def rescaled(gaps_g: np.ndarray) -> np.ndarray:
    """Gaps in proportion, with mean 1."""
    return gaps_g * (len(gaps_g) / gaps_g.sum())


def spans(gaps_g: np.ndarray) -> np.ndarray:
    """D_ij [n, n] of a pair i < j; infinite elsewhere, so that 1 / D is 0 there."""
    ends = np.concatenate([[0.0], np.cumsum(gaps_g)])
    span = ends[None, :] - ends[:, None]
    return np.where(np.triu(np.ones_like(span, dtype=bool), 1), span, np.inf)


def _crossing(pairs_nn: np.ndarray) -> np.ndarray:
    """[g, g]: at (k, l), k ≤ l, the sum over the pairs that span gaps k to l."""
    sums = np.cumsum(pairs_nn, axis=0)[:-1]
    sums = np.cumsum(sums[:, ::-1], axis=1)[:, ::-1][:, 1:]
    return np.triu(sums) + np.triu(sums, 1).T


def objective(
    gaps_g: np.ndarray, pull_nn: np.ndarray, lam: float, eta: float, repulsion: Repulsion = "all"
) -> float:
    """L of eq. 3.3; `pull_nn` is S in the order, of which only the upper triangle counts."""
    span = spans(gaps_g)
    apart = 1.0 / span if repulsion == "all" else np.diag(1.0 / gaps_g)
    near = np.isfinite(span)
    total = gaps_g.sum() - len(pull_nn)
    return float(eta * total**2 + (pull_nn[near] * span[near]).sum() + lam * apart.sum())


def gradient(
    gaps_g: np.ndarray, pull_nn: np.ndarray, lam: float, eta: float, repulsion: Repulsion = "all"
) -> np.ndarray:
    """∂L/∂x [g]."""
    return _derivatives(gaps_g, pull_nn, lam, eta, repulsion)[0]


def _derivatives(
    gaps_g: np.ndarray, pull_nn: np.ndarray, lam: float, eta: float, repulsion: Repulsion
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient [g] and Hessian [g, g]."""
    pulled = np.diagonal(_crossing(np.triu(pull_nn, 1)))
    slope = 2 * eta * (gaps_g.sum() - len(pull_nn)) + pulled
    if repulsion == "adjacent":
        return slope - lam / gaps_g**2, 2 * eta + np.diag(2 * lam / gaps_g**3)
    span = spans(gaps_g)
    slope = slope - lam * np.diagonal(_crossing(span**-2.0))
    return slope, 2 * eta + 2 * lam * _crossing(span**-3.0)


def minimise(
    pull_nn: np.ndarray, lam: float, eta: float = ETA, repulsion: Repulsion = "all"
) -> Gaps:
    """The gaps that minimise L.

    Args:
        pull_nn: S [n, n] in the order of the elements; S_ij with i before j is read.
        lam, eta: > 0.
        repulsion: whether λ / D pushes all pairs apart (eq. 3.3), or neighbours only.

    Raises:
        ValueError: fewer than two elements, λ or η not positive, or S negative or not finite.
    """
    pull_nn = np.triu(np.asarray(pull_nn, dtype=np.float64), 1)
    if len(pull_nn) < 2:
        raise ValueError("a scale needs two elements")
    if not (lam > 0 and eta > 0 and np.isfinite([lam, eta]).all()):
        raise ValueError(f"λ and η must be positive numbers, not {lam:g} and {eta:g}")
    if not (np.isfinite(pull_nn).all() and (pull_nn >= 0).all()):
        raise ValueError("replaceabilities must be numbers of at least 0")
    gaps = np.ones(len(pull_nn) - 1)
    slope, curvature = _derivatives(gaps, pull_nn, lam, eta, repulsion)
    enough = TOLERANCE * max(1.0, float(np.abs(slope).max()))
    steps = 0
    while np.abs(slope).max() > enough and steps < MOST_STEPS:
        step = -np.linalg.solve(curvature, slope)
        value = partial(objective, pull_nn=pull_nn, lam=lam, eta=eta, repulsion=repulsion)
        gaps = gaps + _length(gaps, step, float(slope @ step), value) * step
        slope, curvature = _derivatives(gaps, pull_nn, lam, eta, repulsion)
        steps += 1
    span = spans(gaps)
    near = np.isfinite(span)
    return Gaps(
        lam=lam,
        eta=eta,
        values=gaps,
        pull=float((pull_nn[near] * span[near]).sum()),
        crowding=float((1.0 / span).sum()),
        gradient=float(np.abs(slope).max()),
        steps=steps,
        converged=bool(np.abs(slope).max() <= enough),
    )


def _length(
    gaps: np.ndarray, step: np.ndarray, rate: float, value: Callable[[np.ndarray], float]
) -> float:
    """Step length of Newton's method: all gaps stay positive, and L falls (Armijo's rule)."""
    shrinking = step < 0
    wall = float((gaps[shrinking] / -step[shrinking]).min(initial=np.inf))
    length = min(1.0, TO_THE_WALL * wall)
    before = value(gaps)
    if -rate < ROUNDING * (1 + abs(before)):
        return length  # near the minimum L no longer resolves which step is better
    while value(gaps + length * step) > before + 1e-4 * length * rate:
        length /= 2
    return length
