"""The main job: from crystals to element tables.

elemgrid hybrid_grid --preset demo --run runs/demo
"""

from __future__ import annotations

import dataclasses
import sys
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.data.divided import divide
from orchestrator.data.featurise import Featurised
from orchestrator.data.given_folds import demand_columns, demand_own_folds
from orchestrator.data.targets import classify, targets_of
from orchestrator.data.unseen import elements_of, say_unseen, with_elements
from orchestrator.data.withheld import withhold
from orchestrator.grid.arrays import GridArray, arrays
from orchestrator.grid.cells import Space
from orchestrator.grid.columns import NOTHING, learned_by, with_axes
from orchestrator.grid.config import SELECTED_BY, GridConfig
from orchestrator.grid.distances import sum_distances
from orchestrator.grid.handcrafted import describe_foreign, say_foreign
from orchestrator.grid.inputs import (
    demand_learnable,
    describe,
    featurise_all,
    fingerprints,
    load_datasets,
    open_sources,
)
from orchestrator.grid.parts import conditions_of
from orchestrator.grid.request import Options
from orchestrator.grid.strategies import Search
from orchestrator.hybrid_grid.tables import write_distances, write_tables
from orchestrator.hybrid_grid.tensors import write_tensors
from orchestrator.interface.errors import UsageError
from orchestrator.interface.job import OK
from orchestrator.nodes.place import here
from orchestrator.nodes.worker import Worker
from orchestrator.report.job import write_report
from orchestrator.runs import layout
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.runs.ledger import LEDGER, digest_of, write_collected
from orchestrator.runs.records import DONE, Records
from orchestrator.runs.run_directory import demand_folder, locked, open_manifest, write_manifest
from orchestrator.training.environment import versions
from orchestrator.training.recorded import train_to_ledger
from orchestrator.training.study import Study, graph_networks
from trainables.crystals.condition import Condition
from trainables.crystals.registry import LEADERBOARD
from trainables.crystals.sources import Source, SourceError
from trainables.crystals.split import InnerFold, Split
from trainables.kernels import library
from trainables.models.backbones import representations
from trainables.representations.dataset import Dataset, split_dataset
from trainables.representations.graph import FEATURISER_VERSION
from trainables.representations.shards import FORMAT_VERSION
from trainables.training.specification import TRAINING_VERSION

JOB = "hybrid_grid"


def start(options: Options) -> int:
    """Checks the options and runs the job; returns 0 if all models are done, 1 if some failed."""
    try:
        if options.dry_run:
            from orchestrator.hybrid_grid.plan import print_plan  # here: it needs torch

            demand_folder(options.run)
            print_plan(options)
            return OK
        with locked(options.run) as lease:
            return run(options, lease)
    except SourceError as error:
        raise UsageError(str(error)) from None


def run(options: Options, lease: str, *, finishes: bool = True, reports: bool = True) -> int:
    """Structures → shards → models → distances → tables → report; each step is kept in the run.

    Args:
        finishes: else it ends with the ledger of the models, for a job that will add some.
        reports: else it ends with the tables, for a job that writes the report itself.
    """
    config, folder = options.config, options.run
    open_manifest(folder, JOB, _asked(options), what="grid", extend=options.extend)
    demand_own_folds(options.division, config.tasks)  # before anything is downloaded
    sources = open_sources(config, options.data_dir, follow_links=options.follow_links)
    official = {name: task.n for name, task in LEADERBOARD.items()}
    whole = (name for name in sources if official.get(name) == sources[name].count())
    demand_own_folds(options.division, whole)
    demand_columns(options.division, sources)
    data = {"data": {name: source.digest() for name, source in sources.items()}}
    open_manifest(folder, JOB, data, what="grid", extend=options.extend)
    config = config.model_copy(update={"tasks": tuple(sources)})
    demand_learnable(config, targets_of(sources))
    with here().joined(options.address, options.worker.cpus):
        _announce(options)
        featurised = featurise_all(sources, config, folder)
        targets = targets_of(sources, featurised)
        datasets = load_datasets(config, featurised, targets, _memory(options.worker))
        datasets = classify(sources, featurised, datasets)
        datasets = withhold(folder, options.withheld, datasets, featurised)
        datasets, featurised = divide(folder, options.division, sources, datasets, featurised)
        if config.leave_out:
            datasets = with_elements(datasets, featurised)
        else:
            inner = config.inner_folds is not None
            say_unseen(config.folds, config.seed[0], datasets, featurised, all_learned=inner)
        if options.tables:
            say_foreign(options.tables, elements_of(datasets, featurised))
        conditions = conditions_of(config, datasets)
        keys = fingerprints(config, featurised)
        search = Search(Space(config, targets, keys, conditions))
        planned = search.propose(NOTHING)
        records = Records(folder / layout.RECORDS, lease=lease)
        left = len(planned) - len(records.recorded(cell.key for cell in planned))
        _write_manifest(options, data, sources, featurised, len(planned), works=left > 0)
        return train_to_ledger(
            Study(
                arrays=arrays(planned),
                data=datasets,
                naming=GridArray,
                complete=with_axes,
                make_fit=partial(
                    graph_networks,
                    tables={name: one.table for name, one in options.tables.items()},
                ),
                more=lambda told: arrays(search.propose(told)),
            ),
            records,
            options.worker,
            path=folder / layout.LEDGER,
            finish=partial(_finish, folder, records, datasets, config, reports)
            if finishes
            else _nothing,
            retry_failed=options.retry_failed,
        )


def _announce(options: Options) -> None:
    print(here().ready(options.worker, options.address, options.run))
    if options.worker.device == "cpu" and not library.load():
        print(f"{library.missing()}; models train without them, two to three times slower",
              file=sys.stderr)  # fmt: skip


def _memory(worker: Worker) -> float:
    """Bytes of a data set that a worker may hold."""
    if worker.memory is not None:
        return worker.memory * 2**30
    return here().memory_per_worker(worker.cpus, worker.gpus)


def _asked(options: Options) -> dict[str, Any]:
    """What the models of a run depend on, besides the data."""
    return {
        "config": options.config.model_dump(mode="json"),
        "training_version": TRAINING_VERSION,
        # with the format, on which fingerprints, and so keys of models, depend too
        "featuriser_version": f"{FEATURISER_VERSION}.{FORMAT_VERSION}",
    }


def _write_manifest(
    options: Options,
    data: dict[str, Any],
    sources: dict[str, Source],
    featurised: dict[str, Featurised],
    models: int,
    *,
    works: bool,
) -> None:
    write_manifest(
        options.run,
        {
            **_asked(options),
            **data,
            "datasets": describe(sources, featurised),
            "representations": [
                dataclasses.asdict(kind) for kind in representations(options.config.backbones)
            ],
            "handcrafted": describe_foreign(options.tables),
            "models": models,
            "hardware": here().hardware(),
            "worker": {"cpus": options.worker.cpus, "gpus": options.worker.gpus},
            "versions": versions(),
        },
        works=works,
    )


def _nothing(ledger: pd.DataFrame) -> None:
    """What is made from the ledger is left to a later job."""


def _finish(
    folder: Path,
    records: Records,
    datasets: dict[tuple[str, str], Dataset],
    config: GridConfig,
    reports: bool,
    ledger: pd.DataFrame,
) -> None:
    """Writes distances, tables and, if it reports, the report of the models that are done."""

    if not (ledger["status"] == DONE).any():
        return
    crystals: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {
        name: (dataset.ids, dataset.target) for name, dataset in datasets.items()
    }

    @cache
    def split(
        task: str,
        backbone: str,
        fold: int,
        seed: int,
        condition: Condition,
        inner: InnerFold | None,
    ) -> Split:
        return split_dataset(datasets[task, backbone], fold, seed, condition, inner)

    write_collected(
        folder,
        records,
        ledger,
        crystals,
        lambda row: split(row.task, row.backbone, row.fold, row.seed, *learned_by(row.spec)),
    )
    write_tensors(folder, records, ledger, crystals)
    on = SELECTED_BY[config.select_on]
    sums, keys = sum_distances(FinishedRun(folder).embeddings, ledger, on, here().mapper())
    made_from = {LEDGER: digest_of(ledger)}
    write_distances(folder, sums, made_from)
    for path in write_tables(folder, sums, keys, ledger, on, made_from):
        if reports:
            print(path)
    if reports:
        print(write_report(folder))
