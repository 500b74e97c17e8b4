"""The files that `element_groups` writes into a run: writing and reading them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.elements import NUMBERS, SYMBOLS
from analysis.geometry import INDICATORS
from analysis.substitution.groups import Member
from orchestrator.runs import sums
from orchestrator.runs.finished_files import FinishedFiles, read_csv, read_parquet

if TYPE_CHECKING:  # a report needs no numba
    from analysis.consensus.agreement import Agreement, Reference

GEOMETRY, CLUSTERINGS, PARTNERS = "geometry.parquet", "clusterings.parquet", "partners.parquet"
PROJECTIONS = 40  # untrained models of a dimension whose distances are averaged
MIXED = "mixed"  # channel of the vectors that are a model's input
GROUPS, FACTS = "groups.csv", "consensus.json"
SCREENING, UNTRAINED, RELATIONS = "screening.csv", "untrained.csv", "relations.csv"
COLUMNS = {
    GROUPS: ("symbol", "cluster", "subgroup", "sign", "radius", "stability"),
    SCREENING: (*("task", "crystals", "error", "dummy", "best", "explained", "covered", "enters"),),
    UNTRAINED: (
        "dim",
        "strategy",
        *INDICATORS,
        *("ari", "silhouette", "angle_mean", "angle_variance"),
    ),
    RELATIONS: ("one", "other", "correlation", "p"),
}


@dataclass
class Measured:
    """Measurements of some models.

    Attributes:
        rows: of `geometry.parquet`.
        references: each model's clustering, by key.
        clusters: each model's number of clusters and silhouette, by key.
        left_out: a line for each model that cannot be measured or clustered.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    references: dict[str, Reference] = field(default_factory=dict)
    clusters: dict[str, tuple[int, float]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def take(self, other: Measured) -> None:
        """Adds the measurements of other models."""
        self.rows += other.rows
        self.references |= other.references
        self.clusters |= other.clusters
        self.left_out += other.left_out


def write_models(run: Path, measured: Measured) -> list[Path]:
    """Writes `geometry.parquet` (by model and channel) and `clusterings.parquet` (by model)."""
    references = measured.references
    clusterings = {
        "key": list(references),
        "k": [measured.clusters[key][0] for key in references],
        "silhouette": [measured.clusters[key][1] for key in references],
        "numbers": [one.numbers.astype(np.uint8) for one in references.values()],
        "labels": [one.labels.astype(np.uint8) for one in references.values()],
    }
    return [
        sums.write_parquet(run, GEOMETRY, pa.Table.from_pylist(measured.rows)),
        sums.write_parquet(run, CLUSTERINGS, pa.table(clusterings)),
    ]


def write_frame(run: Path, name: str, frame: pd.DataFrame) -> Path:
    """Writes a table as CSV, numbers with nine digits."""
    text = frame.to_csv(index=False, float_format="%.9g", lineterminator="\n")
    return sums.write_text(run, name, text)


def write_groups(run: Path, members: Sequence[Member], stability: dict[int, float]) -> Path:
    """Writes `groups.csv`: one row per element, ordered by cluster and group."""
    ordered = sorted(members, key=lambda one: (one.cluster, len(one.group), one.group, one.number))
    frame = pd.DataFrame(
        {
            "symbol": SYMBOLS[one.number],
            "cluster": one.cluster,
            "subgroup": one.group,
            "sign": one.ion.sign,
            "radius": one.ion.radius,
            "stability": stability.get(one.number),
            "note": "" if one.ion.radius else "no ionic radius is known",
        }
        for one in ordered
    )
    return write_frame(run, GROUPS, frame)


def write_partners(run: Path, agreement: Agreement) -> Path:
    """Writes `partners.parquet`: by pair of elements, models that have both, and that join them."""
    a, b = np.triu_indices(len(agreement.numbers), 1)
    known = agreement.shared[a, b] > 0
    a, b = a[known], b[known]
    names = np.array(SYMBOLS)[agreement.numbers]
    table = pa.table(
        {
            "a": names[a],
            "b": names[b],
            "models": agreement.shared[a, b],
            "together": agreement.together[a, b],
        }
    )
    return sums.write_parquet(run, PARTNERS, table)


def forget(run: Path) -> None:
    """Deletes earlier groups: if writing is interrupted, their facts must not be left with new
    files, nor a screening that is not repeated with other models."""
    sums.remove(run, FACTS, SCREENING)


class FinishedGroups(FinishedFiles):
    """The files of the groups, each read on first use."""

    job, facts_file = "element_groups", FACTS

    @cached_property
    def groups(self) -> pd.DataFrame:
        missing = {"radius": [""], "stability": [""]}
        return self._csv(GROUPS, keep_default_na=False, na_values=missing)

    @cached_property
    def geometry(self) -> pd.DataFrame:
        return read_parquet(self.folder, GEOMETRY, self.job)

    @cached_property
    def partners(self) -> pd.DataFrame:
        return read_parquet(self.folder, PARTNERS, self.job)

    def optional(self, name: str) -> pd.DataFrame:
        """A table that not every run has; empty if it is missing."""
        return self._csv(name) if (self.folder / name).is_file() else pd.DataFrame()

    def _csv(self, name: str, **options: Any) -> pd.DataFrame:
        return read_csv(self.folder, name, self.job, COLUMNS[name], **options)

    @cached_property
    def clusters(self) -> dict[int, int]:
        """Cluster by atomic number."""
        groups = self.groups
        return {
            NUMBERS[symbol]: int(cluster)
            for symbol, cluster in zip(groups["symbol"], groups["cluster"], strict=True)
        }


def of_ledger(geometry: pd.DataFrame, ledger: pd.DataFrame) -> pd.DataFrame:
    """Adds task, backbone, mixing, γ, fold and normalised error of each model to its geometry.

    The error is the test error over that of the trivial prediction.
    """
    names = ["key", "task", "backbone", "mixing", "gamma", "fold", "test_error", "dummy_error"]
    merged = geometry.merge(ledger[names], on="key", validate="many_to_one")
    return merged.assign(error=merged["test_error"] / merged["dummy_error"])
