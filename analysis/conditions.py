"""Conditions under which models learned, as the size of their training part; "" for none.

Errors under two conditions answer different questions. So what compares configurations does so
under one condition.
"""

from __future__ import annotations

import math

import pandas as pd


def principal(ledger: pd.DataFrame) -> pd.DataFrame:
    """The rows of each task under one condition: none, if the task has such models.

    Otherwise it is the condition with the most training crystals; equal ones are decided by name.
    Only models that are done decide.

    Args:
        ledger: task, status, and of ledgers with conditions condition and n_train.
    """
    if "condition" not in ledger.columns or (ledger["condition"] == "").all():
        return ledger
    done = ledger[ledger["status"] == "done"]
    crystals = done["n_train"].astype(float).where(done["condition"] != "", math.inf)
    sizes = crystals.groupby([done["task"], done["condition"]]).mean().reset_index()
    ranked = sizes.sort_values(["task", "n_train", "condition"], ascending=[True, False, True])
    chosen = ranked.drop_duplicates("task").set_index("task")["condition"]
    return ledger[ledger["condition"] == ledger["task"].map(chosen)]
