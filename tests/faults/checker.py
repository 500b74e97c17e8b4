"""What has to hold after every fault, whatever it was."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from orchestrator.runs.records import DIVERGED, DONE, FAILED, Records
from tests.faults.site import Event, Site

# What is said of a training, not of its result.
CIRCUMSTANCES = ["seconds", "array", "device", "versions"]
RESULTS = ("distances.parquet", "embeddings.parquet", "predictions.parquet")
# Between a model of an array and the same one trained with fewer beside it: sums in another order.
STACKING = 1e-3


def check(site: Site, run: str, golden: str, since: float, *, damaged: bool = False) -> None:
    """Fails unless a finished run is as if nothing had happened.

    Args:
        run, golden: of the run after the faults, and of one without any.
        since: when the first driver of `run` was started.
        damaged: whether records were damaged on purpose, so that their models began again.
    """
    folder, undisturbed = site.runs / run, site.runs / golden
    events = [event for event in site.events(since) if "/runs/" not in event.about or
              event.about.startswith(str(folder))]  # fmt: skip
    one_record_each(folder, undisturbed)
    nothing_trained_again(folder, events)
    assert damaged or not list(folder.rglob("*.damaged"))
    as_undisturbed(folder, undisturbed, events)
    nothing_left(folder)


def one_record_each(folder: Path, golden: Path) -> None:
    """Every model has exactly one record with an end, and a row of the ledger."""
    records = Records(folder / "records")
    wanted = keys(golden)
    assert keys(folder) == wanted
    for key in wanted:
        assert records.read(key)["status"] in (DONE, FAILED, DIVERGED)
    assert sorted(pd.read_parquet(folder / "ledger.parquet")["key"]) == sorted(wanted)


def nothing_trained_again(folder: Path, events: list[Event]) -> None:
    """No training of a model began after its record was written, by the log of beginnings."""
    written = {key: (folder / "records" / f"{key}.json").stat().st_mtime for key in keys(folder)}
    begun = [event for event in events if event.name == "elemgrid.train"]
    assert begun, "the log of beginnings is empty"
    for event in begun:
        for key in event.about.split():
            assert event.time <= written[key], f"{key} was recorded, and began again"


def as_undisturbed(folder: Path, golden: Path, events: list[Event]) -> None:
    """The results are those of the golden run, bit for bit.

    Models of an array that was cut between two of its records train on with fewer beside them;
    they, and what is made of them, agree to rounding.
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
    if cut:
        return
    for path in [golden / name for name in RESULTS] + sorted((golden / "tables").glob("*.csv")):
        again = folder / path.relative_to(golden)
        assert again.read_bytes() == path.read_bytes(), f"{again} differs"


def _cut(folder: Path, events: list[Event]) -> set[str]:
    """Models whose record was made with fewer models beside them than their array has."""
    last: dict[str, set[str]] = {}
    together: dict[str, set[str]] = {}
    for event in events:
        if event.name == "elemgrid.train":
            members = set(event.about.split())
            for key in members:
                last[key] = members
                together.setdefault(key, set()).update(members)
    return {key for key in last if last[key] != together[key]}


def nothing_left(folder: Path, seconds: float = 20) -> None:
    """No file that is half written, nothing that only a run in progress needs, no process."""
    left = [path for path in folder.rglob(".*") if path.name != ".lock"]
    assert not left, f"left behind: {left}"
    assert not (folder / "checkpoints").exists()
    end = time.monotonic() + seconds
    while trainers := trainers_alive():
        assert time.monotonic() < end, f"still running: {trainers}"
        time.sleep(0.1)


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
