"""Trains arrays, compiles their records to a ledger, and returns the status of the job."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from orchestrator.interface import interrupts
from orchestrator.interface.format import are, counted, duration, why
from orchestrator.interface.job import INTERRUPTED, OK, SOME_FAILED
from orchestrator.nodes.worker import Worker
from orchestrator.runs import sums
from orchestrator.runs.ledger import compile_ledger, ways_of_computing
from orchestrator.runs.records import DONE, FAILED, Records, until_sound
from orchestrator.training.study import Study
from orchestrator.training.train import train

MIXED = "not all models were computed alike, so they may differ in rounding"
LISTED = 20  # arrays with models that are not done, which the summary names


def train_to_ledger(
    study: Study,
    records: Records,
    worker: Worker,
    *,
    path: Path,
    finish: Callable[[pd.DataFrame], None],
    retry_failed: bool = False,
) -> int:
    """Trains models without a record, writes the ledger, and finishes from it if nothing is left.

    A record that is damaged or another model's is set aside as soon as it is found, and its model
    trained again first.

    Args:
        study, records, worker: as in `train`.
        path: of the ledger.
        finish: makes the job's results from the complete ledger.
        retry_failed: whether models that failed before are trained again.

    Returns:
        The status of the job.
    """
    tasks, records = study.tasks, replace(records, asked=study.row)

    def work() -> int:
        finished = train(study, records, worker)
        table = compile_ledger(records, tasks)
        sums.write_parquet(path.parent, path.name, table)
        ledger = table.to_pandas()
        if not finished:
            interrupts.say(
                f"stopped with {len(ledger)} of {len(tasks)} models recorded; the same command goes"
                " on from here"
            )
            return INTERRUPTED
        finish(ledger)
        return summarise(ledger, study.naming.member, path)

    if retry_failed:
        until_sound(records, tasks, lambda: records.forget_failed(tasks))
    return until_sound(records, tasks, work)


def summarise(ledger: pd.DataFrame, member: Callable[[Mapping[str, Any]], str], path: Path) -> int:
    """Prints a few lines on how the models of a ledger ended; returns the status of the job.

    Args:
        member: names a model within its array.
        path: of the ledger.
    """
    counts = ledger["status"].value_counts()
    seconds = float(ledger["seconds"].sum())
    done = counted(counts.get(DONE, 0), "model")
    print(f"{done} done in {duration(seconds)} of training: {path.parent}")
    if len(ways := ways_of_computing(ledger)) > 1:
        print(f"{MIXED}: {'; '.join(ways)}", file=sys.stderr)
    bad = ledger[ledger["status"] != DONE]
    if bad.empty:
        return OK
    named = [member(row) for row in bad.to_dict("records")]
    told = bad.assign(member=named, reason=bad["error"].map(why))
    alike = told.groupby(["status", "array", "reason"], sort=False)["member"]
    for (status, array, reason), members in islice(alike, LISTED):
        print(f"  {status}: {array} {', '.join(members)}: {reason}", file=sys.stderr)
    if len(alike) > LISTED:
        print(f"  … and {len(alike) - LISTED} arrays more; all are in {path}", file=sys.stderr)
    again = "--retry-failed trains the failed ones again"
    # The same seed diverges again.
    hint = again if FAILED in counts else "other data, another recipe or another seed may mend it"
    of = f"{len(bad)} of {counted(len(ledger), 'model')} {are(len(bad))}"
    print(f"{of} not done; {hint}", file=sys.stderr)
    return SOME_FAILED
