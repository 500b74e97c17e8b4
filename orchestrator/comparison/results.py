"""Scores of a comparison's models, and what their differences establish.

Legend: a fold's score is the mean over its seeds' models, each scored alone; its joint score is
that of the one prediction that is the mean of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.paired import Paired, holm, paired
from analysis.scores import classification_scores, regression_scores
from orchestrator.interface.wording import significant
from orchestrator.runs.records import DONE, Records
from trainables.compositions.dataset import Compositions

COLUMNS = ["table", "task", "fold", "seed", "metric", "value"]
ESTABLISHED = 0.05
# Two folds can agree by chance to any number of digits.
LEAST_FOLDS = 3
# Of each kind of task the metric that is compared, and whether more of it is better.
METRIC = {False: "mae", True: "roc_auc"}


def score_all(
    records: Records, ledger: pd.DataFrame, data: Mapping[str, Compositions]
) -> pd.DataFrame:
    """A row a model and metric, of the models that are done: `COLUMNS`."""
    rows: list[dict[str, Any]] = []
    for row in ledger[ledger["status"] == DONE].itertuples():
        arrays = records.arrays(row.key)
        chosen = data[row.task]
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
    """(data set, table) -> mean joint score over the folds; none where a fold has but one seed."""
    found: dict[tuple[str, str], list[float]] = {}
    done = ledger[ledger["status"] == DONE]
    for (task, table, _), rows in done.groupby(["task", "table", "fold"], sort=False):
        scores = found.setdefault((task, table), [])
        if len(rows) < 2:
            scores.append(np.nan)
            continue
        each = [records.arrays(key) for key in rows["key"]]
        value = np.mean([arrays["predictions/test/value"] for arrays in each], axis=0)
        target = data[task].target[each[0]["predictions/test/row"]]
        classes = data[task].classes
        score = classification_scores if classes else regression_scores
        scores.append(score(target, value)[METRIC[classes]])
    means = {pair: float(np.mean(scores)) for pair, scores in found.items()}
    return {pair: mean for pair, mean in means.items() if np.isfinite(mean)}


def by_fold(scores: pd.DataFrame, task: str, metric: str) -> pd.DataFrame:
    """Mean over seeds: a row a fold, a column a table."""
    chosen = scores[(scores["task"] == task) & (scores["metric"] == metric)]
    return chosen.pivot_table(index="fold", columns="table", values="value", sort=False)


def compare(
    scores: pd.DataFrame,
    data: Mapping[str, Compositions],
    tables: Iterable[str],
    reference: str,
    test_by_train: float,
) -> list[dict[str, Any]]:
    """Each table beside the reference on each data set; p is Holm's within the data set."""
    found: list[dict[str, Any]] = []
    listed = list(tables)
    for task, chosen in data.items():
        metric = METRIC[chosen.classes]
        folds = by_fold(scores, task, metric)
        if reference not in folds:
            continue
        rivals = [table for table in listed if table != reference and table in folds]
        tests = [_difference(folds, table, reference, test_by_train) for table in rivals]
        adjusted = holm([test.p for test in tests])
        base = float(folds[reference].mean())
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
            if table in rivals:
                place = rivals.index(table)
                row |= _verdict(tests[place], adjusted[place], base, chosen.classes)
            found.append(row)
    return found


def _difference(folds: pd.DataFrame, table: str, reference: str, share: float) -> Paired:
    both = folds[[table, reference]].dropna()
    return paired((both[table] - both[reference]).to_numpy(), share)


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
        "verdict": ("better" if gain > 0 else "worse") if sure else "not established",
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def in_words(row: Mapping[str, Any], reference: str) -> str:
    """What a comparison establishes, in a line; "" for the reference itself."""
    if "verdict" not in row:
        return ""
    kind = {"mae": "a MAE", "roc_auc": "an area under the ROC curve"}[row["metric"]]
    more = "higher" if row["difference"] > 0 else "lower"
    size = f"{significant(abs(row['difference']))} {more}"
    share = "" if row["relative"] is None else f" ({abs(row['relative']):.1%})"
    if row["low"] is None:
        return (
            f"{row['task']}: {row['table']} has {kind} {size}{share} than {reference} on one"
            " fold, which establishes nothing"
        )
    interval = f"95 % interval {significant(row['low'])} to {significant(row['high'])}"
    held = (
        f"{row['verdict']} than {reference} is established (p = {row['p']:.2g})"
        if row["established"]
        else f"a difference from {reference} is not established (p = {row['p']:.2g})"
    )
    return f"{row['task']}: {row['table']} has {kind} {size}{share}, {interval}: {held}"
