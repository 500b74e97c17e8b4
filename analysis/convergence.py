"""How trainings ended and whether models had converged, from their learning curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

# Last share of a training; an improvement within it shows that the model had not converged.
LATE = 0.1


def endings(rows: pd.DataFrame, limits: Sequence[int]) -> pd.DataFrame:
    """How each model's training ended: columns at_limit and late, with the index of `rows`.

    at_limit: it ran all its epochs; otherwise it stopped early, as its validation error had not
    improved for long enough. late: at the limit, with its best epoch in the last tenth.

    Args:
        rows: of the ledger, with epochs and best_epoch (from 0; NaN if unknown).
        limits: largest number of epochs of each.
    """
    limit = pd.Series(limits, index=rows.index)
    at_limit = rows["epochs"] >= limit
    best = pd.to_numeric(rows["best_epoch"], errors="coerce")
    late = at_limit & (limit - 1 - best < np.ceil(LATE * limit))
    return pd.DataFrame({"at_limit": at_limit, "late": late}, index=rows.index)


def late_gain(errors: np.ndarray) -> float:
    """Share by which the lowest error [epochs] fell in the last tenth; NaN for one epoch."""
    head = len(errors) - int(np.ceil(LATE * len(errors)))
    if head < 1:
        return float("nan")
    before, after = float(np.min(errors[:head])), float(np.min(errors))
    return (before - after) / before if np.isfinite(before) and before > 0 else float("nan")
