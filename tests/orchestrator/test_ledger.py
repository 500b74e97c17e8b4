"""Records: written once, verified when read. No Ray."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.runs.checkpoints import Checkpoints
from orchestrator.runs.lease import Fenced
from orchestrator.runs.records import FEW, LedgerError, Records
from orchestrator.runs.run_directory import locked
from tests.orchestrator.small_records import arrays, row

# ------------------------------------------------------------------------------------ one record


def test_no_node_makes_a_run_directory_that_it_lacks(tmp_path: Path) -> None:
    """On a node whose disk is not the run's, its files would be lost."""
    gone = tmp_path / "gone"
    with pytest.raises(FileNotFoundError):
        Records(gone / "records").write(row("a"), arrays())
    with pytest.raises(FileNotFoundError):
        Checkpoints(gone / "checkpoints").write("array", b"")
    assert not gone.exists()


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

    monkeypatch.setattr(os, "listdir", listed)
    assert records.recorded(keys[:7]) == set(keys[1:7])
    with pytest.raises(AssertionError, match="listed"):
        records.recorded(keys)


# ----------------------------------------------------------------------- writers that come too late


def test_a_worker_of_a_driver_that_lost_its_lease_records_nothing(tmp_path: Path) -> None:
    with locked(tmp_path / "run") as token:
        late = Records(tmp_path / "run" / "records", lease=token)
        assert late.write(row("a"), arrays())
    with locked(tmp_path / "run") as now:
        with pytest.raises(Fenced, match="another driver has taken it"):
            late.write(row("b"), arrays())
        assert sorted(path.name for path in late.folder.iterdir()) == [
            ".lock", "a.json", "a.safetensors"
        ]  # fmt: skip
        assert Records(late.folder, lease=now).write(row("b"), arrays())
        (tmp_path / "run" / ".lock").rename(tmp_path / "aside")
        with pytest.raises(Fenced, match="it was removed"):
            Records(late.folder, lease=now).write(row("c"), arrays())
        (tmp_path / "aside").rename(tmp_path / "run" / ".lock")
    assert late.recorded("abc") == {"a", "b"}


def test_a_suspended_writer_is_not_waited_for_and_finds_the_record(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.runs.records.PATIENCE", 0.2)
    code = (
        "import sys; from pathlib import Path; from orchestrator.runs import records\n"
        "from tests.orchestrator.small_records import arrays, row\n"
        "own = records.Records(Path(sys.argv[1])); publish = records.Records._publish\n"
        "def waits(self, *given):\n"
        "    print('in', flush=True); sys.stdin.readline(); return publish(self, *given)\n"
        "records.Records._publish = waits\n"
        "print(own.write(row('a', val_mae=0.5), arrays(7)), flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(records.folder)], cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as late:  # fmt: skip
        assert late.stdout is not None and late.stdout.readline() == "in\n"
        late.send_signal(signal.SIGSTOP)
        assert records.write(row("a"), arrays())
        before = {path.name: path.read_bytes() for path in records.folder.glob("a.*")}
        late.send_signal(signal.SIGCONT)
        out, _ = late.communicate("\n", timeout=60)
    assert out == "False\n"
    assert {path.name: path.read_bytes() for path in records.folder.glob("a.*")} == before
    assert not list(records.folder.glob(".*.tmp")) and not records.damage("a")
