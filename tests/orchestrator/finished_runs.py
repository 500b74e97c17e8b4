"""Run directories as hybrid_grid leaves them, made without Ray."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis import cosine
from analysis.selection import strategies
from orchestrator.data.shard_writer import ShardWriter
from orchestrator.grid.arrays import arrays
from orchestrator.grid.columns import learned_by, with_axes
from orchestrator.grid.distances import mixed_vectors
from orchestrator.grid.request import build_config
from orchestrator.hybrid_grid.tables import write_distances
from orchestrator.runs import sums
from orchestrator.runs.ledger import LEDGER, compile_ledger, digest_of, write_collected
from orchestrator.runs.records import Records
from orchestrator.runs.run_directory import write_manifest
from tests.orchestrator.small_data import ENERGY, cells_of
from trainables.crystals.split import Split
from trainables.models.backbones import BACKBONES
from trainables.representations import shards
from trainables.representations.dataset import Dataset, split_dataset
from trainables.targets.base import Target
from trainables.testing.samples import made_up_dataset
from trainables.training.fit import fit


def make_run(
    folder: Path,
    *,
    task: str = "salts",
    failed: Sequence[str] = (),
    error: str = "",
    target: Target = ENERGY,
    **changes: Any,
) -> Path:
    """A run directory as the job leaves it, but without tables; `failed` mixings are not done."""
    config = build_config(
        "demo", {"tasks": (task,), "folds": (0, 1), "dims": (4, 6), "epochs": 2, **changes}
    )
    data = {name: learning(made_up_dataset(name, 30), target) for name in config.backbones}
    cells = cells_of(config, target=target)
    folder.mkdir(parents=True, exist_ok=True)
    records = Records(folder / "records")
    for array in arrays(cells):
        for outcome in fit(array.spec, data[array.spec.backbone]):
            member = outcome.history.member
            row = array.row(member.label)
            if member.label in failed:
                records.write({**row, "status": "failed", "error": error}, {})
                continue
            done = {
                "status": "done", "epochs": 2, "best_epoch": outcome.history.best_epoch,
                "seconds": 0.25, "device": "cpu", "kernels": "none", "threads": 1, "error": "",
                "scores": json.dumps(outcome.scores),
            }  # fmt: skip
            records.write({**row, **done, **outcome.metrics, **outcome.sizes}, outcome.arrays)
    ledger = with_axes(compile_ledger(records, {cell.key: cell.task for cell in cells}))
    sums.write_parquet(folder, "ledger.parquet", ledger)
    finish(folder, records, ledger, {(task, name): data[name] for name in data})
    write_manifest(
        folder,
        {
            "created": "2031-05-06T07:08:09+00:00",
            "config": config.model_dump(mode="json"),
            "datasets": {
                task: {"unit": "eV", "description": f"What {task} is.", "kind": target.kind}
            },
            "models": len(cells),
            "training_version": 1,
            "hardware": {
                "nodes": 1, "cpus": 2.0, "gpus": 0, "memory_gib": 7.5, "processor": "Abacus 3000",
            },
            "versions": {"torch": "2.x", "ray": "2.y"},
        },
    )  # fmt: skip
    return folder


def write_shards(run: Path, crystals: int, task: str = "salts") -> Path:
    """Adds the shards of a run of `make_run`; returns the run."""
    config = json.loads((run / "manifest.json").read_text())["config"]
    for name in config["backbones"]:
        kind, data = BACKBONES[name].representation, made_up_dataset(name, crystals)
        folder = run / "shards" / task / kind.name
        folder.mkdir(parents=True)
        writer = ShardWriter(folder, kind.columns)
        for part in np.array_split(np.arange(crystals), 3):
            ids = data.ids[part].tolist()
            graphs = data.graphs.take(part)
            writer.add(shards.to_table(ids, data.rows[part], data.target[part], graphs))
        writer.close({"made_from": {"source": "here"}, "total": crystals, "bad": 0})
    return run


def learning(dataset: Dataset, target: Target) -> Dataset:
    """The data set with targets of that kind, which its numbers determine."""
    number = dataset.target
    if target.kind == "binary":
        classes = (number > np.median(number)).astype(np.int8)
        return dataclasses.replace(dataset, target=classes.astype(float), classes=classes)
    if target.shape:
        several = np.outer(number, np.linspace(-1, 2, *target.shape))
        several[::3, 0] = np.nan
        return dataclasses.replace(dataset, target=several)
    return dataset


def finish(folder: Path, records: Records, ledger: pa.Table, data: dict[Any, Any]) -> None:
    frame = ledger.to_pandas()
    done = frame[frame["status"] == "done"]
    if done.empty:
        return

    def split(row: Any) -> Split:
        part = learned_by(row.spec)
        return split_dataset(data[row.task, row.backbone], row.fold, row.seed, *part)

    crystals = {name: (found.ids, found.target) for name, found in data.items()}
    write_collected(folder, records, frame, crystals, split)
    vectors = mixed_vectors(folder / "embeddings.parquet", done["key"].tolist())
    chosen = {name: keys for name, keys in strategies(frame).items() if keys}
    write_distances(
        folder,
        {
            name: cosine.aggregate(lambda chunk: [vectors[key] for key in chunk], keys)
            for name, keys in chosen.items()
        },
        {LEDGER: digest_of(frame)},
    )


def replace_parquet(run: Path, name: str, frame: pd.DataFrame) -> None:
    """Replaces a table, as the job that writes it would."""
    before = sums.made_from(pq.read_schema(run / name))
    table = pa.Table.from_pandas(frame, preserve_index=False)
    sums.write_parquet(run, name, table, before)


def change_config(run: Path, **changes: Any) -> None:
    """Changes the configuration in the manifest of a run."""
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["config"] |= changes
    write_manifest(run, manifest)
