"""Applies the folds of `--groups` or `--split` to a grid's data sets; stores them in the run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from orchestrator.data.given_folds import Division
from orchestrator.data.withheld import contents_of
from orchestrator.interface.errors import UsageError
from orchestrator.runs import sums
from orchestrator.runs.finished_files import read_parquet, read_sealed
from orchestrator.runs.finished_run import JOB
from orchestrator.runs.layout import MANIFEST
from trainables.crystals.folds import UNUSED, GivenFolds
from trainables.crystals.registry import FOLDS
from trainables.crystals.sources import Source
from trainables.representations.dataset import Dataset

if TYPE_CHECKING:
    from orchestrator.data.featurise import Featurised

FILE = "folds.parquet"  # in the run directory
UNGROUPED = -1
SCHEMA = pa.schema(
    [("task", pa.string()), ("row", pa.int64()), ("group", pa.int64())]
    + [(f"fold{fold}", pa.int8()) for fold in range(FOLDS)]
)
Datasets = dict[tuple[str, str], Dataset]


def divide(
    run: Path,
    division: Division | None,
    sources: Mapping[str, Source],
    datasets: Datasets,
    featurised: Mapping[str, Featurised],
) -> tuple[Datasets, dict[str, Featurised]]:
    """Divides the data sets into folds, whose digests become part of the models' keys.

    Raises:
        UsageError: a data set cannot be divided in this way, or is MatBench's.
    """
    if division is None:
        return datasets, dict(featurised)
    given: dict[str, GivenFolds] = {}
    tables = []
    for task, data in featurised.items():
        dataset = next(one for (name, _), one in datasets.items() if name == task)
        given[task] = division.of(
            task,
            dataset.ids,
            dataset.rows,
            getattr(sources[task], "path", None),
            partial(_formulas, next(iter(data.folders.values()))),
        )
        _say_divided(task, given[task])
        tables.append(_table(task, dataset.rows, given[task]))
    sums.write_parquet(run, FILE, pa.concat_tables(tables))
    divided = {
        (task, backbone): dataclasses.replace(dataset, folds=given[task])
        for (task, backbone), dataset in datasets.items()
    }
    return divided, {
        task: dataclasses.replace(data, folds=given[task].digest())
        for task, data in featurised.items()
    }


def _formulas(folder: Path) -> np.ndarray:
    return contents_of(folder)[1]


def _say_divided(task: str, folds: GivenFolds) -> None:
    sizes = [len(folds.test_rows(fold)) for fold in range(FOLDS)]
    how = "as given" if folds.groups is None else f"of {len(np.unique(folds.groups))} groups"
    print(f"{task}: folds {how}; they test {', '.join(map(str, sizes))} crystals")


def _table(task: str, rows: np.ndarray, folds: GivenFolds) -> pa.Table:
    groups = np.full(len(rows), UNGROUPED) if folds.groups is None else folds.groups
    columns = {"task": [task] * len(rows), "row": rows, "group": groups}
    parts = {f"fold{fold}": folds.parts[fold] for fold in range(FOLDS)}
    return pa.table(columns | parts, schema=SCHEMA)


def folds_of(run: Path, task: str, rows: np.ndarray) -> GivenFolds | None:
    """Reads the folds that a run gave to a data set; None if it used the official ones.

    Args:
        rows: [B] positions in the source of the crystals present.

    Raises:
        UsageError: manifest or folds are damaged, or do not fit together.
    """
    manifest = read_sealed(run / MANIFEST, JOB)
    digest = manifest.get("datasets", {}).get(task, {}).get("folds")
    if digest is None:
        return None
    table = read_parquet(run, FILE, JOB)
    own = table[table["task"] == task].set_index("row").reindex(rows)
    names = [f"fold{fold}" for fold in range(FOLDS)]
    groups = own["group"].fillna(UNGROUPED).to_numpy(np.int64)
    found = GivenFolds(
        parts=own[names].fillna(UNUSED).to_numpy(np.int8).T,
        groups=None if (groups == UNGROUPED).all() else groups,
    )
    if found.digest() != digest:
        raise UsageError(
            f"{run / FILE}: not the folds of this run's models; run {JOB} again, which writes it"
        )
    return found


def recorded_digests(run: Path, asked: Mapping[str, Any]) -> dict[str, str]:
    """By data set, the digest of a run's folds, if it has the same folds as now requested.

    Args:
        asked: fields of the configuration.
    """
    try:
        manifest = read_sealed(run / MANIFEST, JOB)
        same = all(manifest["config"].get(name) == value for name, value in asked.items())
        return {
            name: str(one["folds"])
            for name, one in manifest["datasets"].items()
            if same and "folds" in one
        }
    except (UsageError, KeyError, TypeError, AttributeError):
        return {}
