"""Predictions of several models as one, with given weights.

Legend: M models, V crystals, K inner folds, T test crystals.
"""

from __future__ import annotations

import numpy as np


def combine(weights_m: np.ndarray, predictions_mv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean [V] of the models' predictions, and their weighted deviation [V] from it."""
    mean = weights_m @ predictions_mv
    return mean, np.sqrt(weights_m @ (predictions_mv - mean) ** 2)


def combine_inner(weights_m: np.ndarray, each_kmt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same for K predictions [K, M, T] of each model, by its inner folds.

    The mean is over all of them. The deviation is that between the models within one inner fold,
    as on validation crystals, which one model of an inner fold predicts; so one scale fits both.

    Returns:
        The mean [T], and the root [T] of the mean square of the K deviations.
    """
    if len(each_kmt) == 1:
        return combine(weights_m, each_kmt[0])
    found = [combine(weights_m, predictions_mt) for predictions_mt in each_kmt]
    mean = np.mean([mean for mean, _ in found], axis=0)
    return mean, np.sqrt(np.mean([deviation**2 for _, deviation in found], axis=0))
