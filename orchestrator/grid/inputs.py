"""Opens, featurises, loads and checks the data sets of a grid."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.data.datasets import resolve
from orchestrator.data.featurise import QUARANTINE, Featurised, featurise_source, folder_of
from orchestrator.data.streaming import open_streamed
from orchestrator.data.targets import class_names, target_of, tensor_hint
from orchestrator.grid.config import GridConfig
from orchestrator.interface.errors import UsageError
from orchestrator.runs.run_directory import slug
from trainables.crystals.sources import Source
from trainables.models.backbones import BACKBONES, BackboneSpec, representations
from trainables.representations import shards
from trainables.representations.columns import Column, Columns, column_of
from trainables.representations.dataset import Dataset
from trainables.representations.sizes import resident_bytes
from trainables.targets.base import Target
from trainables.targets.kinds import kind_of
from trainables.targets.tensor import TensorKind
from trainables.tensors.irreps import FORMS

LEAST_CRYSTALS = 10


def open_sources(
    config: GridConfig, data_dir: Path | None, *, follow_links: bool = False
) -> dict[str, Source]:
    """Opens the data sets of a grid by name, downloading those that are missing.

    A line on stderr says which may be tensors that were not asked for as such.

    Args:
        follow_links: whether the structure files of a folder may be links that lead out of it.

    Raises:
        UsageError: one cannot be found, or two have the same name.
    """
    sources: dict[str, Source] = {}
    for spec in config.tasks:
        source = resolve(spec, data_dir, follow_links=follow_links)
        if slug(source.name) in map(slug, sources):
            raise UsageError(
                f"--tasks {spec}: another data set is called {source.name} too; rename one of them"
            )
        if hint := tensor_hint(source):
            print(f"note: {hint}", file=sys.stderr)
        sources[source.name] = source
    return sources


def featurise_all(
    sources: Mapping[str, Source], config: GridConfig, folder: Path
) -> dict[str, Featurised]:
    """Featurises each source for the grid's backbones, into the run directory `folder`.

    Raises:
        UsageError: a source cannot be read, or too many of its crystals are bad.
    """
    kinds = representations(config.backbones)
    found = {}
    for name, source in sources.items():
        shards_folder = folder_of(folder, name)
        data = featurise_source(
            source,
            kinds,
            shards_folder,
            target=target_of(source),
            max_bad=config.accepted_bad,
            max_atoms=config.max_atoms,
            on_rows=_counter(name, source.count()),
        )
        bad = f", {data.bad} bad ones in {shards_folder / QUARANTINE}" if data.bad else ""
        clear = "\r\033[K" if sys.stderr.isatty() else ""
        print(clear, end="", file=sys.stderr, flush=True)
        print(f"{name}: {data.crystals} crystals{bad}", flush=True)
        found[name] = data
    return found


def _counter(name: str, expected: int | None) -> Callable[[int], None]:
    of = f" of {expected}" if expected else ""

    def show(rows: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{name}: {rows}{of} crystals featurised", end="", file=sys.stderr, flush=True)

    return show


def fingerprint(config: GridConfig, data: Featurised, backbone: str) -> str:
    """The data's part of a model's key."""
    own = data.fingerprints[BACKBONES[backbone].representation.name]
    # Withheld formulas and custom folds make a data set another one.
    return "-".join(filter(None, (own, config.without, data.folds)))


def fingerprints(
    config: GridConfig, featurised: Mapping[str, Featurised]
) -> dict[tuple[str, str], str]:
    """The data's part of each model's key, by (task, backbone)."""
    return {
        (task, backbone): fingerprint(config, data, backbone)
        for task, data in featurised.items()
        for backbone in config.backbones
    }


def describe(
    sources: Mapping[str, Source], featurised: Mapping[str, Featurised]
) -> dict[str, dict[str, Any]]:
    """The manifest's entry of each data set."""
    return {
        name: {
            "target": sources[name].target_name,
            "unit": sources[name].unit,
            "kind": (target := target_of(sources[name], data)).kind,
            **({"classes": class_names(sources[name], data)} if target.kind == "binary" else {}),
            "description": getattr(sources[name], "description", None),
            "crystals": data.crystals,
            "quarantined": data.bad,
            "fingerprints": data.fingerprints,
            **({"folds": data.folds} if data.folds else {}),
        }
        for name, data in featurised.items()
    }


def load_datasets(
    config: GridConfig,
    featurised: Mapping[str, Featurised],
    targets: Mapping[str, Target],
    memory: float = math.inf,
) -> dict[tuple[str, str], Dataset]:
    """Loads the data sets, by (task, backbone).

    Args:
        targets: by task.
        memory: bytes of a data set that a worker may hold; the graphs of a larger one stay in
            the shards, from which workers stream them.

    Raises:
        UsageError: shards are damaged, or a data set cannot give a sensible model.
    """
    _refuse_twins(featurised)
    found: dict[tuple[str, str], Dataset] = {}
    for task, data in featurised.items():
        known = column_of(kind_of(targets[task]))
        try:
            for backbone in config.backbones:
                kind = BACKBONES[backbone].representation
                folder = data.folders[kind.name]
                loaded = _load(f"{task} ({backbone})", folder, kind.columns, known, memory)
                found[task, backbone] = loaded
        except shards.ShardError as error:
            raise UsageError(str(error)) from None
        _check(task, targets[task], data, found[task, config.backbones[0]])
    return found


def _load(name: str, folder: Path, kind: type[Columns], known: Column, memory: float) -> Dataset:
    needed = sum(resident_bytes(kind, one.rows, known) for one in shards.listing(folder, kind))
    if needed <= memory:
        return shards.load(folder, kind, known)
    print(
        f"{name}: {needed / 2**30:.3g} GiB in a worker, more than the {memory / 2**30:.3g} GiB of"
        " --memory-per-worker; it is streamed from its shards"
    )
    return open_streamed(folder, kind, memory, known)


def _refuse_twins(featurised: Mapping[str, Featurised]) -> None:
    first: dict[str, str] = {}
    for task, data in featurised.items():
        fingerprint = min(data.fingerprints.values())
        if first.setdefault(fingerprint, task) != task:
            raise UsageError(
                f"--tasks: {first[fingerprint]} and {task} hold the same crystals and targets;"
                " leave one of them out"
            )


def _check(task: str, target: Target, data: Featurised, dataset: Dataset) -> None:
    if len(dataset) < LEAST_CRYSTALS:
        raise UsageError(f"{task}: {len(dataset)} crystals; five folds need at least 10")
    values = np.unique(dataset.target[np.isfinite(dataset.target)])
    if len(values) < 2:
        raise UsageError(
            f"{task}: the target has only the value {', '.join(f'{v:g}' for v in values)}, of which"
            " nothing is learned; name another column (PATH:TARGET)"
        )
    if target.kind == "scalar" and len(values) == 2:
        folder = next(iter(data.folders.values())).parent
        raise UsageError(
            f"{task}: the target has two values, which are classes; the shards are of an earlier"
            f" version, which knew none: remove {folder} to featurise again"
        )
    if target.kind == "scalar" and len(np.unique(values.astype(np.float32))) <= 2:
        raise UsageError(
            f"{task}: all values of the target lie so close to {values[0]:g} that single precision,"
            " in which models are trained, tells no more than two apart; subtract a constant, or"
            " give it in another unit"
        )


def demand_learnable(config: GridConfig, targets: Mapping[str, Target]) -> None:
    """Raises UsageError for a backbone that cannot learn a data set's target."""
    for task, target in targets.items():
        for backbone in map(BACKBONES.__getitem__, config.backbones):
            if isinstance(kind_of(target), TensorKind):
                _demand_directions(task, target, backbone)
            if not kind_of(target).per_site:
                continue
            where = f"{task}: {target.name} is a number an atom"
            if not backbone.representation.keeps_atoms:
                raise UsageError(
                    f"{where}, and {backbone.name} sees atoms that look alike as one"
                    f" ({backbone.representation.name}); name --backbones whose graphs keep atoms"
                    ", as schnet_atoms"
                )
            if backbone.stacking == "native":
                raise UsageError(
                    f"{where}, and {backbone.name} has a number a crystal; name other --backbones"
                )


def _demand_directions(task: str, target: Target, backbone: BackboneSpec) -> None:
    """Raises UsageError for a tensor without an isotropic part, and a backbone without more."""
    if not FORMS[target.kind].isotropic and not backbone.oriented:
        raise UsageError(
            f"{task}: a {target.kind} tensor has no part without a direction, which is all that"
            f" {backbone.name} could learn; name other --backbones, as tensor"
        )
