"""Several numbers a crystal, of which some may be missing: a spectrum, or several properties.

Legend: K models, B crystals, L numbers of a crystal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainables.crystals.crystal import BadCrystal, Crystal
from trainables.crystals.targets import read_numbers
from trainables.targets.base import MEAN_ABSOLUTE_ERROR, Scaler, Target
from trainables.targets.scalar import errors_of

if TYPE_CHECKING:
    from torch import Tensor


class Masked:
    """What the kinds with entries that may be missing, as NaN, have in common.

    Losses and errors are means over the entries that are there, so that each counts alike.
    """

    metric = MEAN_ABSOLUTE_ERROR
    per_site = False

    def __init__(self, target: Target) -> None:
        self.target = target

    def loss(
        self, predicted: Tensor, true: Tensor, form: str, weight: Tensor | None = None
    ) -> Tensor:
        """See `Kind`."""
        known = true.isfinite()
        error = predicted - true.nan_to_num()
        each = (error.abs() if form == "l1" else error.square()) * known
        if weight is None:
            return each.flatten(1).sum(dim=1) / known.sum().clamp(min=1)
        weight = weight.view(*weight.shape, *[1] * (each.dim() - weight.dim()))
        counted = (known * weight).flatten(1).sum(dim=1)
        return (each * weight).flatten(1).sum(dim=1) / counted.clamp(min=1)

    def errors(self, predicted: Tensor, true: Tensor, scaler: Scaler) -> Tensor:
        """See `Kind`."""
        return self.loss(predicted, true, "l1") * scaler.unit

    def value(self, outputs: np.ndarray, scaler: Scaler) -> np.ndarray:
        """See `Kind`."""
        return scaler.restore(outputs)

    def metrics(self, predicted: np.ndarray, true: np.ndarray, scaler: Scaler) -> dict[str, float]:
        """MAE and RMSE over the entries that are there, in the target's unit."""
        known = np.isfinite(true)
        return errors_of(predicted[known] - true[known])

    def trivial(self, known: np.ndarray) -> np.ndarray:
        """The mean of each entry."""
        return means(known)


class Spectrum(Masked):
    """A `Kind`: a list of L numbers of one unit, as a density of states on a grid of energies.

    Its entries have a mean each and a scale in common, so that flat parts do not become noise.
    """

    def parse(self, cell: str, crystal: Crystal) -> np.ndarray:
        """[L]; see `Kind`."""
        (length,) = self.target.shape
        return numbers_of(cell, length, "the list of the first crystal")

    def scaler(self, known: np.ndarray) -> Scaler:
        """See `Kind`."""
        mean_l = means(known)
        scale = float(scales(known - mean_l, np.nanmax(np.abs(known)), axis=None))
        return Scaler(mean=mean_l, scale=scale, unit=scale)


class Properties(Masked):
    """A `Kind`: L columns with units of their own, each with its mean and its scale.

    Its error is the MAE of standardised targets: in standard deviations of the training part.
    """

    metric = "mae_standardised"

    def parse(self, cell: str, crystal: Crystal) -> np.ndarray:
        """[L]; see `Kind`."""
        (length,) = self.target.shape
        return numbers_of(cell, length, "the columns")

    def scaler(self, known: np.ndarray) -> Scaler:
        """See `Kind`."""
        mean_l = means(known)
        scale_l = scales(known - mean_l, np.abs(mean_l), axis=0)
        return Scaler(mean=mean_l, scale=scale_l, unit=1.0)

    def metrics(self, predicted: np.ndarray, true: np.ndarray, scaler: Scaler) -> dict[str, float]:
        """The standardised MAE, and the MAE of each column that is known, as `mae <column>`."""
        gap_bl = np.abs(predicted - true)
        there = np.isfinite(gap_bl).any(axis=0)
        own = zip(self.target.name.split(","), means(gap_bl), there, strict=True)
        return {
            self.metric: float(np.nanmean(gap_bl / scaler.scale)),
            **{f"{MEAN_ABSOLUTE_ERROR} {name}": float(value) for name, value, any_ in own if any_},
        }


def numbers_of(cell: str, length: int, like: str) -> np.ndarray:
    """[length] numbers of a cell, NaN for missing ones.

    Args:
        like: what has that length, for the message.

    Raises:
        BadCrystal: there are more or fewer, or all are missing.
    """
    found = np.array(read_numbers(cell), dtype=np.float64)
    if len(found) != length:
        raise BadCrystal(f"target has another length: {len(found)} numbers, and {length} by {like}")
    if not np.isfinite(found).any():
        raise BadCrystal("missing target: none of its numbers is there")
    return found


def means(values_bl: np.ndarray) -> np.ndarray:
    """[L] means over the crystals whose entry is there; 0 where none has one."""
    known = np.isfinite(values_bl)
    total = np.where(known, values_bl, 0.0).sum(axis=0)
    return np.asarray(total / np.maximum(known.sum(axis=0), 1))


def scales(gaps: np.ndarray, size: np.ndarray | float, axis: int | None) -> np.ndarray:
    """Standard deviations from differences to the mean; 1 where all are alike to rounding.

    Args:
        size: of the values, whose rounding errors are no spread.
    """
    known = np.isfinite(gaps)
    square = np.where(known, gaps, 0.0) ** 2
    spread = np.sqrt(square.sum(axis=axis) / np.maximum(known.sum(axis=axis), 1))
    return np.where(spread > 1e-12 * size, spread, 1.0)
