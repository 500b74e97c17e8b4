"""Selects the models that count: the best mixing of each cell, and the strategies S, H and L.

A cell is one (task, fold, backbone, dim, seed): its seven mixings compete (thesis 4.2.3). Selecting
on the validation error is the default; selecting on the test error reproduces the thesis literally
and leaks the test part into the tables made from the winners.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

CELL = ("task", "fold", "backbone", "dim", "seed")
LEAKS = frozenset({"test_error"})
STRATEGIES = ("S", "H", "L")


def leaks(on: str) -> bool:
    """Whether selecting by column `on` uses the test part."""
    return on in LEAKS


def order_of(mixing: str) -> int:
    """Position of a mixing in H, -4, -2, 0, 2, 4, L; others are ordered by their number.

    Raises:
        ValueError: it is neither H, L nor a number.
    """
    if mixing == "H":
        return -1_000_000
    if mixing == "L":
        return 1_000_000
    try:
        return round(float(mixing) * 1000)
    except ValueError:
        raise ValueError(f"mixing {mixing!r} is neither H, L nor a number") from None


def done(ledger: pd.DataFrame, on: str = "val_error") -> pd.DataFrame:
    """Rows of finished models with a finite value, sorted by key.

    Args:
        on: column of the value.

    Raises:
        ValueError: the column is absent, or no model is left.
    """
    if on not in ledger.columns:
        raise ValueError(f"ledger has no column {on!r}; its columns are {', '.join(ledger)}")
    values = pd.to_numeric(ledger[on], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    kept = ledger[(ledger["status"] == "done").to_numpy() & np.isfinite(values)]
    if kept.empty:
        states = ledger["status"].value_counts().to_dict()
        counts = ", ".join(f"{n} {name}" for name, n in states.items()) or "no rows"
        raise ValueError(f"ledger has no finished model with a {on} ({counts}): nothing to select")
    return kept.sort_values("key", kind="stable")


def best_mixing(ledger: pd.DataFrame, on: str = "val_error") -> pd.DataFrame:
    """Winning row of each cell among the finished models, the lowest value first; sorted by cell.

    Equal values are decided by the order H, -4, -2, 0, 2, 4, L, then by key.

    Args:
        on: column to select by; `test_error` is allowed and leaks (see `leaks`).

    Raises:
        ValueError: as in `done`.
    """
    rows = done(ledger, on)
    cell = [name for name in CELL if name in rows.columns]
    order = rows["mixing"].map(order_of).rename("order")
    ranked = rows.assign(order=order).sort_values([on, "order", "key"], kind="stable")
    winners = ranked.drop_duplicates(cell, keep="first").drop(columns="order")
    return winners.sort_values(cell, kind="stable").reset_index(drop=True)


def strategies(ledger: pd.DataFrame, on: str = "val_error") -> dict[str, list[str]]:
    """Keys of the models behind each table, sorted: S the winners, H and L the pure mixings."""
    rows = done(ledger, on)
    return {
        "S": sorted(best_mixing(ledger, on)["key"]),
        "H": sorted(rows.loc[rows["mixing"] == "H", "key"]),
        "L": sorted(rows.loc[rows["mixing"] == "L", "key"]),
    }
