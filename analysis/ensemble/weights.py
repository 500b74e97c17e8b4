"""Weights of the models of a fold, determined on the validation part alone.

Legend: M models, V validation crystals.

- `mean`: equal weights.
- `greedy`: models are added one at a time, repeatedly if that helps (Caruana et al. 2004,
  10.1145/1015330.1015432); the first is the best single one.
- `fitted`: weights of at least 0 that sum to 1 with the least mean absolute error, a linear
  programme.
- `best`: the best single model, as a baseline.

Classes are predicted by probabilities; of these, weights are chosen by 1 − the area under the ROC
curve instead of the mean absolute error, which would have them extreme, and none are fitted.

With inner folds the validation part is the whole of what the fold learns from: each crystal is
predicted by a model that has not seen it (stacking, Wolpert 1992, 10.1016/S0893-6080(05)80023-1).

An ensemble that was fitted on some crystals looks better on them than it is. So the way is chosen
by cross-validation within the validation part: weights fitted on some parts are scored on another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import bmat, csr_array, eye_array
from scipy.stats import rankdata

from analysis.ensemble.combining import combine

ROUNDS = 50  # of the greedy selection, as a model may be added repeatedly
PARTS = 5  # of the validation part, for choosing the way
# A linear programme with more crystals takes minutes and moves the weights by less than their
# noise.
MOST_FITTED = 4000

Way = Callable[[np.ndarray, np.ndarray], np.ndarray]
Error = Callable[[np.ndarray, np.ndarray], np.ndarray]  # predictions [M, V], target [V] -> [M]


@dataclass(frozen=True, kw_only=True)
class Blend:
    """The choice made on the validation part.

    Attributes:
        way: name of the way that was chosen.
        weights: [M], at least 0, sum 1.
        errors: of each way by cross-validation.
        crossed: [V] predictions by weights fitted without the crystal.
        crossed_spread: [V] deviation of the models with these weights.
    """

    way: str
    weights: np.ndarray
    errors: dict[str, float]
    crossed: np.ndarray
    crossed_spread: np.ndarray


def absolute_errors(predictions_mv: np.ndarray, target_v: np.ndarray) -> np.ndarray:
    """[M] mean absolute errors."""
    return np.asarray(np.abs(predictions_mv - target_v).mean(axis=1))


def area_errors(predictions_mv: np.ndarray, target_v: np.ndarray) -> np.ndarray:
    """[M] 1 − areas under the ROC curve, by mean ranks; ½, as by chance, of one class alone."""
    truth = target_v > 0.5
    positive, negative = int(truth.sum()), int((~truth).sum())
    if not positive or not negative:
        return np.full(len(predictions_mv), 0.5)
    ranks = rankdata(predictions_mv, axis=1)[:, truth].sum(axis=1)
    return np.asarray(1 - (ranks - positive * (positive + 1) / 2) / (positive * negative))


def ways_for(classes: bool) -> tuple[Error, dict[str, Way]]:
    """The error that is minimised, and the ways of choosing weights."""
    error = area_errors if classes else absolute_errors
    ways: dict[str, Way] = {
        "best": partial(_best, error),
        "mean": _mean,
        "greedy": partial(_greedy, error),
    }
    return error, ways if classes else ways | {"fitted": _fitted}


def blend(
    predictions_mv: np.ndarray, target_v: np.ndarray, seed: int, *, classes: bool = False
) -> Blend:
    """Chooses a way by cross-validation and fits its weights on the whole validation part.

    Args:
        classes: whether targets are 0 or 1 and predictions probabilities.

    Raises:
        ValueError: no model, no crystal, or a prediction that is not finite.
    """
    models, crystals = predictions_mv.shape
    if not models or not crystals or len(target_v) != crystals:
        raise ValueError(f"{models} models with {crystals} predictions of {len(target_v)} targets")
    if not (np.isfinite(predictions_mv).all() and np.isfinite(target_v).all()):
        raise ValueError("a prediction or target is not finite")
    error, ways = ways_for(classes)
    shuffled = np.random.default_rng(seed).permutation(crystals)
    parts = np.array_split(shuffled, min(PARTS, crystals))
    crossed = {name: np.empty((2, crystals)) for name in ways}
    for part in parts:
        rest = np.setdiff1d(shuffled, part) if len(parts) > 1 else part
        for name, way in ways.items():
            weights = way(predictions_mv[:, rest], target_v[rest])
            crossed[name][:, part] = combine(weights, predictions_mv[:, part])
    errors = {name: float(error(found[:1], target_v)[0]) for name, found in crossed.items()}
    chosen = min(errors, key=lambda name: errors[name])
    return Blend(
        way=chosen,
        weights=ways[chosen](predictions_mv, target_v),
        errors=errors,
        crossed=crossed[chosen][0],
        crossed_spread=crossed[chosen][1],
    )


def _best(error: Error, predictions: np.ndarray, target: np.ndarray) -> np.ndarray:
    weights = np.zeros(len(predictions))
    weights[error(predictions, target).argmin()] = 1.0
    return weights


def _mean(predictions: np.ndarray, target: np.ndarray) -> np.ndarray:
    return np.full(len(predictions), 1 / len(predictions))


def _greedy(error: Error, predictions: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The multiset of models with the least error of all those met on the way."""
    times = np.zeros(len(predictions))
    total = np.zeros(len(target))
    best, kept = np.inf, times
    for size in range(1, ROUNDS + 1):
        errors = error((total + predictions) / size, target)
        chosen = int(errors.argmin())
        times[chosen] += 1
        total += predictions[chosen]
        if errors[chosen] < best:
            best, kept = float(errors[chosen]), times.copy()
    return kept / kept.sum()


def _fitted(predictions: np.ndarray, target: np.ndarray) -> np.ndarray:
    """min Σ_v (above_v + below_v) with Σ_m w_m p_mv − above_v + below_v = y_v, Σ w = 1, all ≥ 0."""
    step = -(-len(target) // MOST_FITTED)
    predictions, target = predictions[:, ::step], target[::step]
    models, crystals = predictions.shape
    scale = np.abs(target).max() or 1.0  # the solver's tolerances are absolute
    unit = eye_array(crystals)
    found = linprog(
        np.concatenate([np.zeros(models), np.full(2 * crystals, 1 / crystals)]),
        A_eq=bmat(
            [
                [csr_array(predictions.T / scale), -unit, unit],
                [csr_array(np.ones((1, models))), None, None],
            ],
            format="csr",
        ),
        b_eq=np.concatenate([target / scale, [1.0]]),
        bounds=(0, None),
        method="highs",
    )
    if found.x is None:  # numbers beyond the solver's range; the mean is as good a guess as any
        return _mean(predictions, target)
    weights = np.clip(found.x[:models], 0, None)
    return np.asarray(weights / weights.sum())
