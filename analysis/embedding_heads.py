"""A number read from frozen embeddings: ridge and kernel ridge, and an ensemble of them.

Legend: K members, B materials, N others, T those that are learned from, D dimensions.

Strengths are chosen by the mean absolute error on the validation part; the test part takes part in
no choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from analysis.ensemble.spread import Spread, calibrate

RIDGE, KERNEL = "ridge", "kernel ridge"
STRENGTHS = tuple(np.geomspace(1e-3, 1e4, 15).tolist())  # beside features of variance 1
KERNEL_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
WIDTHS = (0.5, 1.0, 2.0)  # of the kernel, in root mean square distances of the features


class Rule(Protocol):
    """What was fitted."""

    def __call__(self, seen: np.ndarray) -> np.ndarray:
        """[N] predictions, about their mean, from standardised features [N, D]."""


@dataclass(frozen=True)
class Head:
    """Predictions of a head.

    Attributes:
        values: [B] of all materials.
        error: mean absolute error on the validation part, by which it was chosen.
        mean, scale: [D] by which features are standardised.
        centre: of the target.
        rule: what was fitted.
    """

    values: np.ndarray
    error: float
    mean: np.ndarray
    scale: np.ndarray
    centre: float
    rule: Rule

    def predict(self, features: np.ndarray) -> np.ndarray:
        """[N] of other materials, by their features [N, D]."""
        return np.asarray(self.centre + self.rule((features - self.mean) / self.scale))


Fitted = Callable[[np.ndarray, np.ndarray, np.ndarray], Iterator[tuple[np.ndarray, Rule]]]


def head(
    kind: str,
    features: np.ndarray,
    target: np.ndarray,
    train: np.ndarray,
    validation: np.ndarray,
) -> Head:
    """The best head of a kind, of those that learn from the training part.

    Args:
        kind: `RIDGE` or `KERNEL`.
        features: [B, D].
        target: [B].
        train, validation: rows.
    """
    mean, scale = features[train].mean(axis=0), features[train].std(axis=0)
    # a feature that is constant but for rounding says nothing
    scale = np.where(scale > 1e-6 * max(float(scale.max()), 1e-12), scale, np.inf)
    seen = (features - mean) / scale
    centre = float(target[train].mean())
    heads = []
    for values, rule in HEADS[kind](seen[train], target[train] - centre, seen):
        own = centre + values
        heads.append(Head(own, _error(own, target, validation), mean, scale, centre, rule))
    return min(heads, key=lambda one: one.error)


def _error(values: np.ndarray, target: np.ndarray, rows: np.ndarray) -> float:
    return float(np.abs(values[rows] - target[rows]).mean())


@dataclass(frozen=True)
class _Ridge:
    """A ridge.

    Attributes:
        axes: [D, D] of the decomposition.
        weights: [D] along them.
    """

    axes: np.ndarray
    weights: np.ndarray

    def __call__(self, seen: np.ndarray) -> np.ndarray:
        return np.asarray((seen @ self.axes) @ self.weights)


@dataclass(frozen=True)
class _Kernel:
    """A kernel ridge.

    Attributes:
        learned: [T, D] standardised features.
        gamma: of the Gaussians.
        weights: [T].
    """

    learned: np.ndarray
    gamma: float
    weights: np.ndarray

    def __call__(self, seen: np.ndarray) -> np.ndarray:
        from sklearn.metrics.pairwise import rbf_kernel

        return np.asarray(rbf_kernel(seen, self.learned, gamma=self.gamma) @ self.weights)


def _ridges(
    learned: np.ndarray, target: np.ndarray, seen: np.ndarray
) -> Iterator[tuple[np.ndarray, Rule]]:
    """Predictions [B] at all strengths, by one singular value decomposition.

    Hoerl & Kennard 1970, doi:10.1080/00401706.1970.10488634.
    """
    left, values, right = np.linalg.svd(learned, full_matrices=False)
    projected, turned = left.T @ target, seen @ right.T
    for strength in STRENGTHS:
        weights = projected * values / (values**2 + strength)
        yield turned @ weights, _Ridge(right.T, weights)


def _kernels(
    learned: np.ndarray, target: np.ndarray, seen: np.ndarray
) -> Iterator[tuple[np.ndarray, Rule]]:
    """Predictions [B] with Gaussian kernels, at all widths and strengths."""
    # here: it takes a second, and reports do not need it
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.metrics.pairwise import rbf_kernel

    square = 2 * float(np.square(learned).sum(axis=1).mean()) or 1.0
    for width in WIDTHS:
        gamma = 0.5 / (width**2 * square)
        of_learned, of_seen = (rbf_kernel(one, learned, gamma=gamma) for one in (learned, seen))
        for strength in KERNEL_STRENGTHS:
            fitted = KernelRidge(alpha=strength, kernel="precomputed").fit(of_learned, target)
            weights = np.asarray(fitted.dual_coef_)
            yield np.asarray(fitted.predict(of_seen)), _Kernel(learned, gamma, weights)


HEADS: dict[str, Fitted] = {RIDGE: _ridges, KERNEL: _kernels}


@dataclass(frozen=True)
class Combined:
    """An ensemble of predictions of one number.

    Attributes:
        mean, deviation: [B] of the members; the deviation of one is 0.
        spread: calibrated on the validation part.
    """

    mean: np.ndarray
    deviation: np.ndarray
    spread: Spread

    def half_width(self, level: float) -> np.ndarray:
        """[B] half width of the interval that holds the target with probability `level`."""
        return self.spread.half_width(self.deviation, level)


def gathered(members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[B] mean and [B] deviation of the members' predictions [K, B]; 0 of a single one."""
    mean = members.mean(axis=0)
    return mean, members.std(axis=0, ddof=1) if len(members) > 1 else np.zeros_like(mean)


def combined(members: np.ndarray, target: np.ndarray, validation: np.ndarray) -> Combined:
    """The mean of the members' predictions [K, B], and how far it may be off."""
    mean, deviation = gathered(members)
    errors = (mean - target)[validation]
    return Combined(mean, deviation, calibrate(errors, deviation[validation]))
