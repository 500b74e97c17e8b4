"""How far a crystal lies from those that a model has learned from, in the model's own features.

Legend: B crystals, R crystals of the training part, V of the validation part, A features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

NEAREST = 5  # crystals of the training part, over which a distance is averaged
ORDINARY = 0.95  # share of the validation part that is not called far


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The training part of one model, as it sees it.

    Attributes:
        mean, scale: [A], which standardise features.
        features: [R, A] float32, standardised.
        unit: distance that a share of `ORDINARY` of the validation part does not exceed.
    """

    mean: np.ndarray
    scale: np.ndarray
    features: np.ndarray
    unit: float

    @classmethod
    def of(cls, training: np.ndarray, validation: np.ndarray) -> Self:
        """From features [R, A] and [V, A].

        Raises:
            ValueError: one of the parts is empty.
        """
        if not len(training) or not len(validation):
            raise ValueError("no crystals to compare with")
        mean, scale = training.mean(axis=0), training.std(axis=0)
        scale = np.where(scale > 1e-6 * np.abs(mean).max(initial=1e-12), scale, np.inf)
        own = ((training - mean) / scale).astype(np.float32)
        unscaled = cls(mean=mean, scale=scale, features=own, unit=1.0)
        unit = float(np.quantile(unscaled.distance(validation), ORDINARY))
        return cls(mean=mean, scale=scale, features=own, unit=unit or 1.0)

    def distance(self, features: np.ndarray) -> np.ndarray:
        """[B] mean distance to the nearest crystals of the training part, in `unit`."""
        own = ((features - self.mean) / self.scale).astype(np.float32)
        square = (own**2).sum(1)[:, None] + (self.features**2).sum(1) - 2 * own @ self.features.T
        nearest = min(NEAREST, len(self.features))
        least = np.partition(square, nearest - 1, axis=1)[:, :nearest]
        return np.asarray(np.sqrt(np.maximum(least, 0)).mean(axis=1, dtype=np.float64) / self.unit)
