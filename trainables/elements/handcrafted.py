"""The tables of handcrafted element vectors, each with a name that is part of a model's key.

Built-in tables have a plain name. Any other table has the name `NAME@DIGEST`, with the digest of
its numbers; a record holds such a table itself, so that its model is built from the record alone.

Legend: F columns of a foreign table, C columns of a table that models get.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping

import numpy as np

from trainables.elements import descriptor, properties
from trainables.elements.descriptor import MAX_Z

CGCNN92, ELEMENTS = "cgcnn92", "elements"
BUILT_IN: Mapping[str, Callable[[], np.ndarray]] = {
    CGCNN92: descriptor.load,
    ELEMENTS: properties.load,
}
DIGITS = 12  # hexadecimal, of the digest in a name
_UNUSUAL = re.compile(r"[^\w.+-]")
_FOREIGN = re.compile(rf"[\w.+-]+@[0-9a-f]{{{DIGITS}}}")


def demand_name(name: str) -> None:
    """Raises ValueError for what is neither a built-in table's name nor a foreign one's."""
    if name not in BUILT_IN and not _FOREIGN.fullmatch(name):
        known = ", ".join(BUILT_IN)
        raise ValueError(f"{name!r} is no handcrafted table; there are {known}, or NAME@DIGEST")


def named(name: str, table: np.ndarray) -> str:
    """The name `NAME@DIGEST` of a foreign table.

    Args:
        table: [119, C] float32.
    """
    content = f"{table.shape} {table.dtype.str}".encode() + np.ascontiguousarray(table).tobytes()
    return f"{_UNUSUAL.sub('-', name)}@{hashlib.sha256(content).hexdigest()[:DIGITS]}"


def table_of(name: str, own: np.ndarray | None = None) -> np.ndarray:
    """The table of a name, [119, C] float32 by atomic number; row 0 is zero.

    Args:
        own: the foreign table.

    Raises:
        ValueError: the name is that of a foreign table, and `own` is not this table.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]()
    if own is None:
        raise ValueError(f"without the handcrafted table {name}")
    if own.ndim != 2 or len(own) != MAX_Z + 1 or named(name.rpartition("@")[0], own) != name:
        raise ValueError(f"the handcrafted table is not {name}")
    return own


def standardised(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """A foreign table as models get it: [119, C] float32, row 0 zero.

    Each column has mean 0 and variance 1 over the elements that the table itself has; a column that
    is constant among them says nothing and is left out.

    Args:
        values: [118, F], row Z − 1 for element Z.
        seen: [118] bool, the elements that the table itself has.

    Raises:
        ValueError: all columns are constant, or a row is not finite once standardised.
    """
    varies = np.ptp(values[seen], axis=0) > 0
    if not varies.any():
        raise ValueError("all elements have the same vector")
    table = np.zeros((MAX_Z + 1, int(varies.sum())), dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # named below
        kept = values[:, varies] / np.abs(values[seen][:, varies]).max(axis=0)  # finite squares
        own = kept[seen]
        # Rounded, so that the digest does not depend on the order of the sums.
        table[1:] = ((kept - own.mean(axis=0)) / own.std(axis=0)).round(6) + 0.0  # no -0.0
    wrong = np.flatnonzero(~np.isfinite(table).all(axis=1))
    if wrong.size:
        raise ValueError(f"the row of Z = {wrong[0]} is not finite once standardised; correct it")
    return table


def alike(table: np.ndarray) -> list[list[int]]:
    """The atomic numbers that have the same row, group by group.

    Args:
        table: [119, C] by atomic number.
    """
    groups: dict[bytes, list[int]] = {}
    for z in range(1, len(table)):
        groups.setdefault(table[z].tobytes(), []).append(z)
    return [group for group in groups.values() if len(group) > 1]
