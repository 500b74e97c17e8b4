"""The handcrafted tables of a grid: built-in ones, files, and published ones by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.interface.errors import UsageError
from orchestrator.interface.format import counted
from orchestrator.runs import layout
from trainables.crystals.symbols import SYMBOLS, symbol
from trainables.elements import handcrafted
from trainables.models.mixing import Mixing

if TYPE_CHECKING:  # imports pandas, which a command line does without
    from orchestrator.runs.finished_run import FinishedRun

FLAG = "--handcrafted"


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A table that is not built in.

    Attributes:
        table: [119, C] float32, as models get it.
        seen: [118] bool, elements that the table itself has; the rest were filled in.
        columns: number of columns before constant ones were left out.
    """

    table: np.ndarray
    seen: np.ndarray
    columns: int

    @property
    def filled(self) -> list[str]:
        """Symbols of the elements that the table lacks."""
        return [SYMBOLS[z + 1] for z in np.flatnonzero(~self.seen)]


def read_foreign(specs: Sequence[str]) -> tuple[tuple[str, ...], dict[str, Foreign]]:
    """Reads the tables that are not built in.

    Args:
        specs: names of built-in, shipped or published tables, FILE, or NAME=FILE.

    Returns:
        The name of each table, in order; and those that are not built in, by name.

    Raises:
        UsageError: one is neither a table nor a file, is malformed, or has no column that varies.
    """
    names: list[str] = []
    found: dict[str, Foreign] = {}
    for spec in specs:
        if spec in handcrafted.BUILT_IN:
            names.append(spec)
            continue
        from orchestrator.data.element_tables import read_table  # here, as it takes a second

        read = read_table(spec, FLAG, built_in=tuple(handcrafted.BUILT_IN))
        try:
            table = handcrafted.standardised(read.vectors, read.seen)
        except ValueError as error:
            raise UsageError(f"{FLAG} {spec}: {error}") from None
        names.append(handcrafted.named(read.name, table))
        columns = read.vectors.shape[1]
        found[names[-1]] = Foreign(table=table, seen=read.seen, columns=columns)
    return tuple(names), found


def usual_table(run: FinishedRun) -> tuple[str, np.ndarray]:
    """Name and columns [119, C] of the handcrafted table that most models of a run start from."""
    done = run.done
    if "handcrafted" not in done:  # an earlier version, which knew one
        return handcrafted.CGCNN92, handcrafted.table_of(handcrafted.CGCNN92)
    rows = done[[Mixing(label).has_handcrafted for label in done["mixing"]]]
    if rows.empty:
        return handcrafted.CGCNN92, handcrafted.table_of(handcrafted.CGCNN92)
    name = str(rows["handcrafted"].mode().iloc[0])
    if name in handcrafted.BUILT_IN:
        return name, handcrafted.table_of(name)
    from trainables.training.checkpoint import CheckpointError, read_record  # imports torch

    key = rows.loc[rows["handcrafted"] == name, "key"].iloc[0]
    try:
        _, arrays = read_record(run.folder / layout.RECORDS / f"{key}.safetensors")
    except CheckpointError as error:
        raise UsageError(str(error)) from None
    return name, handcrafted.table_of(name, arrays["handcrafted"].numpy())


def describe_foreign(tables: Mapping[str, Foreign]) -> dict[str, Any]:
    """The manifest's entry of each table."""
    return {
        name: {"columns": int(one.table.shape[1]), "filled": one.filled}
        for name, one in tables.items()
    }


def say_foreign(tables: Mapping[str, Foreign], present: Sequence[int]) -> None:
    """Prints what was done to each table, and what it cannot tell apart.

    Args:
        present: atomic numbers of the elements in the data.
    """
    for name, one in tables.items():
        kept = one.table.shape[1]
        constant = one.columns - kept
        left_out = f", {constant} constant left out" if constant else ""
        said = [f"{counted(kept, 'column')} standardised over {one.seen.sum()} elements{left_out}"]
        if lacking := [symbol(z) for z in present if not one.seen[z - 1]]:
            said.append(f"without {' '.join(lacking)}, which get a mean of similar elements")
        groups = [
            [symbol(z) for z in group if z in present] for group in handcrafted.alike(one.table)
        ]
        if same := [" = ".join(group) for group in groups if len(group) > 1]:
            said.append(f"cannot tell {', '.join(same)} apart")
        print(f"{name}: {'; '.join(said)}")
