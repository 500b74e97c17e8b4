"""Predictions of all models of one fold, side by side.

Legend: M models, V validation crystals, T test crystals.
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

from orchestrator.runs.finished_files import reading
from orchestrator.runs.finished_run import JOB


@dataclass(frozen=True, kw_only=True)
class FoldPredictions:
    """The predictions of the models of one fold.

    Attributes:
        keys: [M] of the models, ascending.
        validation: [M, V] predictions; `validation_target` [V].
        ids: [T] test crystals, in the order of the data set.
        test: [M, T] predictions; `target` [T].
        left_out: keys of models that were not validated on the most common set of crystals; of
            equally common sets, that of the smallest key counts.
    """

    keys: list[str]
    validation: np.ndarray
    validation_target: np.ndarray
    ids: np.ndarray
    test: np.ndarray
    target: np.ndarray
    left_out: list[str]


def read_fold(predictions: Path, keys: Sequence[str]) -> FoldPredictions:
    """Reads the predictions of models of one fold from `predictions.parquet`.

    Crystals are matched by id, as backbones may have quarantined different ones. Test crystals that
    not all models have are left out.

    Args:
        predictions: path from `FinishedRun`, which has verified the file.

    Raises:
        UsageError: the file is damaged.
        ValueError: the models have no test crystal in common, or no finite prediction.
    """
    with reading(predictions, JOB):
        table = pads.dataset(predictions).to_table(filter=pc.field("key").isin(sorted(keys)))
    frame = table.to_pandas().sort_values("key", kind="stable")
    parts = dict(list(frame.groupby("part", sort=True)))
    if set(parts) != {"test", "validation"}:
        raise ValueError("no predictions of these models")
    validated = {
        str(key): tuple(sorted(ids)) for key, ids in parts["validation"].groupby("key")["id"]
    }
    # Keys ascend, and among equally common sets `most_common` returns the first one counted.
    usual, _ = Counter(validated.values()).most_common(1)[0]
    broken = set(frame.loc[~np.isfinite(frame["prediction"]), "key"])
    kept = [key for key, ids in validated.items() if ids == usual and key not in broken]
    if not kept:
        raise ValueError("no model with finite predictions")
    validation, validation_target = _side_by_side(parts["validation"], kept)
    test, target = _side_by_side(parts["test"], kept)
    if test.shape[1] == 0:
        raise ValueError("the models have no test crystal in common")
    return FoldPredictions(
        keys=kept,
        validation=validation.to_numpy(),
        validation_target=validation_target,
        ids=test.columns.to_numpy(),
        test=test.to_numpy(),
        target=target,
        left_out=sorted(set(keys) - set(kept)),
    )


def _side_by_side(part: pd.DataFrame, keys: Sequence[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """Predictions (one row per model, one column per crystal that all have) and targets."""
    chosen = part[part["key"].isin(keys)]
    wide = chosen.pivot(index="key", columns="id", values="prediction")
    # The first model has the crystals in the order of the data set.
    order = chosen.loc[chosen["key"] == keys[0], ["id", "target"]]
    order = order[order["id"].isin(wide.columns[wide.notna().all()])]
    return wide.loc[list(keys), order["id"]], order["target"].to_numpy()
