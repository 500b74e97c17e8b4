"""Scores of a comparison's models, and the significance of their differences.

Legend: a fold's score is the mean over its seeds' models, each scored alone; its joint score is
that of the mean of their predictions. Differences are taken between models of the same fold and
seed, before they are averaged. The error of a score is itself, or 1 − the area under the ROC curve.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.paired import Paired, holm, paired
from analysis.power import Spread, detectable, spread_of
from analysis.scores import classification_scores, regression_scores
from orchestrator.interface.format import significant
from orchestrator.runs.records import DONE, Records
from trainables.compositions.dataset import Compositions

COLUMNS = ["table", "task", "fold", "seed", "metric", "value"]
ESTABLISHED = 0.05
NONE_SHOWN, UNDERPOWERED = "no difference shown", "underpowered"
# Two folds may agree by chance to any number of digits.
LEAST_FOLDS = 3
# The metric compared for each kind of task, and whether more of it is better.
METRIC = {False: "mae", True: "roc_auc"}


def score_all(
    records: Records, ledger: pd.DataFrame, data: Mapping[str, Compositions]
) -> pd.DataFrame:
    """One row per metric and model, of the models that are done: `COLUMNS`."""
    rows: list[dict[str, Any]] = []
    for row in ledger[ledger["status"] == DONE].itertuples():
        chosen = data[row.task]
        arrays = records.arrays(row.key, {"test": chosen.test_rows(row.fold)})
        target = chosen.target[arrays["predictions/test/row"]]
        value = arrays["predictions/test/value"]
        score = classification_scores if chosen.classes else regression_scores
        metrics = {"val_error": row.val_error, **score(target, value)}
        rows += [
            {"table": row.table, "task": row.task, "fold": row.fold, "seed": row.seed,
             "metric": metric, "value": number}
            for metric, number in metrics.items()
        ]  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def score_together(
    records: Records, ledger: pd.DataFrame, data: Mapping[str, Compositions]
) -> dict[tuple[str, str], float]:
    """(data set, table) -> mean joint score over the folds.

    None if a fold has only one seed, or if a model is not done: a joint score of fewer seeds is
    worse for that reason alone.
    """
    found: dict[tuple[str, str], float] = {}
    done = ledger[ledger["status"] == DONE]
    for (task, table), rows in done.groupby(["task", "table"], sort=False):
        asked = ledger[ledger["task"] == task]
        folds, seeds = asked["fold"].nunique(), asked["seed"].nunique()
        if seeds < 2 or len(rows) < folds * seeds:
            continue
        classes = data[task].classes
        score = classification_scores if classes else regression_scores
        joint = []
        for _, models in rows.groupby("fold"):
            each = [records.arrays(key) for key in models["key"]]
            value = np.mean([arrays["predictions/test/value"] for arrays in each], axis=0)
            target = data[task].target[each[0]["predictions/test/row"]]
            joint.append(score(target, value)[METRIC[classes]])
        if np.isfinite(mean := float(np.mean(joint))):
            found[task, table] = mean
    return found


def by_model(scores: pd.DataFrame, task: str, metric: str) -> pd.DataFrame:
    """One row per (fold, seed), one column per table."""
    chosen = scores[(scores["task"] == task) & (scores["metric"] == metric)]
    return chosen.pivot_table(index=["fold", "seed"], columns="table", values="value", sort=False)


def by_fold(scores: pd.DataFrame, task: str, metric: str) -> pd.DataFrame:
    """Mean over seeds: one row per fold, one column per table."""
    return _over_seeds(by_model(scores, task, metric))


def _over_seeds(models: pd.DataFrame) -> pd.DataFrame:
    return models.groupby(level="fold", sort=False).mean()


def differences(scores: pd.DataFrame, task: str, metric: str, reference: str) -> pd.DataFrame:
    """Each table minus the reference: one row per fold, one column per table.

    Each is the mean over the seeds that both have, whose models had the same initial weights and
    batches; NaN without a common seed.
    """
    models = by_model(scores, task, metric)
    if reference not in models:
        return models.iloc[:0, :0]
    return _over_seeds(models.drop(columns=reference).sub(models[reference], axis=0))


def spreads(scores: pd.DataFrame, task: str, metric: str, reference: str) -> dict[str, Spread]:
    """Of each table's differences from the reference, the scatter between folds and seeds.

    In units of the score; without the tables that have fewer than two folds.
    """
    models = by_model(scores, task, metric)
    if reference not in models:
        return {}
    found = {}
    for table in models.columns.drop(reference):
        apart = (models[table] - models[reference]).dropna()
        folds = [values.to_numpy() for _, values in apart.groupby(level="fold", sort=False)]
        if len(folds) > 1:
            found[str(table)] = spread_of(folds)
    return found


def error_of(score: float, metric: str) -> float:
    """The error that a score means: an area under the ROC curve is short of 1 by it."""
    return 1 - score if metric == METRIC[True] else score


def compare(
    scores: pd.DataFrame,
    data: Mapping[str, Compositions],
    tables: Iterable[str],
    reference: str,
    test_by_train: float,
    margin: float,
) -> list[dict[str, Any]]:
    """Compares each table with the reference on each data set; p is Holm's within the data set.

    If table and reference have no fold and seed in common, `pairs` is 0 and nothing is compared.

    Args:
        margin: the difference that matters, as a share of the reference's error.
    """
    found: list[dict[str, Any]] = []
    listed = list(tables)
    for task, chosen in data.items():
        metric = METRIC[chosen.classes]
        models = by_model(scores, task, metric)
        folds = _over_seeds(models)
        apart = differences(scores, task, metric, reference).dropna(how="all", axis=1)
        tests = {
            table: paired(apart[table].dropna().to_numpy(), test_by_train)
            for table in listed
            if table in apart
        }
        adjusted = dict(zip(tests, holm([test.p for test in tests.values()]), strict=True))
        for table in listed:
            if table not in folds:
                continue
            row = {
                "task": task,
                "table": table,
                "metric": metric,
                "folds": int(folds[table].notna().sum()),
                "score": float(folds[table].mean()),
                "deviation": _number(folds[table].std()),
            }
            if table in tests:
                common = _over_seeds(models[[table, reference]].dropna())
                base = float(common[reference].mean())
                smallest = detectable(
                    float(apart[table].std()), tests[table].pairs, test_by_train, len(tests)
                )
                row |= _verdict(tests[table], adjusted[table], base, chosen.classes)
                row |= _power(row, smallest, error_of(base, metric), margin)
                row["tests"] = len(tests)
            elif table != reference:
                missing = reference not in folds
                row |= {"pairs": 0, "verdict": "no reference" if missing else "no common fold"}
            found.append(row)
    return found


def _verdict(test: Paired, p: float, base: float, more_is_better: bool) -> dict[str, Any]:
    gain = test.mean if more_is_better else -test.mean
    sure = p < ESTABLISHED and test.pairs >= LEAST_FOLDS
    return {
        "difference": test.mean,
        "low": _number(test.low),
        "high": _number(test.high),
        "p": _number(p),
        "relative": test.mean / base if base else None,
        "pairs": test.pairs,
        "established": bool(sure),
        "verdict": ("better" if gain > 0 else "worse") if sure else NONE_SHOWN,
    }


def _power(row: Mapping[str, Any], smallest: float, error: float, margin: float) -> dict[str, Any]:
    """The smallest detectable difference, and the verdict where none is established."""
    enough = row["pairs"] >= LEAST_FOLDS and smallest <= margin * error
    weak = not row["established"] and not enough
    return {
        "detectable": _number(smallest),
        "detectable_share": _number(smallest / error) if error > 0 else None,
        "verdict": UNDERPOWERED if weak else row["verdict"],
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def in_words(row: Mapping[str, Any], reference: str) -> str:
    """The result of a comparison in one line; "" for the reference itself."""
    if "verdict" not in row:
        return ""
    if not row["pairs"]:
        return (
            f"{row['task']}: {row['table']} {significant(row['score'])} ({row['metric']}) is"
            f" compared with nothing, since {reference} has no model that is done"
            + ("" if row["verdict"] == "no reference" else " in any of its folds and seeds")
        )
    kind = {"mae": "a MAE", "roc_auc": "an area under the ROC curve"}[row["metric"]]
    more = "higher" if row["difference"] > 0 else "lower"
    size = f"{significant(abs(row['difference']))} {more}"
    share = "" if row["relative"] is None else f" ({abs(row['relative']):.1%})"
    told = f"{row['task']}: {row['table']} has {kind} {size}{share}"
    if row["low"] is None:
        return f"{told} than {reference} on one fold, which establishes nothing"
    interval = f"95 % interval {significant(row['low'])} to {significant(row['high'])}"
    if row["pairs"] < LEAST_FOLDS:
        return f"{told} than {reference}, {interval}: on two folds, too few to tell"
    tests = row.get("tests", 1)
    alone = " of this difference alone" if tests > 1 else ""
    p = f"p = {row['p']:.2g}" + (f", Holm's for {tests} tables" if tests > 1 else "")
    return f"{told}, {interval}{alone}: {_held(row, reference, p)}"


def _held(row: Mapping[str, Any], reference: str, p: str) -> str:
    """The verdict in words, with the difference that would have been established."""
    if row["established"]:
        return f"{row['verdict']} than {reference} is established ({p})"
    part = row["detectable_share"]
    share = "" if part is None else f" ({part:.1%} of the error of {reference})"
    smallest = f"{significant(row['detectable'])}{share}"
    if row["verdict"] == UNDERPOWERED:
        return f"underpowered ({p}): the smallest that is established 4 times in 5 is {smallest}"
    return (
        f"no difference from {reference} is shown ({p}), of which {smallest} would have been"
        " established 4 times in 5"
    )
