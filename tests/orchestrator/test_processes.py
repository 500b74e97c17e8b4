"""Processes of this machine that work for another one, and that none is left when that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch

from orchestrator.interface.errors import UsageError
from orchestrator.nodes import processes
from orchestrator.nodes.child import WorkError
from orchestrator.nodes.processes import Child, Died, in_order
from tests.orchestrator.children import children

ROOT = Path(__file__).resolve().parents[2]


def doubled(item: int) -> tuple[int, int]:
    time.sleep(0.01 * (item % 3))  # the later ones of some end first
    return 2 * item, os.getpid()


def test_results_come_in_order_from_as_many_processes_as_asked() -> None:
    found = list(in_order(doubled, range(20), 2, lambda item: (0, 0) if item == 7 else None))
    assert [item for item, _ in found] == list(range(20))
    assert [result for _, (result, _) in found] == [0 if i == 7 else 2 * i for i in range(20)]
    at_work = {pid for item, (_, pid) in found if item != 7}
    assert len(at_work) == 2 and os.getpid() not in at_work
    assert not children()


def test_no_more_is_read_than_is_under_way() -> None:
    read: list[int] = []
    found = in_order(doubled, (read.append(i) or i for i in range(50)), 1)  # type: ignore[func-returns-value]
    next(found)
    assert len(read) <= processes.UNDER_WAY + 1
    found.close()
    assert not children()


def plus(tensor: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
    return tensor + item


def test_tensors_are_copied() -> None:
    """Those of the work, of its items and of its results, as the models of predictions are."""
    one, items = torch.ones(3), [torch.full((3,), float(item)) for item in range(4)]
    for item, result in in_order(partial(plus, one), items, 2):
        assert torch.equal(result, item + 1)


def dies_once(mark: Path, item: int) -> int:
    if item == 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_what_a_lost_process_did_is_done_again(tmp_path: Path) -> None:
    found = in_order(partial(dies_once, tmp_path / "mark"), range(5), 2)
    assert [result for _, result in found] == list(range(5))
    assert (tmp_path / "mark").exists()


def dies(item: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_work_that_always_loses_its_process_is_one_line() -> None:
    with pytest.raises(UsageError) as caught:
        list(in_order(dies, range(3), 1))
    assert str(caught.value).startswith("a process of this work died 4 times (killed by SIGKILL)")
    assert "\n" not in str(caught.value) and not children()


def raises(error: Exception, item: int) -> int:
    raise error


class Strange(Exception):
    """One that is loaded with other arguments than it was made with."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


@pytest.mark.parametrize(
    ("error", "comes"),
    [
        (UsageError("give another one"), UsageError),
        (FileNotFoundError(2, "No such file", "x.cif"), FileNotFoundError),
        (ValueError("no such thing"), WorkError),
    ],
)
def test_errors_come_back(error: Exception, comes: type[Exception]) -> None:
    with pytest.raises(comes, match=error.args[-1].split()[-1]):
        list(in_order(partial(raises, error), [0], 1))
    assert not children()


def raises_strange(item: int) -> int:
    raise Strange(1, 2)


def test_an_error_that_cannot_be_sent_comes_as_text() -> None:
    with pytest.raises(WorkError, match="1 and 2"):
        list(in_order(raises_strange, [0], 1))


class Counting:
    """What a process holds in these tests."""

    def __init__(self) -> None:
        self.count = 0

    def more(self, by: int) -> tuple[int, str | None]:
        self.count += by
        return self.count, os.environ.get("OMP_NUM_THREADS")


def test_a_process_keeps_what_it_holds_and_ends_on_close() -> None:
    child = Child(Counting, {"OMP_NUM_THREADS": "3"})
    for wanted in (2, 4):
        child.ask("more", 2)
        assert child.answer() == (wanted, "3")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # to end is its owner's matter
        children()[0].send_signal(number)
    child.ask("more", 1)
    assert child.answer()[0] == 5
    child.close()
    assert not children()


def broken() -> object:
    raise RuntimeError("no such library")


def test_a_process_that_cannot_begin_says_why() -> None:
    child = Child(broken, {})
    child.ask("more", 1)
    with pytest.raises(Died, match="exit status 1: RuntimeError: no such library"):
        child.answer()
    child.close()


# No `if __name__ == "__main__"`: a script of a user has none.
SCRIPT = """
from orchestrator.nodes.processes import in_order
from tests.orchestrator.test_processes import sleeps
print("once", flush=True)
for _, pid in in_order(sleeps, [0, 1], 2):
    print(pid, flush=True)
"""


def sleeps(item: int) -> int:
    if item:
        time.sleep(600)
    return os.getpid()


def test_none_outlives_its_owner_however_that_ends(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, script],
        env=dict(os.environ, PYTHONPATH=str(ROOT)), stdout=subprocess.PIPE, text=True,
    ) as owner:  # fmt: skip
        assert owner.stdout is not None
        assert owner.stdout.readline() == "once\n"
        assert int(owner.stdout.readline()) > 0
        started = psutil.Process(owner.pid).children()
        assert len(started) == 2
        owner.kill()
        _, left = psutil.wait_procs(started, timeout=5)
        # one that has ended may wait for the system to collect it
        assert not [one for one in left if one.status() != psutil.STATUS_ZOMBIE]
        assert owner.stdout.read() == "", "the script runs once"
