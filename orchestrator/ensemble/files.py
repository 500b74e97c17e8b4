"""The files that `ensemble` writes into a run: writing and reading them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import pandas as pd
import pyarrow as pa

from orchestrator.runs import sums
from orchestrator.runs.finished_files import FinishedFiles, read_parquet

PREDICTIONS, FACTS, SUBMISSION = "ensemble.parquet", "ensemble.json", "submission"
RESULTS, INFO = f"{SUBMISSION}/results.json.gz", f"{SUBMISSION}/info.json"
FILES = (FACTS, PREDICTIONS, RESULTS, INFO)
LEVEL = 0.95  # of the intervals, as on the leaderboard
SCHEMA = pa.schema(
    [("task", pa.string()), ("fold", pa.int32()), ("id", pa.string())]
    + [
        (name, pa.float64())
        for name in ("target", "prediction", "std", "ci_lower", "ci_upper", "deviation")
    ]
)


def write_predictions(run: Path, predicted: pd.DataFrame) -> Path:
    """Writes `ensemble.parquet`: one row per test crystal."""
    table = pa.Table.from_pandas(predicted[SCHEMA.names], SCHEMA, preserve_index=False)
    return sums.write_parquet(run, PREDICTIONS, table)


def forget(run: Path) -> None:
    """Deletes an earlier ensemble, whose files must not be mixed with those of another."""
    sums.remove(run, FACTS, RESULTS, INFO)


class FinishedEnsemble(FinishedFiles):
    """The files of an ensemble, each read on first use."""

    job, facts_file = "ensemble", FACTS

    @cached_property
    def predicted(self) -> pd.DataFrame:
        return read_parquet(self.folder, PREDICTIONS, self.job)

    @cached_property
    def folds(self) -> pd.DataFrame:
        """One row per fold: task, fold, models, way, and test error of each way as `test_<way>`."""
        return pd.DataFrame(
            {
                **{name: fold[name] for name in ("task", "fold", "models", "members", "way")},
                **{f"test_{way}": error for way, error in fold["test_error"].items()},
                **{f"validation_{way}": error for way, error in fold["validation_error"].items()},
                "test": fold["test_error"][fold["way"]],
                "metric": fold["metric"],
            }
            for fold in self.facts["folds"]
        )

    @cached_property
    def coverage(self) -> pd.DataFrame:
        """Columns task, fold, level, covered."""
        return pd.DataFrame(
            {"task": fold["task"], "fold": fold["fold"], "level": float(level), "covered": covered}
            for fold in self.facts["folds"]
            for level, covered in fold["coverage"].items()
        )

    @cached_property
    def published(self) -> pd.DataFrame:
        """Differences from published entries, as of `published.compare`, with the task."""
        return pd.DataFrame(self.facts.get("published", []))

    @property
    def inner_folds(self) -> int:
        """Number of inner folds of a configuration; 1 without."""
        return max(int(fold.get("inner_folds", 1)) for fold in self.facts["folds"])
