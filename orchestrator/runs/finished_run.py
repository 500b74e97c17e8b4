"""A finished run, read back from its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import leaderboard
from orchestrator.interface.errors import UsageError
from orchestrator.runs.records import DONE

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
        """Raises UsageError where one is missing."""
        for name in FILES:
            if not (self.folder / name).is_file():
                raise UsageError(
                    f"{self.folder / name}: missing; {self.folder} is no finished run, let"
                    " hybrid_grid end first"
                )

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "manifest.json").read_text()))

    @cached_property
    def ledger(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "ledger.parquet")

    @cached_property
    def done(self) -> pd.DataFrame:
        return self.ledger[self.ledger["status"] == DONE]

    @cached_property
    def distances(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "distances.parquet")

    @cached_property
    def best(self) -> pd.DataFrame:
        return leaderboard.best_by_validation(self.ledger)

    def test_predictions(self, keys: Sequence[str]) -> pd.DataFrame:
        """Test predictions of some models."""
        chosen = [("part", "=", "test"), ("key", "in", list(keys))]
        return pd.read_parquet(self.folder / "predictions.parquet", filters=chosen)
