"""The files that `transfer` writes into its run: writing and reading them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import pandas as pd
import pyarrow as pa

from orchestrator.runs import sums
from orchestrator.runs.finished_files import FinishedFiles, read_parquet

SCORES, FACTS, LEDGER = "transfer.parquet", "transfer.json", "transfer_ledger.parquet"
SCHEMA = pa.schema(
    [
        ("table", pa.string()),
        ("task", pa.string()),
        ("fold", pa.int64()),
        ("seed", pa.int64()),
        ("metric", pa.string()),
        ("value", pa.float64()),
    ]
)


def write_scores(run: Path, scores: pd.DataFrame) -> Path:
    """Writes `transfer.parquet`: one row per model and metric."""
    table = pa.Table.from_pandas(scores, SCHEMA, preserve_index=False)
    return sums.write_parquet(run, SCORES, table)


class FinishedTransfer(FinishedFiles):
    """The files of a comparison, each read on first use."""

    job, facts_file = "transfer", FACTS

    @cached_property
    def scores(self) -> pd.DataFrame:
        return read_parquet(self.folder, SCORES, self.job)

    @cached_property
    def ledger(self) -> pd.DataFrame | None:
        """The models; None if only the results were copied here."""
        if not (self.folder / LEDGER).is_file():
            return None
        return read_parquet(self.folder, LEDGER, self.job)

    @cached_property
    def compared(self) -> pd.DataFrame:
        """One row per data set and table."""
        return pd.DataFrame(self.facts["compared"])
