"""Weights of the models of a fold, determined on the validation part alone.

Legend: M models, V validation crystals.

- `mean`: equal weights.
- `greedy`: models are added one at a time, repeatedly if that helps (Caruana et al. 2004,
  10.1145/1015330.1015432); the first is the best single one.
- `fitted`: weights of at least 0 that sum to 1 with the least mean absolute error, a linear
  programme.
- `best`: the best single model, as a baseline.

An ensemble that was fitted on some crystals looks better on them than it is. So the way is chosen
by cross-validation within the validation part: weights fitted on some parts are scored on another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import bmat, csr_array, eye_array

ROUNDS = 50  # of the greedy selection, as a model may be added repeatedly
PARTS = 5  # of the validation part, for choosing the way
# A linear programme with more crystals takes minutes and moves the weights by less than their
# noise.
MOST_FITTED = 4000

Way = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Blend:
    """The choice made on the validation part.

    Attributes:
        way: name of the way that was chosen.
        weights: [M], at least 0, sum 1.
        errors: mean absolute error of each way by cross-validation.
        crossed: [V] predictions by weights fitted without the crystal.
        crossed_spread: [V] deviation of the models with these weights.
    """

    way: str
    weights: np.ndarray
    errors: dict[str, float]
    crossed: np.ndarray
    crossed_spread: np.ndarray


def blend(predictions_mv: np.ndarray, target_v: np.ndarray, seed: int) -> Blend:
    """Chooses a way by cross-validation and fits its weights on the whole validation part.

    Raises:
        ValueError: no model, no crystal, or a prediction that is not finite.
    """
    models, crystals = predictions_mv.shape
    if not models or not crystals or len(target_v) != crystals:
        raise ValueError(f"{models} models with {crystals} predictions of {len(target_v)} targets")
    if not (np.isfinite(predictions_mv).all() and np.isfinite(target_v).all()):
        raise ValueError("a prediction or target is not finite")
    shuffled = np.random.default_rng(seed).permutation(crystals)
    parts = np.array_split(shuffled, min(PARTS, crystals))
    crossed = {name: np.empty((2, crystals)) for name in WAYS}
    for part in parts:
        rest = np.setdiff1d(shuffled, part) if len(parts) > 1 else part
        for name, way in WAYS.items():
            weights = way(predictions_mv[:, rest], target_v[rest])
            crossed[name][:, part] = combine(weights, predictions_mv[:, part])
    errors = {name: float(np.abs(found[0] - target_v).mean()) for name, found in crossed.items()}
    chosen = min(errors, key=lambda name: errors[name])
    return Blend(
        way=chosen,
        weights=WAYS[chosen](predictions_mv, target_v),
        errors=errors,
        crossed=crossed[chosen][0],
        crossed_spread=crossed[chosen][1],
    )


def combine(weights_m: np.ndarray, predictions_mv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean [V] of the models' predictions, and their weighted deviation [V] from it."""
    mean = weights_m @ predictions_mv
    return mean, np.sqrt(weights_m @ (predictions_mv - mean) ** 2)


def _best(predictions: np.ndarray, target: np.ndarray) -> np.ndarray:
    weights = np.zeros(len(predictions))
    weights[np.abs(predictions - target).mean(axis=1).argmin()] = 1.0
    return weights


def _mean(predictions: np.ndarray, target: np.ndarray) -> np.ndarray:
    return np.full(len(predictions), 1 / len(predictions))


def _greedy(predictions: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The multiset of models with the least error of all those met on the way."""
    times = np.zeros(len(predictions))
    total = np.zeros(len(target))
    best, kept = np.inf, times
    for size in range(1, ROUNDS + 1):
        errors = np.abs((total + predictions) / size - target).mean(axis=1)
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


WAYS: dict[str, Way] = {"best": _best, "mean": _mean, "greedy": _greedy, "fitted": _fitted}
