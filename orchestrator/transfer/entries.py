"""The models of a comparison: their keys, their arrays, and the columns of their records."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from orchestrator.runs.record_contents import ENVIRONMENT
from orchestrator.transfer.tables import Table
from trainables.compositions.dataset import FORMULA, Compositions
from trainables.models.crabnet import PUBLISHED
from trainables.models.recipe import Recipe
from trainables.targets.base import Target
from trainables.training.specification import CrabNetSpec
from trainables.training.transfer import (
    TRANSFER_VERSION,
    Entrant,
    TransferData,
    TransferSpec,
)

SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("key", "task", "table")]
    + [("fold", pa.int64()), ("seed", pa.int64()), ("recipe", pa.string())]
    + [("status", pa.string())]
    + [(name, pa.float64()) for name in ("val_error", "val_mae", "test_mae", "dummy_mae")]
    + [(f"n_{part}", pa.int64()) for part in ("train", "val", "test")]
    + [(name, pa.int64()) for name in ("epochs", "best_epoch", "parameters")]
    + [("seconds", pa.float64())]
    + [(name, pa.string()) for name in ("target", "unit", "spec", "array")]
    + [*ENVIRONMENT, ("error", pa.string())]
)
# Models in one array. A core gains nothing from more; a GPU is filled by tables of all folds.
TOGETHER = {"cpu": 8, "cuda": 40}


@dataclass(frozen=True, kw_only=True)
class TransferArray:
    """Models of one data set and seed that are trained together."""

    task: str
    models: Mapping[Entrant, CrabNetSpec]

    @cached_property
    def spec(self) -> TransferSpec:
        """The specification from which its training starts."""
        first = next(iter(self.models.values()))
        return TransferSpec(
            models={entrant: model.key for entrant, model in self.models.items()},
            seed=first.seed,
            recipe=first.recipe,
            trainable=first.trainable,
            options=first.options,
        )

    @property
    def id(self) -> str:
        entrants = list(self.models)
        folds = sorted({entrant.fold for entrant in entrants})
        named = f"fold{folds[0]}" if len(folds) == 1 else f"folds{folds[0]}-{folds[-1]}"
        return f"{self.task}/{named}/seed{self.spec.seed}/{entrants[0].table}"

    @property
    def data(self) -> str:
        return self.task

    @property
    def kind(self) -> str:
        return "crabnet"

    @property
    def epochs(self) -> int:
        return self.spec.recipe.epochs

    @property
    def keys(self) -> Mapping[str, str]:
        return {entrant.label: key for entrant, key in self.spec.models.items()}

    def only(self, labels: Collection[str]) -> TransferArray:
        """The array with some of its models."""
        models = {one: model for one, model in self.models.items() if one.label in labels}
        return dataclasses.replace(self, models=models)

    def cost(self, dataset: TransferData) -> float:
        """Relative cost of the whole training, from epochs, models and elements in formulas."""
        return float(len(dataset.compositions.z) * len(self.models) * self.epochs)

    def row(self, label: str) -> dict[str, Any]:
        """What the ledger says of a model before it is trained."""
        ((entrant, model),) = (one for one in self.models.items() if one[0].label == label)
        return {
            "key": model.key,
            "task": self.task,
            "table": entrant.table,
            "fold": entrant.fold,
            "seed": model.seed,
            "recipe": model.recipe.name,
            "target": model.target.name,
            "unit": model.target.unit,
            "spec": model.text,
            "array": self.id,
        }

    @staticmethod
    def member(row: Mapping[str, Any]) -> str:
        """Its table and fold."""
        return TransferArray.describe(row)

    @staticmethod
    def describe(row: Mapping[str, Any]) -> str:
        """Formats as "mat2vec fold 3"."""
        return f"{row['table']} fold {row['fold']}"


def fingerprint(data: Compositions) -> str:
    """SHA-256 (hex) of all that training sees of a data set."""
    digest = hashlib.sha256(b"classes" if data.classes else b"numbers")
    for array in (data.ptr, data.z, data.fraction, data.target):
        digest.update(np.ascontiguousarray(array).tobytes())
    if data.folds is not None:
        digest.update(data.folds.digest().encode())
    return digest.hexdigest()


def arrays_of(
    task: str,
    data: Compositions,
    tables: Mapping[Entrant, Table],
    recipe: Recipe,
    *,
    target: Target,
    trainable: bool,
    device: str,
) -> list[TransferArray]:
    """All arrays of one data set: those of a seed, and on a CPU of one fold."""
    printed = fingerprint(data)
    digests = {entrant: table.digest for entrant, table in tables.items()}

    def model(entrant: Entrant) -> CrabNetSpec:
        return CrabNetSpec(
            data=printed,
            target=target,
            representation=FORMULA,
            fold=entrant.fold,
            seed=entrant.seed,
            recipe=recipe,
            training=TRANSFER_VERSION,
            table=digests[entrant],
            trainable=trainable,
            options=PUBLISHED,
        )

    return [
        TransferArray(task=task, models={entrant: model(entrant) for entrant in part})
        for part in _parts(tables, device)
    ]


def _parts(entrants: Iterable[Entrant], device: str) -> Iterator[list[Entrant]]:
    groups: dict[tuple[int, int], list[Entrant]] = {}
    for entrant in entrants:
        fold = entrant.fold if device == "cpu" else 0
        groups.setdefault((entrant.seed, fold), []).append(entrant)
    for group in groups.values():
        number = -(-len(group) // TOGETHER[device])
        for part in np.array_split(np.arange(len(group)), number):
            yield [group[place] for place in part]
