"""A finished run, read back from its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from analysis import leaderboard
from orchestrator.interface.errors import UsageError
from orchestrator.runs.finished_files import read_json, read_parquet, reading
from orchestrator.runs.records import DONE

JOB = "hybrid_grid"

FILES = (
    "manifest.json",
    "ledger.parquet",
    "embeddings.parquet",
    "predictions.parquet",
    "distances.parquet",
)


@dataclass(frozen=True)
class FinishedRun:
    """The files of a finished run, read when they are needed."""

    folder: Path

    def demand_files(self) -> None:
        """Raises UsageError where one is missing, or is not even of its kind."""
        for name in FILES:
            path = self.folder / name
            if not path.is_file():
                raise UsageError(
                    f"{path}: missing; {self.folder} is no finished run, let {JOB} end first"
                )
            if path.suffix == ".parquet":
                with reading(path, JOB):
                    pq.read_metadata(path)
        _ = self.manifest

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return read_json(self.folder / "manifest.json", JOB)

    @cached_property
    def ledger(self) -> pd.DataFrame:
        return read_parquet(self.folder / "ledger.parquet", JOB)

    @cached_property
    def done(self) -> pd.DataFrame:
        return self.ledger[self.ledger["status"] == DONE]

    @cached_property
    def distances(self) -> pd.DataFrame:
        return read_parquet(self.folder / "distances.parquet", JOB)

    @cached_property
    def best(self) -> pd.DataFrame:
        return leaderboard.best_by_validation(self.ledger)

    def test_predictions(self, keys: Sequence[str]) -> pd.DataFrame:
        """Test predictions of some models."""
        chosen = [("part", "=", "test"), ("key", "in", list(keys))]
        return read_parquet(self.folder / "predictions.parquet", JOB, filters=chosen)
