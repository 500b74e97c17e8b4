"""Reads the files of a finished run."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis import leaderboard
from analysis.conditions import principal
from analysis.scores import r_squared, regression_scores
from orchestrator.interface.errors import UsageError
from orchestrator.runs import layout, sums
from orchestrator.runs.finished_files import read_parquet, read_sealed, reading, verify
from orchestrator.runs.ledger import LEDGER, digest_of
from orchestrator.runs.made_by import demand_grid, demand_there
from orchestrator.runs.records import DONE, SCHEMA
from trainables.crystals.condition import WHOLE
from trainables.crystals.registry import LEADERBOARD, Task
from trainables.models.mixing import Mixing

JOB = "hybrid_grid"

OF_LEDGER = (layout.EMBEDDINGS, layout.PREDICTIONS, layout.DISTANCES)  # made from the ledger
FILES = (layout.MANIFEST, layout.LEDGER, *OF_LEDGER)


@dataclass(frozen=True)
class FinishedRun:
    """The files of a finished run, each read on first use."""

    folder: Path

    def demand_files(self) -> None:
        """Raises UsageError if a file is missing, unreadable or was made from another ledger."""
        demand_there(self.folder)
        demand_grid(self.folder, "runs of fit and hybrid_grid are taken")
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
        if self.done.empty:  # then nothing was made from it, and the calling job reports that
            return
        for name in OF_LEDGER:
            path = self.folder / name
            with reading(path, JOB):
                of = sums.made_from(pq.read_schema(path)).get(LEDGER, self.digest)
            if of != self.digest:
                raise self.of_another_ledger(path)

    def of_another_ledger(self, path: Path) -> UsageError:
        """The error for a file of the run that was not made from its present ledger."""
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
            return _with_defaults(ledger)

    @cached_property
    def digest(self) -> str:
        """Digest of the models in the ledger, which all files made from them contain."""
        with reading(self.folder / layout.LEDGER, JOB):
            return digest_of(self.ledger)

    @cached_property
    def done(self) -> pd.DataFrame:
        return self.ledger[self.ledger["status"] == DONE]

    @cached_property
    def scalars(self) -> pd.DataFrame:
        """The done models that predict one number a crystal, with a unit or without."""
        return self.done[[kind == "scalar" for kind in map(self.kind_of, self.done["task"])]]

    @cached_property
    def principal(self) -> FinishedRun:
        """The run as if it had only the models under each task's principal condition."""
        return _UnderOneCondition(self.folder, whole=self)

    def kind_of(self, task: str) -> str:
        """Kind of a data set's target."""
        return str(self.manifest["datasets"].get(task, {}).get("kind", "scalar"))

    @cached_property
    def distances(self) -> pd.DataFrame:
        return read_parquet(self.folder, layout.DISTANCES, JOB)

    @cached_property
    def best(self) -> pd.DataFrame:
        return leaderboard.best_by_validation(self.ledger)

    def matbench_task(self, name: str) -> Task | None:
        """The MatBench task of a data set's name, if it has that task's rows and official folds."""
        known, about = LEADERBOARD.get(name), self.manifest["datasets"].get(name, {})
        rows = about.get("crystals", 0) + about.get("quarantined", 0)
        return known if known and known.n == rows and "folds" not in about else None

    @cached_property
    def predictions(self) -> Path:
        """Path of the verified file; it is too large to be read at once."""
        return verify(self.folder, layout.PREDICTIONS, JOB)

    @cached_property
    def embeddings(self) -> Path:
        """Path of the verified file, as for `predictions`."""
        return verify(self.folder, layout.EMBEDDINGS, JOB)

    @cached_property
    def test_scores(self) -> pd.DataFrame:
        """test_rmse and test_r2 of each done model of one number a crystal, by key."""
        scalars = set(self.scalars["key"])
        rows = [
            {
                "key": key,
                "test_rmse": regression_scores(target, prediction)["rmse"],
                "test_r2": r_squared(target, prediction),
            }
            for key, target, prediction in self._tested()
            if key in scalars
        ]
        return pd.DataFrame(rows, columns=["key", "test_rmse", "test_r2"]).set_index("key")

    def _tested(self) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Yields key, targets and predictions of each model's test part, one row group at a time.

        Reading all at once would take gigabytes for a large grid. A model's rows are contiguous.
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
                for key in list(kept)[:-1]:  # the last one may continue in the next group
                    yield key, *np.concatenate(kept.pop(key), axis=1)
        for key, parts in kept.items():
            yield key, *np.concatenate(parts, axis=1)

    @cached_property
    def last_record(self) -> datetime | None:
        """When the last of the ledger's models was recorded, by the file's modification time."""
        folder = self.folder / layout.RECORDS
        times = [
            path.stat().st_mtime
            for key in self.ledger["key"]
            if (path := folder / f"{key}.json").exists()
        ]
        return datetime.fromtimestamp(max(times), UTC) if times else None

    def test_predictions(self, keys: Sequence[str]) -> pd.DataFrame:
        """Test predictions of the given models."""
        chosen = [("part", "=", "test"), ("key", "in", list(keys))]
        with reading(self.predictions, JOB):
            return pd.read_parquet(self.predictions, filters=chosen)


@dataclass(frozen=True)
class _UnderOneCondition(FinishedRun):
    """A run as its own `principal`."""

    whole: FinishedRun

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return self.whole.manifest

    @cached_property
    def ledger(self) -> pd.DataFrame:
        return principal(self.whole.ledger)

    @cached_property
    def digest(self) -> str:
        return self.whole.digest


def _with_defaults(ledger: pd.DataFrame) -> pd.DataFrame:
    """Adds the columns that a ledger of an earlier version lacks."""
    if "condition" not in ledger:
        ledger = ledger.assign(**asdict(WHOLE), condition="")
    if "inner_fold" not in ledger:
        ledger = ledger.assign(inner_folds=0, inner_fold=0)
    if "setting" in ledger:
        return ledger
    gammas = [Mixing(label).gamma for label in ledger["mixing"]]
    return ledger.assign(gamma=gammas, setting="")


def _demand(content: Collection[str], *names: str) -> None:
    """Raises ValueError if an entry or column is missing, as may be in a file without a digest."""
    if lacking := [name for name in names if name not in content]:
        raise ValueError(f"of an earlier version: without {', '.join(lacking)}")


def demand_sound_table(path: Path) -> None:
    """Verifies an element table in a run's folder, and its sidecar, by their digests.

    A file that no job has written, or outside the folder, is accepted as the user's own.

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
