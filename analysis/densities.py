"""Scores and baselines of predicted densities of states.

Legend: B crystals, L energies, C columns of a table of elements, Z elements.

Densities are NaN at energies that the curve of a crystal does not reach.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

TREES = 500


def mean_spectrum(crystals: np.ndarray) -> np.ndarray:
    """[L] means over the crystals [B, L] whose curve reaches an energy; 0 where none does."""
    known = np.isfinite(crystals)
    total = np.where(known, crystals, 0.0).sum(axis=0)
    return np.asarray(total / np.maximum(known.sum(axis=0), 1))


def features(
    shares: np.ndarray, properties: np.ndarray, volume: np.ndarray | None = None
) -> np.ndarray:
    """[B, 2C + 1] what a forest sees: means and deviations of the atoms' properties, and volume.

    Args:
        shares: [B, Z] of the elements among the atoms.
        properties: [Z, C]; missing ones count as 0.
        volume: [B] Å³ per atom; without it, the composition alone is seen.
    """
    table = np.nan_to_num(properties)
    mean = shares @ table
    variance = shares @ table**2 - mean**2
    of_atoms = [mean, np.sqrt(np.maximum(variance, 0))]
    return np.column_stack(of_atoms if volume is None else [*of_atoms, volume])


def forest(
    learned: np.ndarray, crystals: np.ndarray, tested: np.ndarray, seed: int = 0
) -> np.ndarray:
    """[B, L] predictions of extremely randomised trees.

    Geurts et al. 2006, doi:10.1007/s10994-006-6226-1.

    Args:
        learned, tested: features of the crystals that are learned from, and of those predicted.
        crystals: densities of the former; where a curve does not reach, their mean stands in.
    """
    # here: it takes a second, and reports do not need it
    from sklearn.ensemble import ExtraTreesRegressor

    filled = np.where(np.isfinite(crystals), crystals, mean_spectrum(crystals))
    trees = ExtraTreesRegressor(TREES, max_features="sqrt", random_state=seed, n_jobs=1)
    # of a single column, scikit-learn wants a vector
    predicted: np.ndarray = trees.fit(learned, filled.squeeze()).predict(tested)
    return predicted.reshape(len(tested), -1)


def formulas(shares: np.ndarray) -> np.ndarray:
    """[B] a number for each crystal, the same for those of the same reduced formula.

    Args:
        shares: [B, Z] of the elements among the atoms.
    """
    _, number = np.unique(np.round(shares, 9), axis=0, return_inverse=True)
    return number.reshape(-1)


def look_up(
    learned: np.ndarray, crystals: np.ndarray, tested: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What is known without learning: the mean curve of the crystals of the same formula.

    Args:
        learned, tested: formulas of the crystals that are learned from, and of those predicted.
        crystals: densities of the former.

    Returns:
        Predictions [B, L], the mean spectrum where no curve of the formula reaches, and [B]
        whether the formula is among those learned from.
    """
    mean = mean_spectrum(crystals)

    def of(formula: int) -> np.ndarray:
        own = crystals[learned == formula]
        return np.where(np.isfinite(own).any(axis=0), mean_spectrum(own), mean)

    return np.stack([of(one) for one in tested]), np.isin(tested, learned)


@dataclass(frozen=True)
class Scored:
    """Errors of each crystal.

    Attributes:
        squared, absolute: [B] means over the energies that a curve reaches.
        wasserstein: [B] distances of the two as distributions over the energies, in their unit;
            NaN where nothing is predicted.
        at_zero: [B, 2] true and predicted density at energy 0; NaN where a curve does not reach.
    """

    squared: np.ndarray
    absolute: np.ndarray
    wasserstein: np.ndarray
    at_zero: np.ndarray


def score(true: np.ndarray, predicted: np.ndarray, energies: np.ndarray) -> Scored:
    """Errors of predictions [B, L]."""
    apart = predicted - true
    pairs = zip(true, predicted, strict=True)
    return Scored(
        squared=np.nanmean(apart**2, axis=1),
        absolute=np.nanmean(np.abs(apart), axis=1),
        wasserstein=np.array([wasserstein(energies, *pair) for pair in pairs]),
        at_zero=np.column_stack([at_zero(energies, one) for one in (true, predicted)]),
    )


def wasserstein(energies: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> float:
    """How far density has to be moved on average, where the true curve reaches.

    Both are scaled to the same total; what is predicted below 0 counts as 0.
    """
    from scipy.stats import wasserstein_distance  # here: slow to import

    known = np.isfinite(true)
    weights = true[known], np.maximum(predicted[known], 0)
    if not all(weight.sum() > 0 for weight in weights):
        return float("nan")
    return float(wasserstein_distance(energies[known], energies[known], *weights))


def at_zero(energies: np.ndarray, densities: np.ndarray) -> np.ndarray:
    """[…] densities […, L] at energy 0, between two points; NaN if it is not among the energies."""
    if not energies[0] <= 0 <= energies[-1]:
        return np.full(densities.shape[:-1], np.nan)
    place = max(1, int(np.searchsorted(energies, 0.0)))
    low, high = energies[place - 1 : place + 1]
    below, above = densities[..., place - 1], densities[..., place]
    return np.asarray(above if high == 0 else below - low * ((above - below) / (high - low)))


def mean_squared(true: np.ndarray, predicted: np.ndarray) -> float:
    """Mean squared error over all energies that curves [B, L] reach."""
    known = np.isfinite(true)
    return float(np.square((predicted - true)[known]).mean())


def mean_absolute(true: np.ndarray, predicted: np.ndarray) -> float:
    """The same of absolute errors."""
    known = np.isfinite(true)
    return float(np.abs((predicted - true)[known]).mean())


def at_quantiles(errors: pd.Series, count: int) -> list[int]:
    """Positions of the crystals at `count` evenly spaced quantiles of the error, ascending."""
    order = np.argsort(errors.to_numpy(), kind="stable")
    places = np.linspace(0, len(order) - 1, min(count, len(order)))
    return [int(order[place]) for place in np.rint(places).astype(int)]
