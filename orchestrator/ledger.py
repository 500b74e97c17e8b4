"""The ledger: one durable record a model, written once, and the tables made from all of them.

A record is two files, `records/<key>.safetensors` (weights, element vectors, predictions, learning
curve) and then `records/<key>.json` (the row of the ledger, with the digest of the other file). The
JSON is what makes a model finished; without it the model does not exist and is trained again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load as decode_arrays
from safetensors.numpy import save as encode_arrays

from orchestrator import durable

DONE, FAILED, DIVERGED = "done", "failed", "diverged"
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("key", "task", "backbone")]
    + [("dim", pa.int64()), ("mixing", pa.string()), ("fold", pa.int64()), ("seed", pa.int64())]
    + [("recipe", pa.string()), ("status", pa.string())]
    + [(f"{part}_mae", pa.float64()) for part in ("train", "val", "test", "dummy")]
    + [(f"n_{part}", pa.int64()) for part in ("train", "val", "test")]
    + [(name, pa.int64()) for name in ("epochs", "best_epoch", "parameters")]
    + [("seconds", pa.float64())]
    + [(name, pa.string()) for name in ("target", "unit", "array", "device", "versions", "error")]
)


HOUR = 3600.0  # seconds; no file is being written for as long as this
FEW = 100  # keys that are looked up one by one; for more, the folder is listed


class LedgerError(ValueError):
    """A record that cannot be trusted, in one line that names the file and the fix."""


@dataclass(frozen=True)
class Records:
    """The records of a run directory, whose rows have the columns of a schema."""

    folder: Path
    schema: pa.Schema = SCHEMA

    def write(self, row: dict[str, Any], arrays: dict[str, np.ndarray]) -> bool:
        """Records a model, unless it is recorded already: the first result stands.

        Returns:
            False where there was a record.
        """
        return self.write_all([(row, arrays)])[0]

    def write_all(
        self, models: Sequence[tuple[dict[str, Any], dict[str, np.ndarray]]]
    ) -> list[bool]:
        """Records several models side by side: most of a record's time is waiting for the disk."""
        if not models:
            return []
        keys = [row["key"] for row, _ in models]
        contents = [_encode(row, arrays, self.schema.names) for row, arrays in models]
        with self._one_writer(keys), ThreadPoolExecutor() as pool:
            return list(pool.map(self._write_content, keys, contents))

    def _write_content(self, key: str, content: tuple[bytes, bytes]) -> bool:
        row, arrays = content
        if self._json(key).exists():
            return False
        if arrays:
            durable.write_bytes(self._arrays(key), arrays)
        return durable.create_bytes(self._json(key), row)

    @contextmanager
    def _one_writer(self, keys: Iterable[str]) -> Iterator[None]:
        """One process at a time writes the record of a key.

        A worker that its driver has lost, but that lives on, may finish the model that another one
        trains in its place; its arrays must not slip in under the other's digest.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / ".lock", "ab") as file:
            # One byte of the (empty) file stands for a key, or each worker would wait for the disk
            # of all others; taken in order, or two workers might wait for each other.
            for byte in sorted({zlib.crc32(key.encode()) for key in keys}):
                fcntl.lockf(file, fcntl.LOCK_EX, 1, byte)
            yield

    def sweep(self) -> None:
        """Removes what writers that were killed have left half."""
        for path in self.folder.glob(".*.tmp"):
            if time.time() - path.stat().st_mtime > HOUR:
                path.unlink(missing_ok=True)

    def _json(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _arrays(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def recorded(self, keys: Iterable[str]) -> set[str]:
        """Which of the keys have a record, whatever its status."""
        asked = set(keys)
        if len(asked) <= FEW:
            return {key for key in asked if self._json(key).exists()}
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return set()
        return asked & {name.removesuffix(".json") for name in names if name.endswith(".json")}

    def read(self, key: str) -> dict[str, Any]:
        """The row of a recorded model.

        Raises:
            LedgerError: the record is not whole.
        """
        path = self._json(key)
        try:
            row: dict[str, Any] = json.loads(path.read_bytes())
            if row["key"] == key and row["status"] in (DONE, FAILED, DIVERGED):
                return row
        except FileNotFoundError:
            raise LedgerError(f"{path}: missing; run the command again") from None
        except (ValueError, KeyError, TypeError):
            pass
        raise LedgerError(f"{path}: damaged record; remove it and run the command again")

    def arrays(self, key: str) -> dict[str, np.ndarray]:
        """The arrays of a model that is done, verified against its record."""
        path = self._arrays(key)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise LedgerError(
                f"{path}: missing; remove {self._json(key).name} and run the command again"
            ) from None
        if hashlib.sha256(content).hexdigest() != self.read(key).get("arrays_sha256"):
            raise LedgerError(
                f"{path}: damaged (SHA-256 differs); remove it and {self._json(key).name},"
                " then run the command again"
            )
        return decode_arrays(content)

    def forget(self, key: str) -> None:
        """Takes a record back, so that the model is trained again."""
        self._json(key).unlink(missing_ok=True)
        self._arrays(key).unlink(missing_ok=True)

    def forget_failed(self, keys: Iterable[str]) -> None:
        """Takes back the records of those of the keys that failed."""
        for key in self.recorded(keys):
            if self.read(key)["status"] == FAILED:
                self.forget(key)


def _encode(
    row: dict[str, Any], arrays: dict[str, np.ndarray], columns: Sequence[str]
) -> tuple[bytes, bytes]:
    """The two files of a record: the row, and the arrays if there are any."""
    row = {name: row.get(name) for name in columns}
    content = b""
    if arrays:
        contiguous = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
        content = encode_arrays(contiguous, {"row": json.dumps(row)})
        row["arrays_sha256"] = hashlib.sha256(content).hexdigest()
    return (json.dumps(row, indent=1, allow_nan=False) + "\n").encode(), content


def compile_ledger(records: Records, tasks: Mapping[str, str]) -> pa.Table:
    """The ledger of the given models that are recorded, in the given order.

    Args:
        tasks: key -> name of the data set in this grid; a record may know the data by another.

    Raises:
        LedgerError: a record is damaged.
    """
    recorded = records.recorded(tasks)
    rows = [records.read(key) | {"task": tasks[key]} for key in tasks if key in recorded]
    return pa.Table.from_pylist(
        [{name: row.get(name) for name in records.schema.names} for row in rows],
        schema=records.schema,
    )


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
    done: pd.DataFrame,
    crystals_of: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]],
) -> None:
    """Collects what the done models left into `embeddings.parquet` and `predictions.parquet`.

    Args:
        done: rows of the ledger with status done.
        crystals_of: (ids, targets) by (task, backbone).
    """
    with (
        durable.replacing(run / "embeddings.parquet") as embeddings_file,
        durable.replacing(run / "predictions.parquet") as predictions_file,
        pq.ParquetWriter(embeddings_file, EMBEDDINGS, compression="zstd") as embeddings,
        pq.ParquetWriter(predictions_file, PREDICTIONS, compression="zstd") as predictions,
    ):
        for group in _groups(done, 64):
            found = [(row, records.arrays(row.key)) for row in group.itertuples()]
            embeddings.write_table(
                pa.concat_tables([_embeddings_of(row.key, arrays) for row, arrays in found])
            )
            predictions.write_table(
                pa.concat_tables(
                    [
                        _predictions_of(row.key, arrays, *crystals_of[row.task, row.backbone])
                        for row, arrays in found
                    ]
                )
            )


def _groups(frame: pd.DataFrame, size: int) -> Iterator[pd.DataFrame]:
    for start in range(0, len(frame), size):
        yield frame.iloc[start : start + size]
