"""Mines replaceability from any data set of crystals: eq. 3.1 as one group-by on Ray Data.

Each crystal gives one row per element: the slot (the crystal's prototype with that element's name
left open) and the element. Crystals that differ in one element share a slot.
"""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import ray
from ray.data.aggregate import Unique

from orchestrator.data.entries import EntryBlocks
from orchestrator.interface.errors import UsageError
from trainables.crystals.checks import check
from trainables.crystals.crystal import BadCrystal, Entry
from trainables.crystals.parsing import parse
from trainables.crystals.sources import Source
from trainables.crystals.symbols import MAX_Z
from trainables.crystals.wyckoff import find_prototype

PARTS_PER_CPU = 4


def mine(source: Source, max_bad: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Counts of replacements [119, 119] and of crystals with an element [119], by atomic number.

    Crystals with the same elements in the same prototype are one material, and count once.

    Raises:
        UsageError: the source cannot be read, too many crystals are bad, or no two crystals differ
            in exactly one element.
    """
    slots = _slots(source, max_bad)
    counts = np.zeros((MAX_Z + 1, MAX_Z + 1), dtype=np.int64)
    if len(slots):
        for row in _elements_by_slot(slots):
            elements = np.array(row["elements"])
            counts[np.ix_(elements, elements)] += 1
    # A slot with one of its elements is one material, so the diagonal counts materials.
    occurrences = np.diagonal(counts).copy()
    np.fill_diagonal(counts, 0)
    if not counts.any():
        raise UsageError(
            f"--mine {source.name}: no two crystals of one prototype differ in one element only;"
            " a scale needs a larger or denser data set"
        )
    return counts, occurrences


def _slots(source: Source, max_bad: float | None) -> pa.Table:
    """Columns slot and element, one row for each element of each crystal."""
    tables = []
    for block in EntryBlocks(source, _slots_of, max_bad):
        rows = json.loads(block.made["slots"])
        tables.append(pa.table({"slot": [s for s, _ in rows], "element": [z for _, z in rows]}))
    return pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})


def _slots_of(entries: list[Entry]) -> tuple[list[str], dict[str, bytes]]:
    """Why each entry is bad, or "", and the others' rows of (slot, element) pairs."""
    reasons, made = [], []
    for entry in entries:
        try:
            crystal = parse(entry)
            check(crystal)
            slots = find_prototype(crystal).slots()
        except BadCrystal as bad:
            reasons.append(str(bad))
        else:
            reasons.append("")
            made += [(slot, z) for z, slot in slots.items()]
    return reasons, {"slots": json.dumps(made).encode()}


def _elements_by_slot(slots: pa.Table) -> list[dict[str, list[int]]]:
    """The distinct elements of each slot."""
    dataset = ray.data.from_arrow(slots)
    dataset.context.enable_progress_bars = dataset.context.print_on_execution_start = False
    # By default, Ray Data uses 200 partitions, each a task: a few rows each for most data sets.
    parts = PARTS_PER_CPU * max(1, int(ray.cluster_resources().get("CPU", 1)))
    groups = dataset.groupby("slot", num_partitions=parts)
    return list(groups.aggregate(Unique("element", alias_name="elements")).iter_rows())
