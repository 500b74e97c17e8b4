"""What jobs have in common that train networks of their own kind: `dos`, `contrast`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa

from orchestrator.interface.errors import UsageError
from orchestrator.interface.extras import RAY
from orchestrator.interface.format import counted
from orchestrator.interface.job import OK
from orchestrator.nodes.place import here
from orchestrator.runs import layout
from orchestrator.runs.records import Records
from orchestrator.runs.run_directory import demand_folder, locked, open_manifest, write_manifest
from orchestrator.training.environment import versions
from orchestrator.training.flags import NetworkOptions
from orchestrator.training.recorded import train_to_ledger
from orchestrator.training.study import Study
from trainables.crystals.sources.base import EntrySource

Options = TypeVar("Options", bound=NetworkOptions)
Source = TypeVar("Source", bound=EntrySource)
Given = TypeVar("Given")


def begin(
    options: Options,
    opened: Callable[[Options], Source],
    read: Callable[[Options, Source], Given],
    plan: Callable[[Options, Given], None],
    run: Callable[[Options, str, Given], int],
) -> int:
    """Checks the options, reads the data, then plans (--dry-run) or runs; returns the status.

    Args:
        opened: the source of the data, before anything is written.
        read: all that it has.
        run: gets the token of the lease too.
    """
    demand_folder(options.run)
    if options.workers > 1:
        RAY.demand(f"--workers {options.workers}")
    demand_room(options)
    source = opened(options)

    def given() -> Given:
        print(f"reading and featurising {source.name}", file=sys.stderr)
        return read(options, source)

    if options.dry_run:
        with here().joined(options.address, options.worker.cpus):
            plan(options, given())
        return OK
    with locked(options.run) as lease, here().joined(options.address, options.worker.cpus):
        return run(options, lease, given())


def demand_room(options: NetworkOptions) -> None:
    """Raises UsageError if this machine, where it trains, does not take the workers."""
    worker = options.worker
    slots = here().fits(worker, options.address)
    if slots is not None and slots < options.workers:
        raise UsageError(
            f"this machine takes {counted(slots, 'worker')} of {worker.cpus:g} CPUs and"
            f" {worker.gpus:g} GPUs, and --workers is {options.workers}; lower"
            f" {'--workers, ' if slots else ''}--cpus-per-worker or --gpus-per-worker"
        )


def own_folder(
    options: NetworkOptions, job: str, config: Mapping[str, Any], data: str, version: int
) -> None:
    """Writes what is asked into the manifest; refuses a folder made for something else.

    Args:
        config: what is asked beside `options.asked`.
        data: fingerprint.
        version: of the training code.
    """
    asked = {
        "config": {**config, **options.asked},
        "data": data,
        "training_version": version,
    }
    open_manifest(options.run, job, asked, what="run", extend=options.extend)
    write_manifest(options.run, {"job": job, **asked, "versions": versions()})


def train_all(
    options: NetworkOptions,
    study: Study,
    schema: pa.Schema,
    lease: str,
    *,
    ledger: str,
    finish: Callable[[Records, pd.DataFrame], None],
) -> int:
    """Trains a study in the run directory and finishes from its ledger; returns the status.

    Args:
        schema: columns of the ledger.
        ledger: name of its file.
    """
    records = Records(options.run / layout.RECORDS, schema, lease)
    print(here().ready(options.worker, options.address, options.run))
    return train_to_ledger(
        study,
        records,
        options.worker,
        path=options.run / ledger,
        finish=lambda table: finish(records, table),
        retry_failed=options.retry_failed,
    )
