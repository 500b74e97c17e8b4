"""Trains arrays, compiles their records to a ledger, and returns the status of the job."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
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
from orchestrator.training.study import Study, TrainingArray
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

    If the study has more arrays once these are recorded, they follow, round by round. A record that
    is damaged or another model's is set aside as soon as it is found, and its model trained again
    first.

    Args:
        study, records, worker: as in `train`.
        path: of the ledger.
        finish: makes the job's results from the complete ledger.
        retry_failed: whether models that failed before are trained again.

    Returns:
        The status of the job.
    """
    again: set[str] = set()  # keys whose failed records are forgotten
    while True:
        tasks = study.tasks
        asking = replace(records, asked=study.row)
        if retry_failed:
            new = tasks.keys() - again
            until_sound(asking, tasks, partial(asking.forget_failed, new))
            again |= new
        status, more = until_sound(
            asking, tasks, partial(_round, study, asking, worker, path, finish)
        )
        if not more:
            return status
        study = replace(study, arrays=[*study.arrays, *more])


def _round(
    study: Study,
    records: Records,
    worker: Worker,
    path: Path,
    finish: Callable[[pd.DataFrame], None],
) -> tuple[int, Sequence[TrainingArray]]:
    """Trains what is missing of a study; finishes if nothing is to follow.

    Returns:
        The status of the job, and the arrays that follow.
    """
    finished = train(study, records, worker)
    table = study.complete(compile_ledger(records, study.tasks))
    sums.write_parquet(path.parent, path.name, table)
    ledger = table.to_pandas()
    if not finished:
        interrupts.say(
            f"stopped with {len(ledger)} of {len(study.tasks)} models recorded; the same command"
            " goes on from here"
        )
        return INTERRUPTED, ()
    if more := study.more(ledger):
        return OK, more
    finish(ledger)
    return summarise(ledger, study.naming.member, path), ()


def summarise(ledger: pd.DataFrame, member: Callable[[Mapping[str, Any]], str], path: Path) -> int:
    """Prints a few lines on how the models of a ledger ended; returns the status of the job.

    Args:
        member: names a model within its array.
        path: of the ledger.
    """
    counts = ledger["status"].value_counts()
    seconds = float(ledger["seconds"].sum())
    done = counted(counts.get(DONE, 0), "model")
    print(f"{done} done, {duration(seconds)} of training by the workers: {path.parent}")
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
