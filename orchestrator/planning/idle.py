"""Measures the bytes of a worker that holds no data: `python -m orchestrator.planning.idle`.

It does once, on ten crystals of one atom, what a worker does, so that everything that torch and
other libraries load on first use is loaded; its data and models are negligible.
"""

from __future__ import annotations

import resource

import numpy as np
import torch

import orchestrator.training.trials  # noqa: F401  # as in a worker
from orchestrator.nodes.place import here
from trainables.models.recipe import Recipe
from trainables.representations.dataset import Dataset
from trainables.representations.graph import Graphs
from trainables.training.fit import fit
from trainables.training.specification import ArraySpec

CRYSTALS = 10


def main() -> None:
    """Prints the largest resident size of this process."""
    torch.set_num_threads(1)
    if here().is_ray:
        import orchestrator.training.tuning  # noqa: F401  # as in one of Ray
    one, none = np.ones(CRYSTALS, np.int32), np.zeros(CRYSTALS, np.int32)
    graphs = Graphs(
        node_ptr=np.arange(CRYSTALS + 1),
        edge_ptr=np.arange(CRYSTALS + 1),
        z=one.astype(np.uint8),
        multiplicity=one,
        dst=none,
        src=none,
        distance=2500 * one,
        count=one,
    )
    rows = np.arange(CRYSTALS)
    data = Dataset(graphs, rows.astype(np.float64), rows.astype(np.str_), rows, CRYSTALS)
    recipe = Recipe(name="tuned", optimiser="adamw", lr=1e-3, epochs=1)
    fit(ArraySpec(backbone="cgcnn", dim=4, mixings={"0": ""}, fold=0, seed=0, recipe=recipe), data)
    print(peak())


def peak() -> int:
    """The largest resident size of this process so far, in bytes."""
    try:
        with open("/proc/self/status") as file:
            (line,) = (line for line in file if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    except OSError:  # not Linux; `getrusage` also counts the parent's resident size
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
