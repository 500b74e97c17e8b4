"""Withholds crystals from all models of a grid, so that its tables can be tested on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from orchestrator.data.featurise import Featurised
from orchestrator.data.formula_list import digest_of
from orchestrator.interface.errors import UsageError
from orchestrator.runs import sums
from orchestrator.runs.finished_files import read_sealed, reading, verify
from orchestrator.runs.finished_run import JOB
from orchestrator.runs.layout import MANIFEST
from trainables.compositions.formulas import by_crystal
from trainables.representations import shards
from trainables.representations.dataset import Dataset

FILE = "without.txt"  # in the run directory


def contents_of(folder: Path) -> tuple[shards.Contents, np.ndarray]:
    """What a folder of shards contains, and the reduced formulas of its crystals [B].

    Raises:
        UsageError: the shards are damaged.
    """
    try:
        held = shards.load_contents(folder)
    except ValueError as error:
        raise UsageError(str(error)) from None
    formulas = np.full(len(held.rows), "", dtype=object)
    for crystal, formula in by_crystal(held.z, held.multiplicity, held.crystal):
        formulas[crystal] = formula
    return held, formulas


def withhold(
    run: Path,
    formulas: Collection[str],
    datasets: Mapping[tuple[str, str], Dataset],
    featurised: Mapping[str, Featurised],
) -> dict[tuple[str, str], Dataset]:
    """Withholds the crystals of these formulas from all data sets; stores the list in the run.

    Raises:
        UsageError: shards are damaged.
    """
    if not formulas:
        return dict(datasets)
    sums.write_text(run, FILE, "\n".join(sorted(formulas)) + "\n")
    hidden: dict[str, np.ndarray] = {}
    for task, data in featurised.items():
        _, own = contents_of(next(iter(data.folders.values())))
        hidden[task] = np.isin(own.astype(str), sorted(formulas))
        print(f"{task}: {int(hidden[task].sum())} crystals are learned from by no model")
    return {
        (task, backbone): dataclasses.replace(dataset, withheld=hidden[task])
        for (task, backbone), dataset in datasets.items()
    }


def withheld_by(run: Path) -> frozenset[str]:
    """The formulas that a run withheld from its models, according to its manifest.

    Raises:
        UsageError: manifest or list are damaged, the list is not that of the manifest, or formulas
            were reduced in another way.
    """
    manifest = read_sealed(run / MANIFEST, JOB)
    with reading(run / MANIFEST, JOB):
        asked = manifest["config"].get("without")
    if asked is None:  # though a list may be there, from before the grid was extended
        return frozenset()
    path = verify(run, FILE, JOB)
    with reading(path, JOB):
        found = frozenset(path.read_text(encoding="utf-8").splitlines())
    if digest_of(found) != asked:
        raise UsageError(
            f"{path}: not the formulas that this grid was trained without, or of an earlier"
            " version, which let models learn from some of them; train it in a new folder"
        )
    return found
