"""Makes the tables from all records of a run: ledger, element vectors, predictions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.interface.format import counted
from orchestrator.runs import layout, sums
from orchestrator.runs.records import DONE, Records
from trainables.crystals.split import Split
from trainables.kernels import library

LEDGER = "ledger"  # its key in `sums.MADE_FROM`
# What of a row decides what is made of the models; times and machines differ from run to run.
DIGESTED = ("key", "task", "status", "val_error", "test_error", "val_mae", "test_mae")
TOGETHER = 100  # rows of records held as objects at a time, of 11 KB each
EMBEDDINGS = pa.schema(
    [
        ("key", pa.string()),
        ("channel", pa.string()),
        ("dim", pa.int32()),
        ("numbers", pa.list_(pa.uint8())),
        ("counts", pa.list_(pa.int64())),
        ("values", pa.list_(pa.float32())),
    ]
)
PREDICTIONS = pa.schema(
    [
        ("key", pa.string()),
        ("part", pa.string()),
        ("id", pa.string()),
        ("target", pa.float64()),
        ("prediction", pa.float64()),
    ]
)


def compile_ledger(records: Records, tasks: Mapping[str, str]) -> pa.Table:
    """Makes the ledger of the given models that are recorded, in the given order.

    Args:
        tasks: key -> name of the data set in this grid; a record may know the data by another.

    Raises:
        LedgerError: a record is damaged.
    """
    recorded = records.recorded(tasks)
    keys = [key for key in tasks if key in recorded]
    tables = [records.schema.empty_table()]
    for start in range(0, len(keys), TOGETHER):
        # As text in a table, a row takes a fifth of the memory that it takes as an object.
        rows = [records.read(key) | {"task": tasks[key]} for key in keys[start : start + TOGETHER]]
        columns = {name: [row[name] for row in rows] for name in records.schema.names}
        tables.append(pa.table(columns, schema=records.schema))
    return pa.concat_tables(tables)


def digest_of(ledger: pd.DataFrame) -> str:
    """SHA-256 (hex) of the models of a ledger: which they are, and what errors they have."""
    columns = [name for name in DIGESTED if name in ledger]
    rows = [ledger[name].astype(object).where(ledger[name].notna(), None) for name in columns]
    text = json.dumps([columns, *(column.tolist() for column in rows)])
    return hashlib.sha256(text.encode()).hexdigest()


def ways_of_computing(ledger: pd.DataFrame) -> list[str]:
    """Lists device, kernels and threads of a ledger's models, with the number of models of each.

    Results of two such environments agree within rounding, not to the bit.
    """
    groups = ledger.groupby(["device", "kernels", "threads"], sort=False).size()
    return [
        f"{counted(models, 'model')} on {device} "
        + ("without fused kernels" if kernels == library.NONE else f"with fused kernels {kernels}")
        + f" and {counted(int(threads), 'thread')}"
        for (device, kernels, threads), models in groups.items()
    ]


def _embeddings_of(key: str, arrays: dict[str, np.ndarray]) -> pa.Table:
    numbers, counts = arrays["elements/numbers"], arrays["elements/counts"]
    rows = []
    for name in sorted(arrays):
        folder, _, channel = name.partition("/")
        if folder == "elements" and channel not in ("numbers", "counts"):
            vectors = arrays[name]
            rows.append(
                {
                    "key": key,
                    "channel": channel,
                    "dim": vectors.shape[1],
                    "numbers": numbers,
                    "counts": counts,
                    "values": vectors.ravel(),
                }
            )
    return pa.Table.from_pylist(rows, schema=EMBEDDINGS)


def _one_a_crystal(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether a model predicts one number a crystal; the table holds no others."""
    return arrays["predictions/test/value"].ndim == 1 and "predictions/test/ptr" not in arrays


def _predictions_of(
    key: str, arrays: dict[str, np.ndarray], ids: np.ndarray, target: np.ndarray
) -> pa.Table:
    tables = []
    for part in ("validation", "test"):
        rows = arrays[f"predictions/{part}/row"]
        tables.append(
            pa.table(
                {
                    "key": [key] * len(rows),
                    "part": [part] * len(rows),
                    "id": ids[rows].tolist(),
                    "target": target[rows],
                    "prediction": arrays[f"predictions/{part}/value"],
                },
                schema=PREDICTIONS,
            )
        )
    return pa.concat_tables(tables)


def write_collected(
    run: Path,
    records: Records,
    ledger: pd.DataFrame,
    crystals_of: Mapping[tuple[str, str], tuple[np.ndarray, np.ndarray]],
    split_of: Callable[[Any], Split],
) -> None:
    """Collects the results of done models into `embeddings.parquet` and `predictions.parquet`.

    Predictions of spectra, several columns and sites stay in the records.

    Args:
        crystals_of: (ids, targets) by (task, backbone).
        split_of: the parts of the data set that a row of the ledger was trained and tested on.

    Raises:
        LedgerError: a record is damaged, or does not hold what its model leaves.
    """
    of = {LEDGER: digest_of(ledger)}
    done = ledger[ledger["status"] == DONE]
    schemas = [sums.with_made_from(schema, of) for schema in (EMBEDDINGS, PREDICTIONS)]
    with (
        sums.replacing(run, layout.EMBEDDINGS) as embeddings_file,
        sums.replacing(run, layout.PREDICTIONS) as predictions_file,
        pq.ParquetWriter(embeddings_file, schemas[0], compression="zstd") as embeddings,
        pq.ParquetWriter(predictions_file, schemas[1], compression="zstd") as predictions,
    ):
        for group in _groups(done, 64):
            found = []
            for row in group.itertuples():
                split = split_of(row)
                parts = {"validation": split.validation, "test": split.test}
                found.append((row, records.arrays(row.key, parts)))
            embeddings.write_table(
                pa.concat_tables([_embeddings_of(row.key, arrays) for row, arrays in found])
            )
            predictions.write_table(
                pa.concat_tables(
                    [
                        PREDICTIONS.empty_table(),
                        *(
                            _predictions_of(row.key, arrays, *crystals_of[row.task, row.backbone])
                            for row, arrays in found
                            if _one_a_crystal(arrays)
                        ),
                    ]
                )
            )


def _groups(frame: pd.DataFrame, size: int) -> Iterator[pd.DataFrame]:
    for start in range(0, len(frame), size):
        yield frame.iloc[start : start + size]
