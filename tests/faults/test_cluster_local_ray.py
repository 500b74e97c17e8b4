"""`ray up` on machines made of namespaces, from the first command to the last."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.faults import machines
from tests.faults.cluster_local import ROOT, WHOLE

pytestmark = pytest.mark.faults


def left_behind() -> list[str]:
    """Remaining mounts and bridges of machines on this host."""
    with open("/proc/self/mounts") as file:
        mounts = [line for line in file if "elemgrid-machines-" in line]
    links = os.listdir("/sys/class/net")
    return mounts + [name for name in links if name in (machines.BRIDGE, "to-head")]


def test_ray_up_and_all_that_follows(record_property: Callable[[str, object], None]) -> None:
    """Every node joins, a driver and a machine may die, and nothing is left after `ray down`."""
    if why := machines.lacking():
        pytest.skip(why)
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.cluster_local"],
        cwd=ROOT, capture_output=True, text=True, timeout=WHOLE + 300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert left_behind() == []
    steps = [line for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    seconds = sum(float(line.split("|")[2]) for line in steps)
    record_property("seen", f"all {len(steps)} steps, in {seconds:.0f} s")


def test_a_world_ends_with_who_waits_for_it() -> None:
    """A world leaves nothing behind, even if it is killed."""
    if why := machines.lacking():
        pytest.skip(why)
    code = (
        "from tests.faults import machines; import os;"
        "machines.in_a_world(['sh', '-c', 'ip link add bridge0 type bridge; echo up;"
        " sleep 1234.5'], 60, dict(os.environ))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "up\n"
        starter.kill()
        starter.wait()
        starter.stdout.read()  # ends when all processes that could write there have
    assert left_behind() == []


def test_a_world_that_takes_too_long_is_ended() -> None:
    if why := machines.lacking():
        pytest.skip(why)
    assert machines.in_a_world(["sleep", "60"], 1, dict(os.environ)) == 124
