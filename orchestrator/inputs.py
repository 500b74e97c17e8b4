"""Featurised data sets, loaded and looked at: can this grid be trained on them?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from orchestrator.config import GridConfig
from orchestrator.errors import UsageError
from orchestrator.featurize import Featurized
from trainables.crystals import shards
from trainables.crystals.dataset import Dataset
from trainables.crystals.graph import GRAPH_KINDS
from trainables.training.split import split_fold

LEAST_CRYSTALS = 10


def load_datasets(
    config: GridConfig, featurized: Mapping[str, Featurized]
) -> dict[tuple[str, str], Dataset]:
    """The data sets by (task, backbone).

    Raises:
        UsageError: shards are damaged, or no sensible model can come of a data set.
    """
    _refuse_twins(featurized)
    found: dict[tuple[str, str], Dataset] = {}
    for task, data in featurized.items():
        try:
            for backbone in config.backbones:
                folder = data.folders[GRAPH_KINDS[backbone].name]
                found[task, backbone] = shards.load(folder)
        except shards.ShardError as error:
            raise UsageError(str(error)) from None
        _check(task, found[task, config.backbones[0]], config)
    return found


def _refuse_twins(featurized: Mapping[str, Featurized]) -> None:
    first: dict[str, str] = {}
    for task, data in featurized.items():
        fingerprint = min(data.fingerprints.values())
        if first.setdefault(fingerprint, task) != task:
            raise UsageError(
                f"--tasks: {first[fingerprint]} and {task} hold the same crystals and targets;"
                " leave one of them out"
            )


def _check(task: str, dataset: Dataset, config: GridConfig) -> None:
    if len(dataset) < LEAST_CRYSTALS:
        raise UsageError(f"{task}: {len(dataset)} crystals; five folds need at least 10")
    values = np.unique(dataset.target)
    if len(values) <= 2:
        raise UsageError(
            f"{task}: the target has only the values {', '.join(f'{v:g}' for v in values)};"
            " hybrid_grid trains regressions, so name a target column of numbers (PATH:TARGET)"
        )
    for fold in config.folds:
        split = split_fold(dataset.rows, dataset.total, fold, config.seed)
        sizes = [len(part) for part in (split.train, split.validation, split.test)]
        if not all(sizes):
            # Whole parts are quarantined: only a high --max-bad leads here.
            raise UsageError(
                f"{task}: of fold {fold}, {sizes[0]} training, {sizes[1]} validation and"
                f" {sizes[2]} test crystals are good; name other --folds, or mend the bad crystals"
            )
