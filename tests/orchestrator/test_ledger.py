"""Records: written once, verified when read, compiled into the tables of a run. No Ray."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from orchestrator import durable, ledger
from orchestrator.ledger import (
    AGAIN,
    EMBEDDINGS,
    FEW,
    PREDICTIONS,
    SCHEMA,
    LedgerError,
    Records,
    compile_ledger,
    until_sound,
    write_collected,
)

CONTRACT = {
    "key", "task", "backbone", "dim", "mixing", "fold", "seed", "status", "train_mae", "val_mae",
    "test_mae", "dummy_mae", "epochs", "best_epoch", "seconds", "array", "device", "versions",
    "error", "recipe", "n_train", "n_val", "n_test", "target", "unit", "parameters",
}  # fmt: skip


def row(key: str, **more: Any) -> dict[str, Any]:
    return {
        "key": key, "task": "salts", "backbone": "cgcnn", "dim": 4, "mixing": "H", "fold": 0,
        "seed": 0, "recipe": "tuned", "status": "done", "train_mae": 1.0, "val_mae": 2.0,
        "test_mae": 3.0, "dummy_mae": 9.0, "n_train": 6, "n_val": 2, "n_test": 2, "epochs": 5,
        "best_epoch": 4, "parameters": 100, "seconds": 0.5, "target": "energy", "unit": None,
        "array": "salts/fold0/cgcnn/d4", "device": "cpu", "versions": "{}", "error": "",
        **more,
    }  # fmt: skip


def arrays(number: int = 0) -> dict[str, np.ndarray]:
    """What a model of 3 elements with 2 dimensions leaves."""
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2) + number
    return {
        "curve/val_mae": np.array([3.0, 2.0]),
        "elements/numbers": np.array([3, 9, 11], dtype=np.uint8),
        "elements/counts": np.array([5, 6, 1]),
        "elements/mixed": vectors,
        "elements/h": -vectors,
        "predictions/validation/row": np.array([0, 2]),
        "predictions/validation/value": np.array([0.5, 1.5]) + number,
        "predictions/test/row": np.array([3]),
        "predictions/test/value": np.array([2.5]) + number,
        "weights/w": np.ones((2, 2), dtype=np.float32),
    }


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "records")


# ------------------------------------------------------------------------------------ one record


def test_a_record_comes_back(records: Records) -> None:
    assert records.write(row("a"), arrays())
    assert records.read("a") | row("a") == records.read("a")
    found = records.arrays("a")
    assert found.keys() == arrays().keys()
    for name, value in arrays().items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)


def test_the_first_result_stands(records: Records) -> None:
    assert records.write(row("a"), arrays())
    before = {path.name: path.read_bytes() for path in records.folder.iterdir()}
    assert not records.write(row("a", val_mae=0.1), arrays(7))
    assert not records.write(row("a", status="failed", error="late"), {})
    assert {path.name: path.read_bytes() for path in records.folder.iterdir()} == before


def test_a_failed_record_has_no_arrays(records: Records) -> None:
    assert records.write(row("a", status="failed", error="why", val_mae=None), {})
    assert records.read("a")["status"] == "failed"
    with pytest.raises(LedgerError, match=r"a\.safetensors: missing; run the command"):
        records.arrays("a")


def test_forgetting_makes_room_for_another_try(records: Records) -> None:
    records.write(row("a", status="failed"), {})
    records.forget("a")
    assert records.recorded(["a"]) == set()
    assert records.write(row("a"), arrays())
    assert records.read("a")["status"] == "done"
    records.forget("a")
    records.forget("a")  # once more does no harm
    assert [path.name for path in records.folder.iterdir()] == [".lock"]


def test_a_number_that_json_lacks_is_refused_and_leaves_no_record(records: Records) -> None:
    with pytest.raises(ValueError, match="JSON"):
        records.write(row("a", val_mae=float("nan")), arrays())
    assert records.recorded(["a"]) == set()


def test_records_that_are_written_together_are_as_written_one_by_one(
    records: Records, tmp_path: Path
) -> None:
    records.write(row("b", val_mae=0.5), arrays(9))
    models = [(row(key), arrays(number)) for number, key in enumerate("abc")]
    models.append((row("d", status="failed", error="why"), {}))
    assert records.write_all(models) == [True, False, True, True]
    assert records.write_all([]) == []
    alone = Records(tmp_path / "alone")
    for model in models[:1] + models[2:]:
        alone.write(*model)
    alone.write(row("b", val_mae=0.5), arrays(9))
    both = [
        {path.name: path.read_bytes() for path in each.folder.iterdir()}
        for each in (records, alone)
    ]
    assert both[0] == both[1]


def test_one_that_cannot_be_written_down_keeps_all_of_them_out(records: Records) -> None:
    """Then each model of the array gets a try of its own."""
    with pytest.raises(ValueError, match="JSON"):
        records.write_all([(row("a"), arrays()), (row("b", val_mae=float("nan")), arrays())])
    assert records.recorded("ab") == set()
    assert not list(records.folder.glob("*.safetensors"))


def _hold(folder: Path, key: str, held: Any, release: Any) -> None:
    with Records(folder)._one_writer([key]):
        held.set()
        release.wait(30)


def _write_one(folder: Path, key: str) -> None:
    Records(folder).write(row(key), arrays())


def test_a_writer_waits_for_the_writer_of_the_same_record_alone(records: Records) -> None:
    """Or workers would wait for each other's disks."""
    context = multiprocessing.get_context("fork")
    held, release = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(records.folder, "a", held, release))
    holder.start()
    assert held.wait(30)
    writers = {key: context.Process(target=_write_one, args=(records.folder, key)) for key in "ab"}
    for writer in writers.values():
        writer.start()
    writers["b"].join(30)
    assert records.recorded("ab") == {"b"}
    assert writers["a"].is_alive()
    release.set()
    for process in (holder, writers["a"]):
        process.join(30)
        assert process.exitcode == 0
    assert records.recorded("ab") == {"a", "b"}


def _write_many(folder: Path, number: int, start: Any) -> None:
    start.wait()
    for key in range(20):
        Records(folder).write(row(str(key), seconds=float(number)), arrays(number))


def test_writers_of_one_record_do_not_mix(records: Records) -> None:
    """Two workers may finish one model: one that was lost but lives on, and its substitute."""
    context = multiprocessing.get_context("fork")
    start = context.Event()
    writers = [
        context.Process(target=_write_many, args=(records.folder, number, start))
        for number in range(4)
    ]
    for writer in writers:
        writer.start()
    start.set()
    for writer in writers:
        writer.join(30)
        assert writer.exitcode == 0
    for key in map(str, range(20)):
        number = records.read(key)["seconds"]
        np.testing.assert_array_equal(
            records.arrays(key)["elements/mixed"], arrays(int(number))["elements/mixed"]
        )


# --------------------------------------------------------------------------------------- damage


def is_noticed(records: Records, path: Path) -> bool:
    """Whether the damage of a file is found, and said of this file in one line."""
    found = records.damage(["a"])
    if not found:
        return False
    text = str(found["a"])
    assert text.startswith(f"{path}: damaged; run the command that trained it again")
    assert "\n" not in text
    with pytest.raises(LedgerError):
        records.arrays("a")
    return True


@pytest.mark.parametrize("more", [{}, {"error": "Zeile ä\nzwei", "unit": "eV"}])
def test_every_cut_and_every_flipped_bit_of_a_row_is_noticed(
    records: Records, more: dict[str, Any]
) -> None:
    records.write(row("a", **more), {})
    path = records.folder / "a.json"
    whole = path.read_bytes()
    assert ledger._opened(whole) == records.read("a")
    for place in range(len(whole)):
        assert not ledger._opened(whole[:place])
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            assert not ledger._opened(bytes(flipped)), (place, bit)
    for place in (0, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:place])
        assert is_noticed(records, path)
    path.write_bytes(whole)
    assert not records.damage(["a"])


def test_cuts_and_flipped_bits_of_arrays_are_noticed(records: Records) -> None:
    records.write(row("a"), arrays())
    path = records.folder / "a.safetensors"
    whole = path.read_bytes()
    for place in [*range(12), *range(12, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:place])
        assert is_noticed(records, path)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert is_noticed(records, path)
    path.write_bytes(whole + b"\0")
    assert is_noticed(records, path)
    path.write_bytes(whole)
    assert not records.damage(["a"])


def test_arrays_that_are_gone_are_noticed(records: Records) -> None:
    records.write(row("a"), arrays())
    (records.folder / "a.safetensors").unlink()
    with pytest.raises(LedgerError, match=r"a\.safetensors: missing; run the command that"):
        records.arrays("a")
    assert set(records.damage(["a"])) == {"a"}


def sealed(text: bytes) -> bytes:
    return text + ledger._seal(text)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"key": "a", "status": "done"}\n',
        sealed(b'{\n "key": "a"'),
        sealed(b'{\n "key": "a",\n "status": "x"'),
    ],
)
def test_json_that_is_no_record_is_noticed(records: Records, content: bytes) -> None:
    """One of them is a record but for its digest."""
    records.write(row("a"), arrays())
    path = records.folder / "a.json"
    path.write_bytes(content)
    for read in (lambda: records.read("a"), lambda: compile_ledger(records, {"a": "salts"})):
        with pytest.raises(LedgerError) as caught:
            read()
        assert str(caught.value) == f"{path}: damaged; {AGAIN}"


def test_a_record_under_another_name_is_noticed(records: Records) -> None:
    records.write(row("a"), arrays())
    (records.folder / "a.json").rename(records.folder / "b.json")
    with pytest.raises(LedgerError, match=r"b\.json: damaged"):
        records.read("b")
    with pytest.raises(LedgerError, match=r"a\.json: missing"):
        records.read("a")


def test_work_that_meets_damage_is_done_again_without_it(
    records: Records, capsys: pytest.CaptureFixture[str]
) -> None:
    """All damage is found at once: here a row and, of another model, the arrays."""
    for key in "abc":
        records.write(row(key), arrays())
    (records.folder / "a.json").write_bytes(b"{")
    (records.folder / "b.safetensors").write_bytes(b"broken")
    begun = []

    def work() -> str:
        begun.append(records.recorded("abc"))
        for key in "abc":
            if key in begun[-1]:
                records.read(key)
            else:
                records.write(row(key), arrays(1))
        return "done"

    assert until_sound(records, "abc", work) == "done"
    assert begun == [{"a", "b", "c"}, {"c"}]
    told = capsys.readouterr().err.splitlines()
    assert told == [
        f"{records.folder / name}: damaged; it is set aside (….damaged), the model is trained again"
        for name in ("a.json", "b.safetensors")
    ]
    assert not records.damage("abc")
    assert {path.name for path in records.folder.glob("*.damaged")} == {
        f"{key}.{kind}.damaged" for key in "ab" for kind in ("json", "safetensors")
    }
    assert (records.folder / "b.safetensors.damaged").read_bytes() == b"broken"


def test_an_error_of_other_records_is_raised(records: Records) -> None:
    def work() -> None:
        records.read("elsewhere")

    records.write(row("a"), {})
    with pytest.raises(LedgerError, match=r"elsewhere\.json: missing"):
        until_sound(records, ["a"], work)
    assert records.recorded(["a"])


# ------------------------------------------------------------------------- what a crash leaves half


def test_arrays_without_json_are_no_record(records: Records) -> None:
    records.write(row("a"), arrays())
    (records.folder / "a.json").unlink()
    (records.folder / ".b.json.0123.tmp").write_text("{")
    assert records.recorded(["a", "b"]) == set()
    assert records.write(row("a", val_mae=0.25), arrays(5))
    assert records.read("a")["val_mae"] == 0.25
    assert records.arrays("a")["elements/mixed"][0, 0] == 5


def test_only_the_keys_asked_for_count(records: Records) -> None:
    for key in "abc":
        records.write(row(key), {})
    assert records.recorded(["a", "c", "d"]) == {"a", "c"}
    assert Records(records.folder / "nowhere").recorded(["a"]) == set()


def test_an_array_is_looked_up_without_listing_the_folder(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker asks before each array: listing would cost the square of the grid."""
    keys = [str(number) for number in range(2 * FEW)]
    for key in keys[1:]:
        records.write(row(key), {})
    assert records.recorded(keys) == set(keys[1:])

    def listed(folder: Path) -> list[str]:
        raise AssertionError("listed")

    monkeypatch.setattr(ledger.os, "listdir", listed)
    assert records.recorded(keys[:7]) == set(keys[1:7])
    with pytest.raises(AssertionError, match="listed"):
        records.recorded(keys)


# ---------------------------------------------------------------------------------------- tables


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


def collect(run: Path, records: Records, keys: list[str]) -> None:
    ledger = compile_ledger(records, dict.fromkeys(keys, "salts")).to_pandas()
    ids, target = np.array(["p", "q", "r", "s"]), np.array([10.0, 11.0, 12.0, 13.0])
    write_collected(run, records, ledger, {("salts", "cgcnn"): (ids, target)})


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
        "embeddings.parquet", "predictions.parquet", "records",
    ]  # fmt: skip


def test_ten_thousand_records(
    records: Records, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
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
    with capsys.disabled():
        print(f"\n10 000 records: written in {written:.1f} s, opened in {opened:.2f} s of a core")
    assert table["key"].to_pylist() == keys
    assert written < 20 and opened < 1.5
