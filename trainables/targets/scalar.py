"""A number a crystal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainables.crystals.crystal import Crystal
from trainables.crystals.targets import read_target
from trainables.targets.base import MEAN_ABSOLUTE_ERROR, Scaler, Target, mean_of

if TYPE_CHECKING:
    from torch import Tensor


class Scalar:
    """A `Kind`: one number a crystal, standardised; its error is the MAE in the target's unit."""

    metric = MEAN_ABSOLUTE_ERROR
    per_site = False

    def __init__(self, target: Target) -> None:
        self.target = target

    def parse(self, cell: str, crystal: Crystal) -> np.ndarray:
        """See `Kind`."""
        return np.array(read_target(cell))

    def scaler(self, known: np.ndarray) -> Scaler:
        """See `Kind`."""
        mean, scale = standardisation(known)
        return Scaler(mean=mean, scale=scale, unit=scale)

    def loss(
        self, predicted: Tensor, true: Tensor, form: str, weight: Tensor | None = None
    ) -> Tensor:
        """See `Kind`."""
        error = predicted - true
        return mean_of(error.abs() if form == "l1" else error.square(), weight)

    def errors(self, predicted: Tensor, true: Tensor, scaler: Scaler) -> Tensor:
        """See `Kind`."""
        return (predicted - true).abs().mean(dim=1) * scaler.unit

    def value(self, outputs: np.ndarray, scaler: Scaler) -> np.ndarray:
        """See `Kind`."""
        return scaler.restore(outputs)

    def metrics(self, predicted: np.ndarray, true: np.ndarray, scaler: Scaler) -> dict[str, float]:
        """MAE and RMSE in the target's unit."""
        return errors_of(predicted - true)

    def trivial(self, known: np.ndarray) -> np.ndarray:
        """The mean."""
        return np.array(known.mean())


def standardisation(known: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of targets; the latter is 1 if they are all alike."""
    mean, spread = float(known.mean()), float(known.std())
    # A constant target has to standardise to 0, not to its rounding errors.
    return mean, spread if spread > 1e-12 * abs(mean) else 1.0


def errors_of(gap: np.ndarray) -> dict[str, float]:
    """MAE and RMSE of differences."""
    return {
        MEAN_ABSOLUTE_ERROR: float(np.abs(gap).mean()),
        "rmse": float(np.sqrt((gap**2).mean())),
    }
