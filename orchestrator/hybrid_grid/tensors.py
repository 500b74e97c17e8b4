"""`tensors.parquet`: the tensors that a grid's models predict, as users write them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.runs import layout, sums
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.runs.ledger import LEDGER, digest_of
from orchestrator.runs.records import DONE, Records
from trainables.crystals.targets import TENSORS
from trainables.targets.kinds import kind_of
from trainables.targets.tensor import Elastic, TensorKind
from trainables.tensors.scalars import stable
from trainables.training.specification import ModelSpec

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("part", pa.string()),
        ("id", pa.string()),
        ("target", pa.list_(pa.float64())),  # row by row, of Voigt's matrix where there is one
        ("prediction", pa.list_(pa.float64())),
        ("stable", pa.bool_()),  # of a predicted stiffness: positive definite; null for others
    ]
)
Crystals = Mapping[tuple[str, str], tuple[np.ndarray, np.ndarray]]


def tensor_kind(spec: str) -> TensorKind | None:
    """The kind of the target in the text of a model's specification, if it is a tensor."""
    kind = kind_of(ModelSpec.read(spec).target)
    return kind if isinstance(kind, TensorKind) else None


def write_tensors(run: Path, records: Records, ledger: pd.DataFrame, crystals_of: Crystals) -> None:
    """Writes the tensors of the models that are done; nothing where no target is one.

    Args:
        crystals_of: (ids, targets) by (task, backbone).
    """
    done = ledger[ledger["status"] == DONE]
    finished = FinishedRun(run)
    done = done[[finished.kind_of(task) in TENSORS for task in done["task"]]]
    if done.empty:
        return
    schema = sums.with_made_from(SCHEMA, {LEDGER: digest_of(ledger)})
    with (
        sums.replacing(run, layout.TENSORS) as file,
        pq.ParquetWriter(file, schema, compression="zstd") as writer,
    ):
        for row in done.itertuples():
            for table in _tables(row, records, *crystals_of[row.task, row.backbone]):
                writer.write_table(table)


def _tables(row: Any, records: Records, ids: np.ndarray, target: np.ndarray) -> Iterator[pa.Table]:
    kind = tensor_kind(row.spec)
    assert kind is not None
    arrays = records.arrays(row.key)
    for part in ("validation", "test"):
        rows, said = (arrays[f"predictions/{part}/{name}"] for name in ("row", "value"))
        sound: list[bool | None] = [None] * len(rows)
        if isinstance(kind, Elastic):
            sound = stable(kind.form.cartesian(said)).tolist()
        yield pa.table(
            {
                "key": [row.key] * len(rows),
                "part": [part] * len(rows),
                "id": ids[rows].tolist(),
                "target": _flat(kind, target[rows]),
                "prediction": _flat(kind, said),
                "stable": sound,
            },
            schema=SCHEMA,
        )


def _flat(kind: TensorKind, components: np.ndarray) -> list[list[float]]:
    found: list[list[float]] = kind.written(components).reshape(len(components), -1).tolist()
    return found
