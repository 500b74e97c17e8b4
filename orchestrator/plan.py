"""`--dry-run`: the cells of a grid, what is done of them, and how long the rest may take."""

from __future__ import annotations

import dataclasses
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from orchestrator.config import GridConfig
from orchestrator.datasets import is_here
from orchestrator.featurize import featurized_before
from orchestrator.flags import Options
from orchestrator.grid import Cell, GridArray, arrays, cells
from orchestrator.inputs import open_sources
from orchestrator.ledger import Records
from orchestrator.progress import duration
from orchestrator.run_directory import slug
from trainables.crystals import shards
from trainables.crystals.dataset import Dataset
from trainables.crystals.featurise import featurise
from trainables.crystals.graph import GRAPH_KINDS
from trainables.crystals.registry import TASKS
from trainables.crystals.sources import Source
from trainables.training.fit import ArrayFit

SAMPLE = 400  # crystals that stand for a data set
SAMPLE_EPOCHS = 2


def print_plan(options: Options) -> None:
    """Prints one line an array: its models, how many are recorded, and the time for the others."""
    specs = options.config.tasks
    absent = [spec for spec in specs if not is_here(spec, options.data_dir)]
    here = tuple(spec for spec in specs if spec not in absent)
    sources = open_sources(options.config.model_copy(update={"tasks": here}), options.data_dir)
    name_of = dict(zip(here, sources, strict=True))
    names = tuple(name_of.get(spec, spec) for spec in specs)
    config = options.config.model_copy(update={"tasks": names})
    fingerprints = _fingerprints(config, sources, options.run)
    keyed = [(cell, _key(cell, fingerprints)) for cell in cells(config)]
    recorded = Records(options.run / "records").recorded(key for _, key in keyed)
    planned = arrays(keyed)
    missing = [array for array in planned if not recorded.issuperset(array.spec.mixings.values())]
    seconds = _seconds_an_epoch(config, sources, missing)
    print(f"{len(keyed)} models in {len(planned)} arrays; {len(recorded)} are recorded")
    left = 0.0
    unknown = 0
    for array in planned:
        done = sum(key in recorded for key in array.spec.mixings.values())
        share = 1 - done / len(array.spec.mixings)
        each = seconds.get(_measured(array))
        time_left = (each or 0.0) * array.spec.recipe.epochs * share
        left += time_left
        unknown += share > 0 and each is None
        time_text = f"  {duration(time_left)}" if time_left else ""
        print(
            f"  {array.id:<40} {' '.join(array.spec.mixings):<22}"
            f" {done}/{len(array.spec.mixings)} done{time_text}"
        )
    _print_estimate(options, left, unknown)
    for spec in absent:
        print(f"{spec}: {TASKS[spec.removeprefix('matbench_')].n} crystals, to be downloaded")


def _print_estimate(options: Options, left: float, unknown: int) -> None:
    workers = max(1, int((os.cpu_count() or 1) / options.worker.cpus))
    if left:
        print(
            f"about {duration(left / workers)} of training on this machine's {workers} workers, if"
            " every model goes to its last epoch (measured on a sample, on CPUs)"
        )
    elif not unknown:
        print("nothing is left to train")
    if unknown:
        print(f"no estimate for {unknown} arrays whose data is not here")


def _fingerprints(
    config: GridConfig, sources: Mapping[str, Source], run: Path
) -> dict[tuple[str, str], str]:
    """By (task, backbone), of the data that has been featurised into this run."""
    found: dict[tuple[str, str], str] = {}
    for name, source in sources.items():
        folder = run / "shards" / slug(source.name)
        for backbone in config.backbones:
            kind = GRAPH_KINDS[backbone]
            data = featurized_before(source, [kind], folder, max_atoms=config.max_atoms)
            if data is not None:
                found[name, backbone] = data.fingerprints[kind.name]
    return found


def _key(cell: Cell, fingerprints: Mapping[tuple[str, str], str]) -> str:
    """The cell's key if its data has been featurised into this run, else one that no record has."""
    fingerprint = fingerprints.get((cell.task, cell.backbone))
    return f"{cell.task} {cell.key('')}" if fingerprint is None else cell.key(fingerprint)


def _measured(array: GridArray) -> tuple[str, str, int]:
    """What arrays have in common whose epochs last equally long."""
    return array.task, array.spec.backbone, array.spec.dim


def _seconds_an_epoch(
    config: GridConfig, sources: Mapping[str, Source], missing: Sequence[GridArray]
) -> dict[tuple[str, str, int], float]:
    """Measured seconds of an array's epoch by `_measured`, scaled to the whole data."""
    found: dict[tuple[str, str, int], float] = {}
    for task, source in sources.items():
        todo = {_measured(array): array for array in missing if array.task == task}
        if not todo:
            continue
        samples, scale = _sample(config, source)
        for name, array in todo.items():
            dataset = samples[array.spec.backbone]
            if len(dataset) >= 10:
                found[name] = _time_epoch(array, dataset) * scale
    return found


def _sample(config: GridConfig, source: Source) -> tuple[dict[str, Dataset], float]:
    """The first crystals of a source by backbone, and how many times more there are."""
    entries = list(islice(source.entries(), SAMPLE))
    kinds = [GRAPH_KINDS[backbone] for backbone in config.backbones]
    result = featurise(entries, kinds, config.max_atoms)
    good = [entry for entry, why in zip(entries, result.reasons, strict=True) if not why]
    count = Counter(result.reasons)[""]
    total = source.count() or count
    samples: dict[str, Dataset] = {}
    for backbone, kind in zip(config.backbones, kinds, strict=True):
        rows = range(count)
        table = shards.to_table(
            [entry.id for entry in good], rows, result.target, result.graphs[kind.name]
        )
        samples[backbone] = shards.from_table(table, count)
    return samples, total / max(1, count)


def _time_epoch(array: GridArray, dataset: Dataset) -> float:
    spec = dataclasses.replace(
        array.spec, mixings={name: name for name in array.spec.mixings}, fold=0
    )
    fit = ArrayFit(spec, dataset)
    fit.training.run_epoch()  # the first epoch pays for what later ones find ready
    start = time.perf_counter()
    for _ in range(SAMPLE_EPOCHS):
        fit.training.run_epoch()
    return (time.perf_counter() - start) / SAMPLE_EPOCHS
