"""Element tables of a run: distills distances into Mat2Vec-S/H/L."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from analysis import cosine, tables
from analysis.distill import Distilled, distill
from analysis.element_table import to_csv
from orchestrator.nodes.place import here
from orchestrator.runs import layout, sums
from trainables.elements import descriptor

TABLE_DIMS = (32, 64)


def _distilled(table: tuple[cosine.DistanceSums, int]) -> tuple[Distilled, ...] | str:
    """The vectors of the tables, or why there are none: a single element, or all of them alike."""
    total, dim = table
    numbers = total.numbers()
    matrix = total.mean()[numbers][:, numbers]
    matrix[range(len(numbers)), range(len(numbers))] = 0.0
    try:
        return distill(matrix, numbers, dim)
    except ValueError as error:
        return str(error)


def write_distances(
    run: Path, totals: Mapping[str, cosine.DistanceSums], made_from: Mapping[str, str]
) -> None:
    """Writes `distances.parquet`: pairs of elements, by table."""
    frames = [cosine.to_frame(totals[name], name) for name in totals]
    table = pa.Table.from_pandas(pd.concat(frames, ignore_index=True), preserve_index=False)
    sums.write_parquet(run, layout.DISTANCES, table, made_from)


def write_tables(
    run: Path,
    totals: Mapping[str, cosine.DistanceSums],
    keys: Mapping[str, Sequence[str]],
    ledger: pd.DataFrame,
    selected_on: str,
    made_from: Mapping[str, str],
) -> list[Path]:
    """Distills each sum of distances to each dimension and writes CSV and sidecar.

    Of each there are two tables: with standardised columns, and plain.

    Args:
        totals, keys: of the models behind each table.
        selected_on: column of the ledger by which the models were selected.
        made_from: digests, for the sidecars.

    Returns:
        The CSV files; a table that cannot be made is left out with a line on stderr.
    """
    handcrafted = descriptor.load()
    asked = list(product(totals, TABLE_DIMS))
    found_in_order = here().in_order(_distilled, [(totals[name], dim) for name, dim in asked])
    results = dict(zip(asked, found_in_order, strict=True))
    behind = ledger[ledger["key"].isin([key for own in keys.values() for key in own])]
    if conditions := sorted(filter(None, behind["condition"].unique())):
        print(
            f"tables: of models that learned under conditions ({', '.join(conditions)}), as no"
            " others are there",
            file=sys.stderr,
        )
    written = []
    for (name, dim), found in results.items():
        if isinstance(found, str):
            print(f"Mat2Vec-{name}-{dim}.csv: left out ({found})", file=sys.stderr)
            continue
        numbers = totals[name].numbers()
        chosen = ledger[ledger["key"].isin(keys[name])]
        for distilled in found:
            table, _ = tables.complete(numbers, distilled.vectors, handcrafted)
            facts: dict[str, Any] = tables.sidecar(
                strategy=name,
                distilled=distilled,
                sums=totals[name],
                descriptor=handcrafted,
                tasks=sorted(chosen["task"].unique()),
                models=len(keys[name]),
                selected_on=selected_on,
                conditions=sorted(chosen["condition"].unique()),
            )
            facts[sums.MADE_FROM] = dict(made_from)
            place = f"{layout.TABLES}/{facts['table']}"
            sums.write_text(run, f"{place}.csv", to_csv(table))
            sums.write_json(run, f"{place}.meta.json", facts)
            written.append(run / f"{place}.csv")
    # A table of an earlier grid in this run directory would be mistaken for one of this grid.
    stems = {path.stem for path in written}
    for old in (run / layout.TABLES).glob("Mat2Vec-*"):
        if layout.TABLE.fullmatch(old.name) and old.name.partition(".")[0] not in stems:
            sums.remove(run, f"{layout.TABLES}/{old.name}")
    return written
