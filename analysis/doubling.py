"""What more data would bring, by the slope of a learning curve.

The error falls about as a power of the number of training crystals (Hestness et al. 2017,
arXiv:1712.00409): log error = a − b · log n. Over small sizes it falls faster than it goes on to
do (docs/results.md, "A fit of phonons"), so b is that of the two largest sizes of a fold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.paired import FIVE_FOLDS, paired


@dataclass(frozen=True, kw_only=True)
class Slope:
    """By which factor twice the data change the error, with its 95 % interval.

    Attributes:
        factor: 2^(−b), b the mean over folds; low, high: the interval, infinite for one fold.
    """

    factor: float
    low: float
    high: float


def slope(curve: pd.DataFrame) -> Slope | None:
    """The slope of a learning curve; None if no fold has two sizes with errors above 0.

    Args:
        curve: fold, crystals, error; a row a fold and size.
    """
    if curve.empty:
        return None
    slopes = []
    for _, own in curve[curve["error"] > 0].groupby("fold"):
        last = own.groupby("crystals")["error"].mean().sort_index().tail(2)
        if len(last) == 2:
            slopes.append(np.diff(np.log(last)).item() / np.diff(np.log(last.index)).item())
    if not slopes:
        return None
    found = paired(slopes, FIVE_FOLDS)
    factor, low, high = (float(2.0**value) for value in (found.mean, found.low, found.high))
    return Slope(factor=factor, low=low, high=high)
