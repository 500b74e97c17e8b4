"""What predictors share of jobs that train networks of their own kind: `dos`, `contrast`.

Legend: N structures, B those that the models know.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
from torch import nn

from orchestrator.interface.errors import UsageError
from orchestrator.predict.predictor import LONELY, fewest_neighbours, why_silent
from orchestrator.runs import layout
from orchestrator.runs.finished_files import FinishedFiles, read_parquet, reading
from orchestrator.runs.ledger import LEDGER as OF_LEDGER
from orchestrator.runs.ledger import digest_of
from orchestrator.runs.records import Records
from trainables.crystals.symbols import symbol
from trainables.representations.columns import Columns
from trainables.training.checkpoint import unseen_elements
from trainables.training.specification import Specification, SpecificationError

S = TypeVar("S", bound=Specification)
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Model(Generic[S]):
    """A model of a run.

    Attributes:
        spec: of it.
        network: a stack of one.
        sha256: of its arrays.
    """

    spec: S
    network: nn.Module = field(repr=False)
    sha256: str


def demand_no_choice(run: Path, job: str, task: str | None, model: str) -> None:
    """Raises UsageError if models of such a run are chosen: all of them predict."""
    if task is not None or model != "ensemble":
        raise UsageError(f"{run}: a run of {job} has no --task and no --model to choose")


def ledger_of(finished: FinishedFiles, name: str) -> pd.DataFrame:
    """The ledger of a finished run, from which its files were made.

    Raises:
        UsageError: the run has not ended, is damaged, or its files are of other models than it has.
    """
    run, job = finished.folder, finished.job
    if not finished.exists:
        raise UsageError(f"{run}: is no finished run; let {job} end first")
    ledger = read_parquet(run, name, job)
    with reading(run / name, job):
        digest = digest_of(ledger)
    finished.demand_made_from(OF_LEDGER, digest)
    return ledger


def models_of(
    finished: FinishedFiles,
    rows: pd.DataFrame,
    schema: pa.Schema,
    kind: type[S],
    rebuilt: Callable[[S, Arrays], nn.Module],
) -> list[tuple[Model[S], Arrays]]:
    """The models of some rows of a ledger, by member, with their arrays.

    Args:
        schema: of their records.
        kind: of their specifications.
        rebuilt: makes a network from specification and arrays.

    Raises:
        UsageError: a record is damaged, or of another version.
    """
    records = Records(finished.folder / layout.RECORDS, schema)
    found: list[tuple[Model[S], Arrays]] = []
    for key in rows.sort_values("member", kind="stable")["key"]:
        row, arrays = records.read(key), records.arrays(key)
        try:
            spec = kind.read(row["spec"])
            if spec.key != key:
                raise ValueError(f"its specification is of the model {spec.key}")
            network = rebuilt(spec, arrays)
        except (SpecificationError, ValueError) as error:
            path = records.folder / f"{key}.safetensors"
            raise UsageError(
                f"{path}: not a model of this version ({error}); train it anew: run"
                f" {finished.job} with a new --run"
            ) from None
        found.append((Model(spec=spec, network=network, sha256=row["arrays_sha256"]), arrays))
    return found


class Known:
    """Which of N structures models know: of an element that they never met, they say nothing.

    Attributes:
        graphs: of the B known ones.
        outside: [N] in what a structure is unlike the training data, or "": elements, and an atom
            without neighbours, of which a network sees the element alone.

    Args:
        reasons: [N] why a structure is refused, or "".
        graphs: of those that are not.
        elements: atomic numbers that the models know.
    """

    def __init__(self, reasons: Sequence[str], graphs: Columns, elements: Collection[int]) -> None:
        self._reasons = np.array(reasons, object)
        self._good = np.flatnonzero(self._reasons == "")
        strange = unseen_elements(graphs, list(elements))
        alone = fewest_neighbours(graphs) < 1
        marks = [[f"element {symbol(z)}" for z in one] for one in strange]
        self.outside = np.full(len(reasons), "", object)
        self.outside[self._good] = [
            "; ".join([*mark, LONELY] if lonely else mark)
            for mark, lonely in zip(marks, alone, strict=True)
        ]
        known = np.flatnonzero([not one for one in strange])
        self._rows, self.graphs = self._good[known], graphs.take(known)

    def placed(self, values: np.ndarray, empty: float | None = np.nan) -> np.ndarray:
        """[N, …] values [B, …] of the known ones, and `empty` for the others."""
        shape = len(self._reasons), *values.shape[1:]
        found = np.full(shape, empty, object if empty is None else np.float64)
        found[self._rows] = values
        return found

    def reasons(self, said: np.ndarray) -> list[str]:
        """[N] why there is no prediction, or "".

        Args:
            said: [N] a number of each prediction; not finite where there is none.
        """
        silent = self._good[~np.isfinite(said[self._good])]
        reasons = self._reasons.copy()
        reasons[silent] = [why_silent(self.outside[row]) for row in silent]
        return list(reasons)
