"""Fixtures for all tests: the real data beside the repository, and one Ray runtime."""

import csv
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import tests.environment  # noqa: F401 (acts when it is imported)

# The same examples every time, so that a failure is reproducible.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

ROOT = Path(__file__).resolve().parent.parent
# The rows of docs/reliability.md, each with its tests.
with open(ROOT / "tests" / "faults" / "cases.csv", encoding="utf-8", newline="") as file:
    CASES = list(csv.DictReader(file))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-faults", action="store_true", help="faults at every point, and all that takes long"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of a file `test_*_ray.py`, in which alone Ray may be started.

    They come last, as other tests would use a runtime that is there. The case of
    docs/reliability.md that a test belongs to goes into the report.
    """
    items.sort(key=lambda item: item.path.name.endswith("_ray.py"))
    for item in items:
        if item.path.name.endswith("_ray.py"):
            item.add_marker(pytest.mark.ray)
        elif "ray_cluster" in getattr(item, "fixturenames", ()):
            raise pytest.UsageError(f"{item.nodeid} starts Ray outside of a file test_*_ray.py")
        fits = [case for case in CASES if item.nodeid.startswith(case["test"])]
        case = max(fits, key=lambda case: len(case["test"]), default=None)  # the most specific
        if case is not None:
            item.add_marker(pytest.mark.case(section=case["section"]))
            item.user_properties += case.items()
        if item.get_closest_marker("faults") and not item.config.getoption("--all-faults"):
            item.add_marker(pytest.mark.skip("only with --all-faults: `make reliability`"))


def pytest_collection_finish() -> None:
    """Libraries and tests stay: to look through them for garbage took a twentieth of the time."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread() -> None:
    """One torch thread: a fixed order of sums, and two workers on two cores; no import of torch."""
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data: $ELEMGRID_DATA, else `shared/data` beside the repository; or skip."""
    named = os.environ.get("ELEMGRID_DATA")
    folder = Path(named).expanduser() if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        how = (
            "which ELEMGRID_DATA names" if named else "set ELEMGRID_DATA to the folder that has it"
        )
        pytest.skip(f"no real data: {folder.name}/ is not there, {how}")
    return folder


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[dict[str, Any]]:
    """A local Ray runtime with two CPUs, ended with the session; gives Ray's description of it."""
    import ray

    from orchestrator.nodes.cluster import RUNTIME_ENVIRONMENT
    from orchestrator.nodes.ray_internals import without_observers

    os.environ.update(RUNTIME_ENVIRONMENT)
    with without_observers():
        ray.init(
            address="local",  # never one that happens to run
            num_cpus=2,
            num_gpus=0,
            object_store_memory=200 * 1024**2,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    yield ray.cluster_resources()
    ray.shutdown()


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """Restores signal handlers after an interrupted job, so that the next Ctrl-C ends the tests."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        if handler is not None:  # one of compiled code
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def everything_given_back(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that leaves a CPU of `ray_cluster` taken, rather than a later one."""
    yield
    if "ray_cluster" not in request.fixturenames:
        return
    import ray

    whole, patience = ray.cluster_resources(), time.monotonic() + 30
    while ray.available_resources().get("CPU", 0) < whole["CPU"]:
        if time.monotonic() > patience:
            pytest.fail(f"CPUs are still taken: {ray.available_resources()}, of {whole}")
        time.sleep(0.05)
