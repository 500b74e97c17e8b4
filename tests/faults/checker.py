"""Invariants that hold after every fault."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
from scipy.spatial.distance import pdist

from orchestrator.interface.job import INTERRUPTED, OK, SOME_FAILED, USAGE
from orchestrator.runs.records import DIVERGED, DONE, FAILED, Records
from tests.faults.site import MARK, Ended, Event, Site

# The one line that states the cause, by exit status.
CAUSES = {
    SOME_FAILED: re.compile(r"\d+ of \d+ models? (is|are) not done; \S"),
    USAGE: re.compile(r"error: \S"),
    INTERRUPTED: re.compile(r"stopped (with \d+ of \d+ models recorded|at once)|stopped; \S"),
}
# Exit by a signal that a program cannot handle, or handled once before, or not yet.
BY_SIGNAL = (-signal.SIGKILL, -signal.SIGINT, -signal.SIGTERM)
# Columns that describe a training's circumstances, not its result.
CIRCUMSTANCES = ["seconds", "array", "device", "kernels", "threads", "versions"]
RESULTS = ("distances.parquet", "embeddings.parquet", "predictions.parquet")
# Between a model of an array and the same one trained in a smaller array: the order of sums
# differs.
STACKING = 1e-3
OF_TABLES = 1e-2  # relative to a column's largest value: for what is made from several such models
# The processes of an idle cluster: Ray's own programs, the dashboard's children, idle workers, and
# the two actors that Ray Data leaves in the cluster.
CLUSTERS_OWN = re.compile(
    r"ray::IDLE|ray::_StatsActor|ray::_AutoscalingCoordinatorActor|ray::\w*Agent\b|ray-dashboard-"
    r"|\S*/ray/core/src/ray/(gcs|raylet)/"
    r"|\S*python\S* (-\S+ )*\S*/ray/(_private|dashboard|autoscaler)/"
    r"|\S*python\S* (-\S+ )*-c from multiprocessing\.|\S*python\S* \S*/bin/ray start "
)


def check(
    site: Site, run: str, golden: str, since: float, *ended: Ended, damaged: bool = False
) -> None:
    """Fails unless a finished run is as if nothing had happened.

    Args:
        run, golden: of the run after the faults, and of one without any.
        since: when the first driver of `run` was started.
        ended: how the drivers of `run` ended; the last one finished it.
        damaged: whether records were damaged on purpose, so that their models began again.
    """
    assert ended, "nobody has worked in the run"
    for one in ended:
        with_its_cause(one)
    assert ended[-1].code == OK, ended[-1].err
    folder, undisturbed = site.runs / run, site.runs / golden
    events = [event for event in site.events(since) if "/runs/" not in event.about or
              event.about.startswith(f"{folder}/")]  # fmt: skip
    one_record_each(folder, undisturbed)
    nothing_trained_again(folder, events)
    assert damaged or not list(folder.rglob("*.damaged"))
    as_undisturbed(folder, undisturbed, events)
    nothing_left(site, folder)


def with_its_cause(ended: Ended) -> None:
    """Checks for a documented exit status, one line on stderr with the cause, and no traceback."""
    assert ended.code in (OK, *CAUSES, *BY_SIGNAL), f"exit status {ended.code}:\n{ended.err}"
    assert "Traceback" not in ended.err, ended.err
    lines = ended.err.splitlines()
    told = [status for line in lines for status, cause in CAUSES.items() if cause.match(line)]
    if ended.code in BY_SIGNAL:  # no last words, unless the signal came after them
        assert len(told) <= 1, ended.err
    else:
        assert told == ([] if ended.code == OK else [ended.code]), ended.err


def one_record_each(folder: Path, golden: Path) -> None:
    """Checks that every model has exactly one final record, and a row of the ledger."""
    records = Records(folder / "records")
    wanted = keys(golden)
    assert keys(folder) == wanted
    for key in wanted:
        assert records.read(key)["status"] in (DONE, FAILED, DIVERGED)
    assert sorted(pd.read_parquet(folder / "ledger.parquet")["key"]) == sorted(wanted)


def nothing_trained_again(folder: Path, events: list[Event]) -> None:
    """Checks by the log that no training of a model started after its record was written."""
    written = {key: (folder / "records" / f"{key}.json").stat().st_mtime for key in keys(folder)}
    begun = [event for event in events if event.name == "elemgrid.train"]
    assert begun, "the log of beginnings is empty"
    for event in begun:
        for key in event.about.split():
            assert event.time <= written[key], f"{key} was recorded, and began again"


def as_undisturbed(folder: Path, golden: Path, events: list[Event]) -> None:
    """Checks that the results are those of the golden run, bit for bit.

    Models of an array that was cut between two of its records continue in a smaller array; they,
    and what is made from them, agree to rounding.
    """
    cut = _cut(folder, events)
    ours, theirs = (_ledger(one) for one in (folder, golden))
    assert list(ours.index) == list(theirs.index)
    whole = [key for key in ours.index if key not in cut]
    pd.testing.assert_frame_equal(ours.loc[whole], theirs.loc[whole], check_exact=True)
    for key in whole:
        one, other = (Records(run / "records").arrays(key) for run in (folder, golden))
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert value.tobytes() == other[name].tobytes(), f"{key} {name}"
    for key in cut:
        one, other = ours.loc[key, "val_mae"], theirs.loc[key, "val_mae"]
        assert np.isclose(one, other, rtol=STACKING), f"{key}: {one} instead of {other}"
    tables = sorted((golden / "tables").glob("*.csv"))
    assert tables, "the golden run has no tables"
    for path in [golden / name for name in RESULTS] + tables:
        again = folder / path.relative_to(golden)
        if not cut:
            assert again.read_bytes() == path.read_bytes(), f"{again} differs"
        elif path.suffix == ".csv":
            _same_places(again, path)
        else:
            _same_to_rounding(again, path)


def _same_to_rounding(ours: Path, theirs: Path) -> None:
    one, other = pd.read_parquet(ours), pd.read_parquet(theirs)
    assert list(one) == list(other) and len(one) == len(other), f"{ours}: other rows"
    for name in other:
        if isinstance(other[name].iloc[0], np.ndarray):
            flat = [np.concatenate(list(table[name])) for table in (one, other)]
        else:
            flat = [table[name].to_numpy() for table in (one, other)]
        if np.issubdtype(flat[1].dtype, np.floating):
            _close(flat[0], flat[1], f"{ours}: {name}")
        else:
            assert (flat[0] == flat[1]).all(), f"{ours}: {name}"


def _same_places(ours: Path, theirs: Path) -> None:
    """Compares two element tables by distances, as each may be rotated or mirrored."""
    one, other = (
        pd.read_csv(path, index_col="element", keep_default_na=False) for path in (ours, theirs)
    )
    assert list(one.index.astype(str)) == list(other.index.astype(str)), f"{ours}: other rows"
    _close(pdist(one.to_numpy()), pdist(other.to_numpy()), str(ours))


def _close(one: Any, other: Any, what: str) -> None:
    largest = np.nanmax(np.abs(other))
    np.testing.assert_allclose(one, other, rtol=0, atol=OF_TABLES * largest, err_msg=what)


def _cut(folder: Path, events: list[Event]) -> set[str]:
    """Models that were recorded in a smaller array than their own."""
    last: dict[str, set[str]] = {}
    together: dict[str, set[str]] = {}
    for event in events:
        if event.name == "elemgrid.train":
            members = set(event.about.split())
            for key in members:
                last[key] = members
                together.setdefault(key, set()).update(members)
    return {key for key in last if last[key] != together[key]}


def nothing_left(site: Site, folder: Path, seconds: float = 60) -> None:
    """Checks that no incomplete file, nothing needed only during a run, and no process is left."""
    left = [path for path in folder.rglob(".*") if path.name != ".lock"]
    assert not left, f"left behind: {left}"
    assert not (folder / "checkpoints").exists()
    end = time.monotonic() + seconds
    while running := at_work(site):
        assert time.monotonic() < end, f"still running: {running}"
        time.sleep(0.1)


def at_work(site: Site) -> list[str]:
    """All processes of a site, by the mark in their environment, except an idle cluster's."""
    mark, found = str(site.faults), []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                line = _line(process)
                if line and not CLUSTERS_OWN.match(line):
                    found.append(f"{process.pid} {line}")
        except psutil.Error:  # it has just ended, or is not ours
            continue
    return found


def trainers_alive() -> list[psutil.Process]:
    """Our processes in which models are trained."""
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if process.is_running() and _line(process).startswith("ray::ArrayTrial")
    ]


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def keys(folder: Path) -> set[str]:
    """Models that have a record."""
    return {path.stem for path in (folder / "records").glob("*.json")}


def _ledger(folder: Path) -> pd.DataFrame:
    ledger = pd.read_parquet(folder / "ledger.parquet").set_index("key")
    return ledger.drop(columns=CIRCUMSTANCES)
