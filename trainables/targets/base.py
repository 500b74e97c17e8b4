"""A target as a value, and the interface of its kind. Needs no torch to be imported.

Legend: K models, B crystals, S sites of all of them; … is the shape of one crystal's value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from trainables.crystals.crystal import Crystal
from trainables.crystals.targets import KindName

if TYPE_CHECKING:
    from torch import Tensor

MEAN_ABSOLUTE_ERROR = "mae"  # the metric of kinds whose error is a MAE in the target's unit


@dataclass(frozen=True, kw_only=True)
class Target:
    """The target of a model, as it stands in the model's specification.

    Attributes:
        name: of the column; of several, the names with commas between.
        unit: None for a bare number, a class, or several columns.
        kind: a name in `kinds.KINDS`, whose class says how such a target is learned.
        shape: of the value of one crystal (of one site for `site`); () for a number.
    """

    name: str
    unit: str | None
    kind: KindName = "scalar"
    shape: tuple[int, ...] = ()


NUMBER = Target(name="target", unit=None)


@dataclass(frozen=True, kw_only=True)
class Scaler:
    """Standardises targets by their training part.

    Attributes:
        mean, scale: a number, or an array of the shape of a value.
        unit: what a mean absolute error of standardised targets is multiplied by in the metric.
    """

    mean: float | np.ndarray
    scale: float | np.ndarray
    unit: float

    def standardise(self, values: np.ndarray) -> np.ndarray:
        """(values − mean) / scale."""
        return (values - self.mean) / self.scale

    def restore(self, outputs: np.ndarray) -> np.ndarray:
        """The inverse of `standardise`."""
        return outputs * self.scale + self.mean


class Kind(Protocol):
    """How one target is learned: from the cell of a file to the scores of predictions.

    Values of B crystals are an array [B, …]; those of sites are flat, [S]. An entry that is NaN is
    missing: neither losses nor scores count it.

    Attributes:
        target: what is learned.
        metric: name of the error that early stopping and selections minimise; one of `metrics`.
        per_site: whether a value belongs to an atom, not to a crystal.
    """

    target: Target
    metric: str
    per_site: bool

    def parse(self, cell: str, crystal: Crystal) -> np.ndarray:
        """The value that a cell states, float64 […]; [atoms] if it is per site.

        Raises:
            BadCrystal: it states none that fits; the reason in one line.
        """

    def scaler(self, known: np.ndarray) -> Scaler:
        """The standardisation by the targets of the training part."""

    def loss(
        self, predicted: Tensor, true: Tensor, form: str, weight: Tensor | None = None
    ) -> Tensor:
        """[K] mean loss of outputs [K, B, …] on standardised targets [B, …].

        Args:
            form: of the recipe, "l1" or "mse"; it applies to regressions.
            weight: [K, B] 1 where a model learns from a row and 0 elsewhere ([K, S] of sites); the
                targets are each model's own then, [K, B, …]. None: all learn from all rows.
        """

    def errors(self, predicted: Tensor, true: Tensor, scaler: Scaler) -> Tensor:
        """[K] `metric` of outputs [K, B, …] on standardised targets [B, …]."""

    def value(self, outputs: np.ndarray, scaler: Scaler) -> np.ndarray:
        """The predictions that outputs [B, …] stand for: in the target's unit, or probabilities."""

    def metrics(self, predicted: np.ndarray, true: np.ndarray, scaler: Scaler) -> dict[str, float]:
        """Scores of predictions [B, …] as of `value`, by name; `metric` is one of them."""

    def trivial(self, known: np.ndarray) -> np.ndarray:
        """What is predicted without looking at the crystal, from the training part; […]."""


def mean_of(each: Tensor, weight: Tensor | None) -> Tensor:
    """[K] means of losses [K, B] over the rows of weight 1; 0 where there is none."""
    if weight is None:
        return each.mean(dim=1)
    return (each * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
