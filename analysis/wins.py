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


def chance_of_mixings(ledger: pd.DataFrame, on: str = "val_error") -> pd.Series:
    """By mixing, its mean share of a cell's configurations: what it wins if all are alike."""
    rows = done(ledger, on)
    cell = [name for name in CELL if name in rows]
    counts = rows.groupby([*cell, "mixing"]).size().unstack(fill_value=0)
    return counts.div(counts.sum(axis=1), axis=0).mean()


def from_handcrafted(ledger: pd.DataFrame) -> pd.DataFrame:
    """The test error of each mixing minus that of H, of models alike in all else.

    Differences are averaged over dimensions and seeds before folds are compared. A model has the
    settings of its reference as far as both have them: how learned vectors start, H has not.

    Returns:
        task, backbone, mixing, setting, folds, difference, relative (to the error of H), low and
        high (the 95 % interval of `paired`), p (Holm's over the rows of a task and backbone),
        detectable (`power.detectable`); no rows without H or another mixing.

    Raises:
        ValueError: no model has finished.
    """
    rows = done(ledger, "test_error")
    if "setting" not in rows:
        rows = rows.assign(setting="")
    found: list[dict[str, object]] = []
    for (task, backbone), part in rows.groupby(["task", "backbone"], sort=True):
        own = part[part["mixing"] == REFERENCE]
        if own.empty:
            continue
        rivals = part[part["mixing"] != REFERENCE].sort_values(["gamma", "mixing", "setting"])
        share, compared = _test_by_train(part), []
        for (mixing, setting), models in rivals.groupby(["mixing", "setting"], sort=False):
            alike = own[[_compatible(str(setting), str(other)) for other in own["setting"]]]
            apart, base = _apart(models, alike)
            if len(apart):
                compared.append((mixing, setting, apart, base, paired(apart.to_numpy(), share)))
        adjusted = holm([test.p for *_, test in compared])
        for (mixing, setting, apart, base, test), p in zip(compared, adjusted, strict=True):
            least = detectable(float(apart.std()), test.pairs, share, len(compared))
            found.append(
                {"task": task, "backbone": backbone, "mixing": mixing, "setting": setting,
                 "folds": test.pairs, "difference": test.mean,
                 "relative": test.mean / base if base else np.nan,
                 "low": test.low, "high": test.high, "p": p, "detectable": least}
            )  # fmt: skip
    return pd.DataFrame(found)


def _compatible(one: str, other: str) -> bool:
    """Whether two settings have the same values of all axes that both name."""
    values, others = (dict(_named(part) for part in text.split(", ")) for text in (one, other))
    return all(values[name] == others[name] for name in values.keys() & others.keys())


def _named(part: str) -> tuple[str, str]:
    """Name and value of "lr 0.001"."""
    name, _, value = part.partition(" ")
    return name, value


def _apart(models: pd.DataFrame, reference: pd.DataFrame) -> tuple[pd.Series, float]:
    """By fold, mean error of models minus that of the reference; the reference's mean error."""
    alike = [name for name in ("fold", "seed", "inner_fold", "dim", "condition") if name in models]
    errors, others = (
        rows.fillna({"inner_fold": -1}).groupby(alike)["test_error"].mean()
        for rows in (models, reference)
    )
    apart = errors.sub(others).dropna()
    return apart.groupby(level="fold").mean(), float(others.mean())


def _test_by_train(models: pd.DataFrame) -> float:
    """Mean ratio of the sizes of the models' test and training parts, validation included."""
    return float((models["n_test"] / (models["n_train"] + models["n_val"])).mean())
