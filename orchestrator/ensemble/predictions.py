"""Predictions of all models of one fold, side by side.

A column is what an ensemble combines: one model, or the models of one configuration and seed that
hold back one inner fold each. On validation, such a column predicts each crystal by the model that
held it back; on the test part, by the mean of all of them.

Legend: M columns, K models of a column, V validation crystals, T test crystals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.dataset as pads

from analysis.leaderboard import CONFIGURATION
from orchestrator.runs.finished_files import reading
from orchestrator.runs.finished_run import JOB

Column = tuple[str, ...]  # keys of its models, in the order of their inner folds


@dataclass(frozen=True, kw_only=True)
class FoldPredictions:
    """The predictions of the models of one fold.

    Attributes:
        columns: [M], ascending by their least key.
        validation: [M, V] predictions; `validation_target` [V].
        ids: [T] test crystals, in the order of the data set.
        each: [K, M, T] predictions of the test part; `target` [T].
        left_out: keys of columns that were not validated on the most common set of crystals, or
            have fewer models than others; of equally common sets, that of the smallest key counts.
    """

    columns: list[Column]
    validation: np.ndarray
    validation_target: np.ndarray
    ids: np.ndarray
    each: np.ndarray
    target: np.ndarray
    left_out: list[str]

    @property
    def models(self) -> int:
        """Number of models of all columns."""
        return sum(map(len, self.columns))

    @property
    def test(self) -> np.ndarray:
        """[M, T] predictions of the test part."""
        return self.each[0] if len(self.each) == 1 else self.each.mean(axis=0)


def columns_of(models: pd.DataFrame) -> list[Column]:
    """The columns of the models of one fold, rows of the ledger."""
    alone = [(str(key),) for key in models.loc[models["inner_folds"] == 0, "key"]]
    inner = models[models["inner_folds"] > 0].sort_values("inner_fold", kind="stable")
    same = inner.groupby([*CONFIGURATION, "seed", "inner_folds"], sort=False)["key"]
    return sorted([*alone, *(tuple(keys) for _, keys in same)], key=min)


def read_fold(predictions: Path, columns: Sequence[Column]) -> FoldPredictions:
    """Reads the predictions of models of one fold from `predictions.parquet`.

    Crystals are matched by id, as backbones may have quarantined different ones. Test crystals that
    not all models have are left out.

    Args:
        predictions: path from `FinishedRun`, which has verified the file.
        columns: as of `columns_of`.

    Raises:
        UsageError: the file is damaged.
        ValueError: the models have no test crystal in common, or no finite prediction.
    """
    keys = sorted(key for column in columns for key in column)
    with reading(predictions, JOB):
        table = pads.dataset(predictions).to_table(filter=pc.field("key").isin(keys))
    frame = table.to_pandas().sort_values("key", kind="stable")
    parts = dict(list(frame.groupby("part", sort=True)))
    if set(parts) != {"test", "validation"}:
        raise ValueError("no predictions of these models")
    kept = _alike(columns, parts["validation"], frame)
    if not kept:
        raise ValueError("no model with finite predictions")
    name_of = {key: min(column) for column in kept for key in column}
    validation, validation_target = _side_by_side(
        parts["validation"].assign(key=parts["validation"]["key"].map(name_of)),
        list(map(min, kept)),
    )
    test, target = _side_by_side(parts["test"], [key for column in kept for key in column])
    if test.shape[1] == 0:
        raise ValueError("the models have no test crystal in common")
    return FoldPredictions(
        columns=kept,
        validation=validation.to_numpy(),
        validation_target=validation_target,
        ids=test.columns.to_numpy(),
        each=np.stack([test.loc[list(keys)].to_numpy() for keys in zip(*kept, strict=True)]),
        target=target,
        left_out=sorted(set(keys) - set(name_of)),
    )


def _alike(
    columns: Sequence[Column], validation: pd.DataFrame, frame: pd.DataFrame
) -> list[Column]:
    """The columns with finite predictions of the same crystals, by equally many models."""
    broken = set(frame.loc[~np.isfinite(frame["prediction"]), "key"])
    ids_of = {str(key): list(ids) for key, ids in validation.groupby("key")["id"]}
    validated = {
        column: (len(column), tuple(sorted(id for key in column for id in ids_of.get(key, ()))))
        for column in columns
    }
    # Keys ascend, and among equally common sets `most_common` returns the first one counted.
    usual, _ = Counter(validated.values()).most_common(1)[0]
    return [
        column for column, ids in validated.items() if ids == usual and not broken & set(column)
    ]


def _side_by_side(part: pd.DataFrame, keys: Sequence[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """Predictions (one row per model, one column per crystal that all have) and targets."""
    chosen = part[part["key"].isin(keys)]
    wide = chosen.pivot(index="key", columns="id", values="prediction")
    # The first model has the crystals in the order of the data set.
    order = chosen.loc[chosen["key"] == keys[0], ["id", "target"]]
    order = order[order["id"].isin(wide.columns[wide.notna().all()])]
    return wide.loc[list(keys), order["id"]], order["target"].to_numpy()
