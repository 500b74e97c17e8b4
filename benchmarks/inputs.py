"""The data of a comparison, in the forms that the peers read."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainables.crystals.crystal import Crystal, Entry
from trainables.crystals.parsing import parse, parse_target
from trainables.crystals.sources import open_source
from trainables.crystals.split import split_fold
from trainables.elements import descriptor
from trainables.models.backbones import BACKBONES
from trainables.representations.columns import Columns
from trainables.representations.dataset import Dataset

if TYPE_CHECKING:
    from pymatgen.core import Structure

SPLIT = "split.json"
STRUCTURES = "structures.json.gz"
PUBLISHED = "published"  # folder of what `benchmarks.published_graphs` makes


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which crystals are used, and how they are split.

    Attributes:
        source: a data set as `--tasks` takes it.
        fold, seed: of `split_fold`.
        limit: largest number of crystals, from the start; None for all.
    """

    source: Path
    fold: int
    seed: int
    limit: int | None

    def entries(self) -> Iterator[Entry]:
        return islice(open_source(self.source).entries(), self.limit)


# pymatgen is imported where it is used: a GPU machine reads shards and has none.


def featurised(entries: Iterable[Entry], backbone: str) -> Dataset[Columns]:
    """Featurises entries for a backbone in this process.

    Raises:
        SystemExit: one of them is bad.
    """
    from trainables.representations.featurise import featurise

    listed = list(entries)
    kind = BACKBONES[backbone].representation
    result = featurise(listed, [kind], max_atoms=1000)
    for entry, why in zip(listed, result.reasons, strict=True):
        if why:
            raise SystemExit(f"{entry.id}: {why}")
    ids = [entry.id for entry in listed]
    graphs, names = result.graphs[kind.name], np.array(ids, np.str_)
    return Dataset(graphs, result.target, names, np.arange(len(ids)), len(ids))


def write_cif_folder(choice: Choice, folder: Path) -> int:
    """Writes the published CGCNN's input: a CIF per crystal, `id_prop.csv` and `atom_init.json`.

    The element vectors are ours, so that both sides start from the same ones.

    Returns:
        Number of crystals.
    """
    from pymatgen.io.cif import CifWriter

    rows: list[tuple[str, float]] = []
    for entry in choice.entries():
        rows.append((entry.id, parse_target(entry)))
        CifWriter(structure_of(parse(entry))).write_file(folder / f"{entry.id}.cif")
    with (folder / "id_prop.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    table = descriptor.load()
    vectors = {str(z): table[z].tolist() for z in range(1, len(table))}
    (folder / "atom_init.json").write_text(json.dumps(vectors))
    write_split([name for name, _ in rows], choice, folder)
    return len(rows)


def write_structures(choice: Choice, folder: Path) -> int:
    """Writes `structures.json.gz` in MatBench's format, for our reader and a peer's script.

    Returns:
        Number of crystals.
    """
    ids: list[str] = []
    rows: list[tuple[dict[str, Any], float]] = []
    for entry in choice.entries():
        ids.append(entry.id)
        rows.append((structure_of(parse(entry)).as_dict(), parse_target(entry)))
    content = {"index": ids, "columns": ["structure", "target"], "data": rows}
    with gzip.open(folder / STRUCTURES, "wt") as file:
        json.dump(content, file)
    write_split(ids, choice, folder)
    return len(rows)


def write_split(ids: list[str], choice: Choice, folder: Path) -> None:
    """Writes `split.json`: the ids of the three parts, which are the same on both sides.

    The comparisons use no data set with bad crystals, so rows are positions in the source.
    """
    split = split_fold(np.arange(len(ids)), len(ids), choice.fold, choice.seed)
    parts = {
        "train": split.train,
        "validation": split.validation,
        "test": split.test,
    }
    names = {part: [ids[row] for row in rows] for part, rows in parts.items()}
    (folder / SPLIT).write_text(json.dumps(names))


def structure_of(crystal: Crystal) -> Structure:
    """Converts a crystal to a pymatgen Structure."""
    from pymatgen.core import Structure

    return Structure(crystal.lattice, crystal.numbers.tolist(), crystal.frac)
