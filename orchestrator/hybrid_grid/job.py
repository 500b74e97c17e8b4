"""The main job: from crystals to tables of the elements.

python -m orchestrator.hybrid_grid --preset demo --run runs/demo
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.data.divided import divide
from orchestrator.data.featurize import Featurized
from orchestrator.data.given_folds import demand_columns, demand_own_folds
from orchestrator.data.inputs import (
    demand_parts,
    describe,
    featurize_all,
    fingerprints,
    load_datasets,
    open_sources,
    targets_of,
)
from orchestrator.data.unseen import say_unseen
from orchestrator.data.withheld import withhold
from orchestrator.hybrid_grid.cells import GridArray, arrays, cells
from orchestrator.hybrid_grid.config import SELECTED_BY, GridConfig
from orchestrator.hybrid_grid.distances import sum_distances
from orchestrator.hybrid_grid.flags import Options, parse
from orchestrator.hybrid_grid.plan import print_plan
from orchestrator.hybrid_grid.tables import write_distances, write_tables
from orchestrator.interface.job import OK, conduct
from orchestrator.nodes import cluster, preflight
from orchestrator.report.job import write_report
from orchestrator.runs import layout
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.runs.ledger import LEDGER, digest_of, write_collected
from orchestrator.runs.records import DONE, LedgerError, Records
from orchestrator.runs.run_directory import demand_folder, locked, open_manifest, write_manifest
from orchestrator.training.environment import versions
from orchestrator.training.recorded import train_to_ledger
from orchestrator.training.worker import Worker
from trainables.backbones import graph_kinds
from trainables.crystals.dataset import Dataset
from trainables.crystals.graph import FEATURISER_VERSION
from trainables.crystals.registry import TASKS
from trainables.crystals.sources import Source, SourceError
from trainables.kernels import library
from trainables.training.fit import TRAINING_VERSION
from trainables.training.split import Split, split_dataset

JOB = "hybrid_grid"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job; 0 all models done, 1 some failed, 2 wrong usage or input, 130 interrupted."""
    return conduct(
        lambda: start(argv),
        LedgerError,
        SourceError,
        stopped="the same command goes on where this ended",
    )


def start(argv: Sequence[str] | None) -> int:
    """Looks at what is asked, and does it."""
    options = parse(argv)
    if options.dry_run:
        demand_folder(options.run)
        print_plan(options)
        return OK
    with locked(options.run) as lease:
        return run(options, lease)


def run(options: Options, lease: str) -> int:
    """Structures → shards → models → distances → tables → report, each step kept in the run."""
    config, folder = options.config, options.run
    open_manifest(folder, JOB, _asked(options), what="grid", extend=options.extend)
    demand_own_folds(options.division, config.tasks)  # before anything is downloaded
    sources = open_sources(config, options.data_dir, follow_links=options.follow_links)
    whole = (name for name in sources if name in TASKS and sources[name].count() == TASKS[name].n)
    demand_own_folds(options.division, whole)
    demand_columns(options.division, sources)
    data = {"data": {name: source.digest() for name, source in sources.items()}}
    open_manifest(folder, JOB, data, what="grid", extend=options.extend)
    config = config.model_copy(update={"tasks": tuple(sources)})
    with cluster.connected(options.address, options.worker.cpus):
        _announce(options)
        featurized = featurize_all(sources, config, folder)
        datasets = load_datasets(config, featurized, _memory(options.worker))
        datasets = withhold(folder, options.withheld, datasets, featurized)
        datasets, featurized = divide(folder, options.division, sources, datasets, featurized)
        demand_parts(config, datasets)
        say_unseen(config.folds, config.seed, datasets, featurized)
        planned = cells(config, targets_of(sources), fingerprints(config, featurized))
        records = Records(folder / layout.RECORDS, lease=lease)
        left = len(planned) - len(records.recorded(cell.key for cell in planned))
        _write_manifest(options, data, sources, featurized, len(planned), works=left > 0)
        return train_to_ledger(
            arrays(planned),
            datasets,
            records,
            options.worker,
            naming=GridArray,
            path=folder / layout.LEDGER,
            conclude=lambda ledger: _conclude(folder, records, ledger, datasets, config),
            retry_failed=options.retry_failed,
        )


def _announce(options: Options) -> None:
    slots = preflight.ready(options.worker, options.address, options.run)
    where, token = cluster.dashboard(), cluster.dashboard_token()
    asks = f", which asks for the token in {token}" if token else ""
    print(f"Ray: {slots} workers at a time" + (f", dashboard {where}{asks}" if where else ""))
    if options.worker.device == "cpu" and not library.load():
        print(f"{library.missing()}; models train without them, two to three times slower",
              file=sys.stderr)  # fmt: skip


def _memory(worker: Worker) -> float:
    """Bytes of a data set that a worker may hold."""
    if worker.memory is not None:
        return worker.memory * 2**30
    return cluster.memory_per_worker(worker.cpus, worker.gpus)


def _asked(options: Options) -> dict[str, Any]:
    """What the models of a run hang on, beside the data."""
    return {
        "config": options.config.model_dump(mode="json"),
        "training_version": TRAINING_VERSION,
        "featuriser_version": FEATURISER_VERSION,
    }


def _write_manifest(
    options: Options,
    data: dict[str, Any],
    sources: dict[str, Source],
    featurized: dict[str, Featurized],
    models: int,
    *,
    works: bool,
) -> None:
    write_manifest(
        options.run,
        {
            **_asked(options),
            **data,
            "datasets": describe(sources, featurized),
            "representations": [
                dataclasses.asdict(kind) for kind in graph_kinds(options.config.backbones)
            ],
            "models": models,
            "hardware": cluster.hardware(),
            "worker": {"cpus": options.worker.cpus, "gpus": options.worker.gpus},
            "versions": versions(),
        },
        works=works,
    )


def _conclude(
    folder: Path,
    records: Records,
    ledger: pd.DataFrame,
    datasets: dict[tuple[str, str], Dataset],
    config: GridConfig,
) -> None:
    """Distances, tables and report of the models that are done."""
    if not (ledger["status"] == DONE).any():
        return
    crystals: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {
        name: (dataset.ids, dataset.target) for name, dataset in datasets.items()
    }

    @cache
    def split(task: str, backbone: str, fold: int, seed: int) -> Split:
        return split_dataset(datasets[task, backbone], fold, seed)

    write_collected(
        folder,
        records,
        ledger,
        crystals,
        lambda row: split(row.task, row.backbone, row.fold, row.seed),
    )
    on = SELECTED_BY[config.select_on]
    actors = max(1, cluster.worker_slots(1, 0))
    sums, keys = sum_distances(FinishedRun(folder).embeddings, ledger, on, actors)
    made_from = {LEDGER: digest_of(ledger)}
    write_distances(folder, sums, made_from)
    for path in write_tables(folder, sums, keys, ledger, on, made_from):
        print(path)
    print(write_report(folder))
