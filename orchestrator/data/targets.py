"""The targets of a grid's data sets: of what kind they are, and classes in place of two numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import MappingProxyType

import numpy as np

from orchestrator.data.featurise import Featurised
from trainables.crystals.crystal import BadCrystal
from trainables.crystals.sources import Source
from trainables.crystals.sources.base import TENSOR
from trainables.crystals.targets import read_target
from trainables.representations.dataset import Dataset
from trainables.targets.base import Target
from trainables.targets.kinds import tensor_of

Datasets = Mapping[tuple[str, str], Dataset]


def target_of(source: Source, data: Featurised | None = None) -> Target:
    """The target of a data set.

    Args:
        data: tells whether numbers have two values alone, which are classes then; None if the data
            set is not featurised yet.
    """
    kind = source.cells.kind
    if kind == "scalar" and data is not None and len(data.values) == 2:
        kind = "binary"
    unit = None if kind == "binary" else source.unit
    return Target(name=source.target_name, unit=unit, kind=kind, shape=source.cells.shape)


def tensor_hint(source: Source) -> str:
    """A line on lists that are as long as a tensor and learned as a spectrum; "" for others."""
    cells, name = source.cells, source.target_name
    if cells.kind != "spectrum":
        return ""
    (length,) = cells.shape
    kind = tensor_of(length)
    if kind is None:
        return ""
    return (
        f"{source.name}: {name} is learned as a spectrum of {length} numbers; if they are a"
        f" tensor, ask for {name}{TENSOR}{kind}"
    )


def targets_of(
    sources: Mapping[str, Source], featurised: Mapping[str, Featurised] = MappingProxyType({})
) -> dict[str, Target]:
    """The target of each data set; see `target_of`."""
    return {name: target_of(source, featurised.get(name)) for name, source in sources.items()}


def class_names(source: Source, data: Featurised) -> list[str]:
    """What the classes 0 and 1 of a data set are called in its file."""
    if source.cells.classes is not None:
        return list(source.cells.classes)
    return [f"{value:g}" for value in data.values]


def classify(
    sources: Mapping[str, Source], featurised: Mapping[str, Featurised], datasets: Datasets
) -> dict[tuple[str, str], Dataset]:
    """The data sets, with classes 0 and 1, and folds stratified by them, where that is the target.

    Raises:
        SourceError: a source with quarantined rows cannot be read again, for their classes.
    """
    found = dict(datasets)
    for task, target in targets_of(sources, featurised).items():
        if target.kind != "binary":
            continue
        data, source = featurised[task], sources[task]
        print(f"{task}: the target has two classes, {' and '.join(class_names(source, data))}")
        own = {name: dataset for name, dataset in datasets.items() if name[0] == task}
        first = next(iter(own.values()))
        classes = _classes_of_all(source, first, max(data.values))
        for name, dataset in own.items():
            target_b = classes[dataset.rows].astype(np.float64)
            found[name] = dataclasses.replace(dataset, target=target_b, classes=classes)
    return found


def _classes_of_all(source: Source, dataset: Dataset, one: float) -> np.ndarray:
    """[total] the class of each row of the source, so that the good ones keep their folds.

    A quarantined row whose class is not known counts to class 0.
    """
    classes = np.zeros(dataset.total, np.int8)
    classes[dataset.rows] = dataset.target == one
    if len(dataset.rows) < dataset.total:
        missing = np.setdiff1d(np.arange(dataset.total), dataset.rows)
        classes[missing] = [value == one for value in _values_at(source, missing)]
    return classes


def _values_at(source: Source, rows: np.ndarray) -> Iterable[float]:
    wanted = dict.fromkeys(rows.tolist(), np.nan)
    for entry in source.entries():
        if entry.row in wanted:
            with suppress(BadCrystal):
                wanted[entry.row] = read_target(entry.target)
    return wanted.values()
