"""The elements of data sets, and test crystals with some that their models never trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from trainables.crystals.symbols import symbol
from trainables.representations import shards
from trainables.representations.columns import Columns
from trainables.representations.dataset import Dataset, element_matrix, split_dataset

if TYPE_CHECKING:
    from orchestrator.data.featurise import Featurised


def say_unseen(
    folds: Sequence[int],
    seed: int,
    datasets: Mapping[tuple[str, str], Dataset],
    featurised: Mapping[str, Featurised],
    *,
    all_learned: bool = False,
) -> None:
    """Prints a line for each data set with a fold that tests crystals of elements not trained on.

    Their predictions are kept, as the leaderboard needs one for each crystal, but rest on an
    untrained element vector.

    Args:
        all_learned: whether each crystal outside the test part trains some model, as with inner
            folds.
    """
    for task, data in featurised.items():
        dataset = next(one for (name, _), one in datasets.items() if name == task)
        z, owner = _nodes(dataset, data)
        counted, named = 0, {}
        for fold in folds:
            split = split_dataset(dataset, fold, seed)
            learned = split.learned if all_learned else split.train
            strange = ~np.isin(z, np.unique(z[np.isin(owner, learned)]))
            strange &= np.isin(owner, split.test)
            if strange.any():
                counted += len(np.unique(owner[strange]))
                named[fold] = " ".join(map(symbol, np.unique(z[strange]).tolist()))
        if counted:
            where = "; ".join(f"fold {fold}: {names}" for fold, names in named.items())
            crystals = "1 test crystal has" if counted == 1 else f"{counted} test crystals have"
            print(
                f"{task}: {crystals} an element that no training crystal of the fold has ({where})"
            )


def elements_of(
    datasets: Mapping[tuple[str, str], Dataset], featurised: Mapping[str, Featurised]
) -> list[int]:
    """Atomic numbers of all elements in some data sets, ascending.

    Args:
        datasets: by (task, backbone).
        featurised: by task.
    """
    of_task = {task: dataset for (task, _), dataset in datasets.items()}
    found = [np.unique(_nodes(one, featurised[task])[0]) for task, one in of_task.items()]
    return [int(z) for z in np.unique(np.concatenate(found))]


def with_elements(
    datasets: Mapping[tuple[str, str], Dataset], featurised: Mapping[str, Featurised]
) -> dict[tuple[str, str], Dataset]:
    """The data sets with the elements of each crystal, which those that are streamed lack."""
    found = {}
    for (task, backbone), dataset in datasets.items():
        z, crystal = _nodes(dataset, featurised[task])
        elements = element_matrix(z, crystal, len(dataset))
        found[task, backbone] = dataclasses.replace(dataset, elements=elements)
    return found


def _nodes(dataset: Dataset, data: Featurised) -> tuple[np.ndarray, np.ndarray]:
    """Atomic number and crystal of each node."""
    if isinstance(dataset.graphs, Columns):
        return dataset.graphs.z, dataset.graphs.node_crystal
    held = shards.load_contents(next(iter(data.folders.values())))
    return held.z, held.crystal
