"""The files that `contrast` writes into its run: writing and reading them."""

from __future__ import annotations

from functools import cached_property

import pandas as pd
import pyarrow as pa

from orchestrator.runs.finished_files import FinishedFiles, read_parquet

LEDGER, FACTS = "contrast_ledger.parquet", "contrast.json"
EMBEDDINGS, PREDICTIONS = "contrast_embeddings.parquet", "contrast_predictions.parquet"
_VECTOR = pa.list_(pa.float32())
_NAMED = [(name, pa.string()) for name in ("id", "formula", "part")]
EMBEDDED = pa.schema(
    [*_NAMED, ("work_function", pa.float64()), ("member", pa.int64())]
    + [(name, _VECTOR) for name in ("crystal", "profile")]
)
PREDICTED = pa.schema(
    _NAMED
    + [(name, pa.float64()) for name in ("work_function", "vacuum_bottom", "vacuum_top")]
    + [(name, pa.float64()) for name in ("head", "head_deviation", "head_lower", "head_upper")]
    + [(name, pa.float64()) for name in ("retrieval", "regression")]
    + [(name, pa.float64()) for name in ("untrained", "trees", "composition", "mean")]
    + [("nearest", pa.string()), ("nearest_similarity", pa.float64())]
    + [(f"rank_{way}", pa.float64()) for way in ("to_profile", "to_crystal")]
    + [(f"member_rank_{way}", pa.float64()) for way in ("to_profile", "to_crystal")]
    + [("profile", _VECTOR), ("nearest_profile", _VECTOR)]
)


class FinishedContrast(FinishedFiles):
    """The files of a run, each read on first use."""

    job, facts_file = "contrast", FACTS

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """A row a material that was not learned from."""
        return read_parquet(self.folder, PREDICTIONS, self.job)

    @cached_property
    def embeddings(self) -> pd.DataFrame:
        """A row a material and member."""
        return read_parquet(self.folder, EMBEDDINGS, self.job)

    @property
    def tested(self) -> pd.DataFrame:
        """The predictions of the test part."""
        return self.predictions[self.predictions["part"] == "test"]
