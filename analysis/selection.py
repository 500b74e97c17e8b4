"""Selects the models that count: the best of each cell, and the strategies S, H and L.

A cell is one (task, condition, fold, backbone, dim, seed), and one inner fold where there are some:
its mixings compete (thesis 4.2.3), and its settings, as learning rates, where there are several.
Selecting on the validation error is the default; selecting on the test error reproduces the thesis
literally and leaks the test part into the tables made from the winners.

`gamma` of a ledger is γ of the mixing, −∞ for H and ∞ for L; `setting` is the text of what else
distinguishes configurations, "" for nothing.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.conditions import principal

CELL = ("task", "condition", "fold", "backbone", "dim", "seed", "inner_fold")
LEAKS = frozenset({"test_error"})
STRATEGIES = ("S", "H", "L")


def leaks(on: str) -> bool:
    """Whether selecting by column `on` uses the test part."""
    return on in LEAKS


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


def best_of_cells(ledger: pd.DataFrame, on: str = "val_error") -> pd.DataFrame:
    """Winning row of each cell among the finished models, the lowest value first; sorted by cell.

    Equal values are decided by the order H, -4, -2, 0, 2, 4, L, then by key.

    Args:
        on: column to select by; `test_error` is allowed and leaks (see `leaks`).

    Raises:
        ValueError: as in `done`.
    """
    rows = done(ledger, on)
    cell = [name for name in CELL if name in rows.columns]
    ranked = rows.sort_values([on, "gamma", "key"], kind="stable")
    winners = ranked.drop_duplicates(cell, keep="first")
    return winners.sort_values(cell, kind="stable").reset_index(drop=True)


def strategies(ledger: pd.DataFrame, on: str = "val_error") -> dict[str, list[str]]:
    """Keys of the models behind each table, sorted: S the winners, H and L those of one mixing.

    All have learned under the task's `principal` condition.
    """
    rows = principal(done(ledger, on))
    mixings = {name: rows[rows["mixing"] == name] for name in ("H", "L")}
    return {
        name: sorted(best_of_cells(of, on)["key"]) if len(of) else []
        for name, of in {"S": rows, **mixings}.items()
    }
