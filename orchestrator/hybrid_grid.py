"""The main job: from crystals to tables of the elements.

python -m orchestrator.hybrid_grid --preset demo --run runs/demo
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.data.featurize import Featurized
from orchestrator.data.inputs import (
    describe,
    featurize_all,
    fingerprints,
    load_datasets,
    open_sources,
)
from orchestrator.data.withheld import withhold
from orchestrator.grid.cells import Cell, arrays, keyed_cells
from orchestrator.grid.config import GridConfig
from orchestrator.grid.distances import sum_distances
from orchestrator.grid.flags import Options, parse
from orchestrator.grid.plan import print_plan
from orchestrator.grid.tables import write_distances, write_tables
from orchestrator.interface.job import INTERRUPTED, OK, SOME_FAILED, conduct
from orchestrator.interface.wording import duration, why
from orchestrator.nodes import cluster, preflight
from orchestrator.report import write_report
from orchestrator.runs import durable
from orchestrator.runs.ledger import compile_ledger, write_collected
from orchestrator.runs.records import DONE, FAILED, LedgerError, Records, until_sound
from orchestrator.runs.run_directory import (
    demand_folder,
    locked,
    open_manifest,
    write_manifest,
)
from orchestrator.training.train import train
from orchestrator.training.trials import versions
from orchestrator.training.worker import Worker
from trainables.crystals.dataset import Dataset
from trainables.crystals.featurise import FEATURISER_VERSION
from trainables.crystals.sources import Source, SourceError
from trainables.kernels import library
from trainables.training.fit import TRAINING_VERSION

JOB = "hybrid_grid"
LISTED = 20  # arrays with failed models that the summary names


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
    with locked(options.run):
        return run(options)


def run(options: Options) -> int:
    """Structures → shards → models → distances → tables → report, each step kept in the run."""
    config, folder = options.config, options.run
    open_manifest(folder, JOB, _asked(options), what="grid", extend=options.extend)
    sources = open_sources(config, options.data_dir)
    data = {"data": {name: source.digest() for name, source in sources.items()}}
    open_manifest(folder, JOB, data, what="grid", extend=options.extend)
    config = config.model_copy(update={"tasks": tuple(sources)})
    with cluster.connected(options.address, options.worker.cpus):
        _announce(options)
        featurized = featurize_all(sources, config, folder)
        datasets = load_datasets(config, featurized, _memory(options.worker))
        datasets = withhold(folder, options.withheld, datasets, featurized)
        cells = keyed_cells(config, fingerprints(config, featurized))
        _write_manifest(options, data, sources, featurized, len(cells))
        records, keys = Records(folder / "records"), [key for _, key in cells]
        if options.retry_failed:
            until_sound(records, keys, lambda: records.forget_failed(keys))
        targets = {name: (source.target_name, source.unit) for name, source in sources.items()}

        def train_and_conclude() -> int:
            finished = train(arrays(cells), datasets, targets, records, options.worker)
            ledger = _write_ledger(folder, records, cells)
            if not finished:
                print(f"\nstopped with {len(ledger)} of {len(cells)} models recorded;"
                      " the same command goes on from here", file=sys.stderr)  # fmt: skip
                return INTERRUPTED
            _conclude(folder, records, ledger, datasets, config)
            return _summarise(folder, ledger)

        return until_sound(records, keys, train_and_conclude)


def _announce(options: Options) -> None:
    slots = preflight.ready(options.worker, options.address, options.run)
    where = cluster.dashboard()
    print(f"Ray: {slots} workers at a time" + (f", dashboard {where}" if where else ""))
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
) -> None:
    write_manifest(
        options.run,
        {
            **_asked(options),
            **data,
            "datasets": describe(sources, featurized),
            "models": models,
            "hardware": cluster.hardware(),
            "worker": {"cpus": options.worker.cpus, "gpus": options.worker.gpus},
            "versions": versions(),
        },
    )


def _write_ledger(folder: Path, records: Records, cells: list[tuple[Cell, str]]) -> pd.DataFrame:
    table = compile_ledger(records, {key: cell.task for cell, key in cells})
    durable.write_parquet(folder / "ledger.parquet", table)
    return table.to_pandas()


def _conclude(
    folder: Path,
    records: Records,
    ledger: pd.DataFrame,
    datasets: dict[tuple[str, str], Dataset],
    config: GridConfig,
) -> None:
    """Distances, tables and report of the models that are done."""
    done = ledger[ledger["status"] == DONE]
    if done.empty:
        return
    crystals: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {
        name: (dataset.ids, dataset.target) for name, dataset in datasets.items()
    }
    write_collected(folder, records, done, crystals)
    on = {"validation": "val_mae", "test": "test_mae"}[config.select_on]
    actors = max(1, cluster.worker_slots(1, 0))
    sums, keys = sum_distances(folder, ledger, on, actors)
    write_distances(folder, sums)
    for path in write_tables(folder, sums, keys, ledger, on):
        print(path)
    print(write_report(folder))


def _summarise(folder: Path, ledger: pd.DataFrame) -> int:
    counts = ledger["status"].value_counts()
    seconds = ledger["seconds"].sum()
    print(f"{counts.get(DONE, 0)} models done in {duration(seconds)} of training: {folder}")
    bad = ledger[ledger["status"] != DONE]
    if bad.empty:
        return OK
    reasons = [why({"error": error}) for error in bad["error"]]
    alike = bad.assign(reason=reasons).groupby(["status", "array", "reason"], sort=False)["mixing"]
    for (status, array, reason), mixings in islice(alike, LISTED):
        print(f"  {status}: {array} {' '.join(mixings)}: {reason}", file=sys.stderr)
    if len(alike) > LISTED:
        print(f"  … and {len(alike) - LISTED} arrays more; all are in the report", file=sys.stderr)
    again = "--retry-failed trains the failed ones again"
    # The same seed diverges again.
    hint = again if FAILED in counts else "other data, or another --recipe or --seed, may mend it"
    print(f"{len(bad)} of {len(ledger)} models are not done; {hint}", file=sys.stderr)
    return SOME_FAILED


if __name__ == "__main__":
    sys.exit(main())
