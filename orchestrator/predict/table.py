"""Predictions of a block of structures as columns of a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from orchestrator.interface.errors import UsageError

NEAREST = "nearest"
TEXTS = ("id", NEAREST, "outside", "reason")  # columns; all others are numbers
Table = dict[str, list[Any]]  # by column; None where there is no number


class Tabular(Protocol):
    """Predictions that a table can be made of."""

    def table(self, *, members: bool) -> Table:
        """The rows of a block.

        Args:
            members: whether each model has a column.

        Raises:
            UsageError: members are asked for, and a model's prediction is not one number.
        """


def table_of(
    ids: Sequence[str],
    columns: Mapping[str, list[Any] | np.ndarray],
    outside: Sequence[str],
    reasons: Sequence[str],
) -> Table:
    """The columns that all tables have around others, of which arrays are numbers."""
    between = {
        name: numbers(values) if isinstance(values, np.ndarray) else values
        for name, values in columns.items()
    }
    return {"id": list(ids), **between, "outside": list(outside), "reason": list(reasons)}


def numbers(values: Iterable[float]) -> list[float | None]:
    """The cells of a column of numbers."""
    return [float(value) if math.isfinite(value) else None for value in values]


def demand_no_members(members: bool, why: str) -> None:
    """Raises UsageError if each model is asked for."""
    if members:
        raise UsageError(f"--members: {why}; leave it out")
