"""A small data set in a file that benchmarks accept."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from benchmarks.inputs import Choice, structure_of
from trainables.testing.crystals import named_crystals, triclinic


def choice(folder: Path) -> Choice:
    """Crystals whose atoms have at least twelve neighbours; the targets are their volumes.

    With fewer, the published code pads the list with far-away copies of atom 0.
    """
    named = named_crystals()
    del named["isolated"]
    crystals = [*named.values(), *(triclinic(4, seed, elements=(1, 8)) for seed in range(32))]
    structures = [structure_of(crystal) for crystal in crystals]
    content = {
        "index": [f"crystal-{row}" for row in range(len(structures))],
        "columns": ["structure", "target"],
        "data": [[structure.as_dict(), structure.volume] for structure in structures],
    }
    path = folder / "crystals.json.gz"
    with gzip.open(path, "wt") as file:
        json.dump(content, file)
    return Choice(source=path, fold=0, seed=0, limit=None)
