"""How often mixings win, against chance, and what each changes against handcrafted vectors alone.

In a cell (`selection.CELL`) all mixings compete. Of seven mixings five are hybrid, so that a hybrid
wins 5/7 of all cells where nothing tells the mixings apart. Cells of one task, fold and seed share
their crystals: they count as one observation.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import betaincinv

from analysis.geometry import MIXED, strategy_of
from analysis.paired import LEVEL, holm, paired
from analysis.power import detectable
from analysis.selection import CELL, best_of_cells, done

CLASSES = ("handcrafted", MIXED, "learned")
CLUSTER = ("task", "fold", "seed")
REFERENCE = "H"


def share_interval(share: float, clusters: int) -> tuple[float, float]:
    """The 95 % interval of a share that so many independent observations have.

    Clopper & Pearson (1934, 10.1093/biomet/26.4.404), whose beta quantiles also take counts that
    are not whole. It is too wide if the cells of a cluster are not all alike.
    """
    tail, won = (1 - LEVEL) / 2, share * clusters
    low = float(betaincinv(won, clusters - won + 1, tail)) if won > 0 else 0.0
    high = float(betaincinv(won + 1, clusters - won, 1 - tail)) if won < clusters else 1.0
    return low, high


def clusters_of(cells: pd.DataFrame) -> int:
    """Number of combinations of task, fold and seed."""
    return len(cells[[name for name in CLUSTER if name in cells]].drop_duplicates())


def wins_by_class(ledger: pd.DataFrame, on: str = "val_error") -> pd.DataFrame:
    """Cells that handcrafted, mixed and learned configurations win.

    Returns:
        By backbone and class: wins, cells, share, low and high (its 95 % interval), chance (the
        class's mean share of a cell's configurations), clusters.

    Raises:
        ValueError: no model has finished.
    """
    rows = done(ledger, on)
    rows = rows.assign(strategy=rows["mixing"].map(strategy_of))
    won = best_of_cells(ledger, on)
    won = won.assign(strategy=won["mixing"].map(strategy_of))
    cell = [name for name in CELL if name in rows]
    found = []
    for backbone, cells in won.groupby("backbone", sort=True):
        entered = rows[rows["backbone"] == backbone]
        clusters = clusters_of(cells)
        for name in (one for one in CLASSES if one in set(entered["strategy"])):
            wins = int((cells["strategy"] == name).sum())
            low, high = share_interval(wins / len(cells), clusters)
            chance = (entered["strategy"] == name).groupby([entered[one] for one in cell]).mean()
            found.append(
                {"backbone": backbone, "class": name, "wins": wins, "cells": len(cells),
                 "share": wins / len(cells), "low": low, "high": high,
                 "chance": float(chance.mean()), "clusters": clusters}
            )  # fmt: skip
    return pd.DataFrame(found)


def from_handcrafted(ledger: pd.DataFrame) -> pd.DataFrame:
    """The test error of each mixing minus that of H, of models alike in all else.

    Differences are averaged over dimensions, settings and seeds before folds are compared.

    Returns:
        task, backbone, mixing, folds, difference, relative (to the error of H), low and high (the
        95 % interval of `paired`), p (Holm's over the mixings of a task and backbone), detectable
        (`power.detectable`); no rows without H or another mixing.

    Raises:
        ValueError: no model has finished.
    """
    rows = done(ledger, "test_error")
    repeat = ("fold", "seed", "inner_fold", "dim", "setting", "condition")
    alike = [name for name in repeat if name in rows]
    found: list[dict[str, object]] = []
    for (task, backbone), part in rows.groupby(["task", "backbone"], sort=True):
        ordered = part.sort_values(["gamma", "mixing"])["mixing"].unique()
        errors = part.pivot_table(index=alike, columns="mixing", values="test_error")
        if REFERENCE not in errors or len(errors.columns) < 2:
            continue
        share = _test_by_train(part)
        apart = errors.sub(errors[REFERENCE], axis=0).groupby(level="fold").mean()
        base = float(errors[REFERENCE].mean())
        rivals = [one for one in ordered if one != REFERENCE and apart[one].notna().any()]
        tests = [paired(apart[one].dropna().to_numpy(), share) for one in rivals]
        for one, test, p in zip(rivals, tests, holm([test.p for test in tests]), strict=True):
            least = detectable(float(apart[one].std()), test.pairs, share, len(rivals))
            found.append(
                {"task": task, "backbone": backbone, "mixing": one, "folds": test.pairs,
                 "difference": test.mean, "relative": test.mean / base if base else np.nan,
                 "low": test.low, "high": test.high, "p": p, "detectable": least}
            )  # fmt: skip
    return pd.DataFrame(found)


def _test_by_train(models: pd.DataFrame) -> float:
    """Mean ratio of the sizes of the models' test and training parts, validation included."""
    return float((models["n_test"] / (models["n_train"] + models["n_val"])).mean())
