"""Learning curves over data: the error against the number of training crystals."""

from __future__ import annotations

import pandas as pd

from analysis.leaderboard import CONFIGURATION, of_mixings
from analysis.paired import paired
from analysis.selection import done


def error_by_size(ledger: pd.DataFrame) -> pd.DataFrame:
    """The mean test error of each mixing at each size, with Student's 95 % interval.

    At each size a mixing has the dimension and setting of the lowest mean validation error. The
    interval is over all folds and seeds as if they were independent; as their training parts
    overlap, it is a little too narrow.

    Args:
        ledger: models whose conditions differ in their size alone.

    Returns:
        task, backbone, mixing, gamma, crystals (mean number in the training parts), dim, setting,
        models, repeats (folds and seeds), test_error, low, high (infinite for one of these),
        dummy_error, unit, metric; by size.

    Raises:
        ValueError: no model is left.
    """
    names = list(CONFIGURATION)
    best = of_mixings(ledger)
    models = done(ledger, "test_error").groupby(names)
    rows = []
    for row in best.to_dict("records"):
        own = models.get_group(tuple(row[name] for name in names))
        # inner folds share a test part
        spread = paired(own.groupby(["fold", "seed"])["test_error"].mean().to_numpy(), 0.0)
        rows.append(
            row
            | {"crystals": own["n_train"].mean(), "repeats": spread.pairs}
            | {"low": spread.low, "high": spread.high}
        )
    order = ["task", "backbone", "gamma", "mixing", "crystals"]
    return pd.DataFrame(rows).sort_values(order, kind="stable").reset_index(drop=True)
