"""A finished run, read back from its files."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis import leaderboard
from analysis.scores import r_squared, regression_scores
from orchestrator.interface.errors import UsageError
from orchestrator.runs import layout, sums
from orchestrator.runs.finished_files import read_parquet, read_sealed, reading, verify
from orchestrator.runs.ledger import LEDGER, digest_of
from orchestrator.runs.records import DONE, SCHEMA
from trainables.crystals.registry import TASKS, Task

JOB = "hybrid_grid"

OF_LEDGER = (layout.EMBEDDINGS, layout.PREDICTIONS, layout.DISTANCES)  # are made from it
FILES = (layout.MANIFEST, layout.LEDGER, *OF_LEDGER)


@dataclass(frozen=True)
class FinishedRun:
    """The files of a finished run, read when they are needed."""

    folder: Path

    def demand_files(self) -> None:
        """Raises UsageError where one is missing, not even of its kind, or of another ledger."""
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
        if self.done.empty:  # then nothing was made from it, and the job says so
            return
        for name in OF_LEDGER:
            path = self.folder / name
            with reading(path, JOB):
                of = sums.made_from(pq.read_schema(path)).get(LEDGER, self.digest)
            if of != self.digest:
                raise self.of_another_ledger(path)

    def of_another_ledger(self, path: Path) -> UsageError:
        """Says of a file of the run that it was not made from the ledger that is there now."""
        return UsageError(
            f"{path}: made from another ledger than {self.folder} has now; run {JOB} again"
        )

    @cached_property
    def manifest(self) -> dict[str, Any]:
        path = self.folder / layout.MANIFEST
        manifest = read_sealed(path, JOB)
        with reading(path, JOB):
            _demand(manifest, "config", "created", "datasets", "models")
        return manifest

    @cached_property
    def ledger(self) -> pd.DataFrame:
        ledger = read_parquet(self.folder, layout.LEDGER, JOB)
        with reading(self.folder / layout.LEDGER, JOB):
            _demand(ledger, *SCHEMA.names)
        return ledger

    @cached_property
    def digest(self) -> str:
        """Of the models in the ledger, which whatever is made from them carries."""
        with reading(self.folder / layout.LEDGER, JOB):
            return digest_of(self.ledger)

    @cached_property
    def done(self) -> pd.DataFrame:
        return self.ledger[self.ledger["status"] == DONE]

    @cached_property
    def distances(self) -> pd.DataFrame:
        return read_parquet(self.folder, layout.DISTANCES, JOB)

    @cached_property
    def best(self) -> pd.DataFrame:
        return leaderboard.best_by_validation(self.ledger)

    def matbench_task(self, name: str) -> Task | None:
        """MatBench's task of a data set's name, if it has its rows too, and the official folds."""
        known, about = TASKS.get(name), self.manifest["datasets"].get(name, {})
        rows = about.get("crystals", 0) + about.get("quarantined", 0)
        return known if known and known.n == rows and "folds" not in about else None

    @cached_property
    def predictions(self) -> Path:
        """The file, which is as it was written: it is too large to be read whole."""
        return verify(self.folder, layout.PREDICTIONS, JOB)

    @cached_property
    def embeddings(self) -> Path:
        """As `predictions`."""
        return verify(self.folder, layout.EMBEDDINGS, JOB)

    @cached_property
    def test_scores(self) -> pd.DataFrame:
        """test_rmse and test_r2, RMSE and R² on the test part, of each done model, by key."""
        rows = [
            {
                "key": key,
                "test_rmse": regression_scores(target, prediction)["rmse"],
                "test_r2": r_squared(target, prediction),
            }
            for key, target, prediction in self._tested()
        ]
        return pd.DataFrame(rows, columns=["key", "test_rmse", "test_r2"]).set_index("key")

    def _tested(self) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Key, targets and predictions of each model's test part, a row group at a time.

        All at once would be gigabytes in a large grid. A model's rows stand together.
        """
        path = self.predictions
        kept: dict[str, list[np.ndarray]] = {}
        with reading(path, JOB):
            file = pq.ParquetFile(path)
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=["key", "part", "target", "prediction"])
                table = table.filter(pc.equal(table["part"], "test"))
                codes = table["key"].combine_chunks().dictionary_encode()
                values = np.stack([table["target"].to_numpy(), table["prediction"].to_numpy()])
                for code, key in enumerate(codes.dictionary.to_pylist()):
                    mine = codes.indices.to_numpy() == code
                    kept.setdefault(key, []).append(values[:, mine])
                for key in list(kept)[:-1]:  # the last one may go on in the next group
                    yield key, *np.concatenate(kept.pop(key), axis=1)
        for key, parts in kept.items():
            yield key, *np.concatenate(parts, axis=1)

    @cached_property
    def last_record(self) -> datetime | None:
        """When the last of the ledger's models was recorded, as the file system has it."""
        folder = self.folder / layout.RECORDS
        times = [
            path.stat().st_mtime
            for key in self.ledger["key"]
            if (path := folder / f"{key}.json").exists()
        ]
        return datetime.fromtimestamp(max(times), UTC) if times else None

    def test_predictions(self, keys: Sequence[str]) -> pd.DataFrame:
        """Test predictions of some models."""
        chosen = [("part", "=", "test"), ("key", "in", list(keys))]
        with reading(self.predictions, JOB):
            return pd.read_parquet(self.predictions, filters=chosen)


def _demand(content: Collection[str], *names: str) -> None:
    """Raises ValueError where an entry or column is missing, as in a file without a digest."""
    if lacking := [name for name in names if name not in content]:
        raise ValueError(f"without {', '.join(lacking)}")


def demand_sound_table(path: Path) -> None:
    """Compares an element table in a run's folder, and its sidecar, with their digests.

    A file that no job has written, or that lies elsewhere, is its owner's.

    Raises:
        UsageError: one differs, or was distilled from other models than the run's ledger has.
    """
    run = path.resolve().parent.parent
    sidecar = f"{layout.TABLES}/{path.stem}.meta.json"
    known = sums.read(run) or {}
    for name in (f"{layout.TABLES}/{path.name}", sidecar):
        if name in known:
            verify(run, name, JOB)
    if sidecar in known and layout.LEDGER in known:
        finished = FinishedRun(run)
        with reading(run / sidecar, JOB):
            of = json.loads((run / sidecar).read_text()).get(sums.MADE_FROM, {}).get(LEDGER)
        if of != finished.digest:
            raise finished.of_another_ledger(path)
