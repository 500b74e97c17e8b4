"""Records compiled into the tables of a run. No Ray."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from orchestrator.runs import durable
from orchestrator.runs.ledger import EMBEDDINGS, PREDICTIONS, compile_ledger, write_collected
from orchestrator.runs.records import SCHEMA, LedgerError, Records
from tests.orchestrator.small_records import arrays, row
from trainables.crystals.split import Split

CONTRACT = {
    "key", "task", "backbone", "dim", "mixing", "fold", "seed", "status", "train_mae", "val_mae",
    "test_mae", "dummy_mae", "metric", "train_error", "val_error", "test_error", "dummy_error",
    "scores", "epochs", "best_epoch", "seconds", "array", "device", "versions",
    "error", "recipe", "n_train", "n_val", "n_test", "target", "unit", "parameters", "spec",
    "kernels", "threads", "log_ratio_start", "log_ratio_end",
    "h_mean_error", "h_permuted_error", "l_mean_error", "l_permuted_error",
}  # fmt: skip


def test_the_ledger_has_the_columns_of_the_contract() -> None:
    assert set(SCHEMA.names) == CONTRACT
    assert SCHEMA.names[0] == "key"


def test_the_ledger_keeps_the_order_of_the_grid(records: Records) -> None:
    for key in "dacb":
        records.write(row(key, val_mae=ord(key)), {})
    table = compile_ledger(records, dict.fromkeys(["c", "x", "a", "d"], "salts"))
    assert table.schema == SCHEMA
    assert table["key"].to_pylist() == ["c", "a", "d"]
    assert table["val_mae"].to_pylist() == [ord("c"), ord("a"), ord("d")]


def test_the_ledger_calls_the_data_as_the_grid_does(records: Records) -> None:
    records.write(row("a"), {})
    assert compile_ledger(records, {"a": "renamed"})["task"].to_pylist() == ["renamed"]


def test_a_ledger_of_nothing_has_its_columns(records: Records) -> None:
    table = compile_ledger(records, {"a": "salts"})
    assert (len(table), table.schema) == (0, SCHEMA)


def test_missing_values_stay_missing(records: Records) -> None:
    records.write({"key": "a", "status": "failed", "error": "why"}, {})
    (found,) = compile_ledger(records, {"a": "salts"}).to_pylist()
    assert found["error"] == "why"
    assert found["val_mae"] is None and found["epochs"] is None


def test_a_long_ledger_is_compiled_in_little_memory(records: Records) -> None:
    """As objects, all rows at once would take 3.7 MB."""
    keys = [str(number) for number in range(600)]
    records.write_all([(row(key, spec=f"{key:>600}"), {}) for key in keys])
    tracemalloc.start()
    try:
        compile_ledger(records, dict.fromkeys(keys, "salts"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_500_000


def collect(run: Path, records: Records, keys: list[str]) -> None:
    ledger = compile_ledger(records, dict.fromkeys(keys, "salts")).to_pandas()
    ids, target = np.array(["p", "q", "r", "s"]), np.array([10.0, 11.0, 12.0, 13.0])
    split = Split(np.array([1]), np.array([0, 2]), np.array([3]))
    write_collected(run, records, ledger, {("salts", "cgcnn"): (ids, target)}, lambda _: split)


def test_collected_tables_hold_what_the_records_hold(records: Records, tmp_path: Path) -> None:
    keys = [f"k{number}" for number in range(70)]  # more than one group
    for number, key in enumerate(keys):
        records.write(row(key), arrays(number))
    collect(tmp_path, records, keys)
    embeddings = pq.read_table(tmp_path / "embeddings.parquet")
    assert embeddings.schema.equals(EMBEDDINGS)
    assert embeddings["key"].to_pylist() == [key for key in keys for _ in range(2)]
    assert embeddings["channel"].to_pylist() == ["h", "mixed"] * 70
    found = embeddings.slice(2 * 69 + 1, 1).to_pylist()[0]
    assert found["numbers"] == [3, 9, 11] and found["counts"] == [5, 6, 1] and found["dim"] == 2
    np.testing.assert_array_equal(found["values"], arrays(69)["elements/mixed"].ravel())
    predictions = pd.read_parquet(tmp_path / "predictions.parquet")
    assert predictions.columns.tolist() == PREDICTIONS.names
    last = predictions[predictions["key"] == "k69"]
    assert last["part"].tolist() == ["validation", "validation", "test"]
    assert last["id"].tolist() == ["p", "r", "s"]
    assert last["target"].tolist() == [10.0, 12.0, 13.0]
    assert last["prediction"].tolist() == [69.5, 70.5, 71.5]


def test_a_damaged_record_leaves_the_collected_tables_as_they_were(
    records: Records, tmp_path: Path
) -> None:
    records.write(row("a"), arrays())
    collect(tmp_path, records, ["a"])
    before = (tmp_path / "embeddings.parquet").read_bytes()
    records.write(row("b"), arrays())
    (records.folder / "b.safetensors").write_bytes(b"broken")
    with pytest.raises(LedgerError, match=r"b\.safetensors: damaged"):
        collect(tmp_path, records, ["a", "b"])
    assert (tmp_path / "embeddings.parquet").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "SHA256SUMS", "embeddings.parquet", "predictions.parquet", "records",
    ]  # fmt: skip


def test_ten_thousand_records(
    records: Records, monkeypatch: pytest.MonkeyPatch, record_property: pytest.RecordProperty
) -> None:
    """Several grids of the paper: our part of writing and opening them must not be felt.

    In processor time, for how long a disk takes is its own affair; `benchmarks.ledger` has both.
    """
    monkeypatch.setattr(durable.os, "fsync", lambda handle: None)
    keys = [f"{number:024x}" for number in range(10_000)]
    start = time.process_time()
    for first in range(0, len(keys), 7):
        records.write_all([(row(key), {}) for key in keys[first : first + 7]])
    written = time.process_time() - start
    start = time.process_time()
    table = compile_ledger(records, dict.fromkeys(keys, "salts"))
    opened = time.process_time() - start
    record_property("seen", f"{written:.1f} s and {opened:.2f} s of a core")
    assert table["key"].to_pylist() == keys
    assert written < 20 and opened < 1.5
