"""The columns of the ledger that follow from a model's specification, which its record has as text.

No record has them itself, so that a new axis changes no record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from orchestrator.grid.axes import TYPES, tell
from orchestrator.grid.cells import CHOICES, CONDITIONS, USUAL
from orchestrator.grid.conditions import describe
from orchestrator.runs.records import SCHEMA
from trainables.crystals.condition import Condition
from trainables.crystals.split import InnerFold
from trainables.models.mixing import Mixing
from trainables.training.specification import ModelSpec

GAMMA, SETTING, CONDITION = "gamma", "setting", "condition"
INNER = ("inner_folds", "inner_fold")  # 0 and 0 of a model with the usual split
FURTHER = [column for column in CHOICES if column not in USUAL]
ADDED = pa.schema(
    [(column, TYPES[CHOICES[column].kind]) for column in FURTHER]
    + [(column, TYPES[axis.kind]) for column, axis in CONDITIONS.items()]
    + [(name, pa.int64()) for name in INNER]
    + [(GAMMA, pa.float64()), (SETTING, pa.string()), (CONDITION, pa.string())]
)


def with_axes(ledger: pa.Table) -> pa.Table:
    """Adds a column for each axis, the inner folds, `gamma`, `setting` and `condition`.

    A setting is the text of the values, beyond backbone, dimension and mixing, in which the models
    of a backbone differ; "" where there are none. Models of one backbone, dimension, mixing and
    setting are one configuration. A condition is the text of what a model may learn from within its
    fold, "" where that is all; models under two conditions do not compete.

    Args:
        ledger: of models of a grid.
    """
    models = [ModelSpec.read(text) for text in ledger["spec"].to_pylist()]
    values = {column: [CHOICES[column].shown(model) for model in models] for column in FURTHER}
    backbones = [model.backbone for model in models]
    added = {
        **values,
        **{name: [axis.of(model) for model in models] for name, axis in CONDITIONS.items()},
        **{name: [getattr(model, name) for model in models] for name in INNER},
        GAMMA: [Mixing(model.mixing).gamma for model in models],
        SETTING: _settings(backbones, values),
        CONDITION: [describe(model.condition) for model in models],
    }
    for field in ADDED:
        ledger = ledger.append_column(field, pa.array(added[field.name], field.type))
    return ledger


def learned_by(spec: str) -> tuple[Condition, InnerFold | None]:
    """What a model may learn from, and the inner fold of it that it holds back, if any.

    Args:
        spec: the text of its specification.
    """
    model = ModelSpec.read(spec)
    return model.condition, model.inner


def varying(ledger: pd.DataFrame) -> list[str]:
    """The axes, beyond the usual three, on which models of one backbone differ.

    A model to which an axis does not apply differs from none.
    """
    columns = [column for column in FURTHER if column in ledger]
    return [column for column in columns if (_values(ledger, column) > 1).any()]


def _values(ledger: pd.DataFrame, column: str) -> pd.Series:
    """The number of values of each backbone's models; that of a network's default, None, counts."""
    of_all = CHOICES[column].applies is None
    return ledger.groupby("backbone")[column].nunique(dropna=not of_all)


def _settings(backbones: Iterable[str], values: Mapping[str, list[Any]]) -> list[str]:
    frame = pd.DataFrame({"backbone": list(backbones), **values}, dtype=object)
    of = {backbone: varying(rows) for backbone, rows in frame.groupby("backbone")}
    names = list(values)
    return [
        tell({name: value for name, value in zip(names, row, strict=True) if name in of[backbone]})
        for backbone, *row in zip(backbones, *values.values(), strict=True)
    ]


NOTHING: pd.DataFrame = with_axes(SCHEMA.empty_table()).to_pandas()  # a ledger without models
