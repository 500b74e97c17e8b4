"""A number read from frozen embeddings: ridge and kernel ridge, and an ensemble of them.

Legend: K members, B materials, D dimensions, S strengths.

Strengths are chosen by the mean absolute error on the validation part; the test part takes part in
no choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from analysis.ensemble.spread import Spread, calibrate

RIDGE, KERNEL = "ridge", "kernel ridge"
STRENGTHS = tuple(np.geomspace(1e-3, 1e4, 15).tolist())  # beside features of variance 1
KERNEL_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
WIDTHS = (0.5, 1.0, 2.0)  # of the kernel, in root mean square distances of the features


@dataclass(frozen=True)
class Head:
    """Predictions of a head.

    Attributes:
        values: [B] of all materials.
        error: mean absolute error on the validation part, by which it was chosen.
    """

    values: np.ndarray
    error: float


Fitted = Callable[[np.ndarray, np.ndarray, np.ndarray], Iterator[np.ndarray]]


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
    seen = (features - mean) / np.where(
        scale > 1e-6 * max(float(scale.max()), 1e-12), scale, np.inf
    )
    centre = float(target[train].mean())
    found = HEADS[kind](seen[train], target[train] - centre, seen)
    heads = [(centre + values, _error(centre + values, target, validation)) for values in found]
    values, error = min(heads, key=lambda one: one[1])
    return Head(values, error)


def _error(values: np.ndarray, target: np.ndarray, rows: np.ndarray) -> float:
    return float(np.abs(values[rows] - target[rows]).mean())


def _ridges(learned: np.ndarray, target: np.ndarray, seen: np.ndarray) -> Iterator[np.ndarray]:
    """Predictions [B] at all strengths, by one singular value decomposition.

    Hoerl & Kennard 1970, doi:10.1080/00401706.1970.10488634.
    """
    left, values, right = np.linalg.svd(learned, full_matrices=False)
    projected, turned = left.T @ target, seen @ right.T
    for strength in STRENGTHS:
        yield turned @ (projected * values / (values**2 + strength))


def _kernels(learned: np.ndarray, target: np.ndarray, seen: np.ndarray) -> Iterator[np.ndarray]:
    """Predictions [B] with Gaussian kernels, at all widths and strengths."""
    # here: it takes a second, and reports do not need it
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.metrics.pairwise import rbf_kernel

    square = 2 * float(np.square(learned).sum(axis=1).mean()) or 1.0
    for width in WIDTHS:
        of_learned, of_seen = (
            rbf_kernel(one, learned, gamma=0.5 / (width**2 * square)) for one in (learned, seen)
        )
        for strength in KERNEL_STRENGTHS:
            fitted = KernelRidge(alpha=strength, kernel="precomputed").fit(of_learned, target)
            yield np.asarray(fitted.predict(of_seen))


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


def combined(members: np.ndarray, target: np.ndarray, validation: np.ndarray) -> Combined:
    """The mean of the members' predictions [K, B], and how far it may be off."""
    mean = members.mean(axis=0)
    deviation = members.std(axis=0, ddof=1) if len(members) > 1 else np.zeros_like(mean)
    errors = (mean - target)[validation]
    return Combined(mean, deviation, calibrate(errors, deviation[validation]))
