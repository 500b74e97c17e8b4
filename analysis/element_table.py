"""A table of element vectors, its file, and the ways into other packages.

The file has the format of `mat2vec.csv`: `element,0,1,…` and 118 rows H…Og. CrabNet reads such a
file by row position, so a table with a gap would be silently wrong: every table has 118 rows, and
the sidecar beside it (`.meta.json`) says which elements the table itself has.

Legend: F columns of a table.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.elements import MAX_Z, NUMBERS, SYMBOLS

if TYPE_CHECKING:  # each takes seconds to import, and matminer need not be installed
    from elementembeddings.core import Embedding
    from matminer.featurizers.composition import ElementProperty

STATISTICS = ("minimum", "maximum", "range", "mean", "std_dev")  # of matminer's learned presets


@dataclass(frozen=True, kw_only=True, eq=False)
class ElementTable:
    """Vectors of all 118 elements.

    Attributes:
        name: of the table, as Mat2Vec-H-32.
        vectors: [118, F] float64, row Z − 1 for element Z.
        seen: [118] bool, elements that the table itself has; the rest were filled in
            (`analysis.tables.complete`).
        path: file that it was read from; None for one of another package.
        card: what is known of it, from its sidecar; empty if it has none.
    """

    name: str
    vectors: np.ndarray
    seen: np.ndarray
    path: Path | None = None
    card: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        rows, columns = self.vectors.shape
        return f"ElementTable({self.name!r}, {rows} × {columns}, {self.seen.sum()} seen)"

    @property
    def symbols(self) -> tuple[str, ...]:
        """H…Og, in the order of the rows."""
        return SYMBOLS[1:]

    def vector(self, symbol: str) -> np.ndarray:
        """The vector [F] of an element, also of one that was filled in.

        Raises:
            ValueError: there is no such element.
        """
        if symbol not in NUMBERS:
            raise ValueError(f"{symbol!r} is no element; write its symbol, as Fe")
        return self.vectors[NUMBERS[symbol] - 1]

    def write(self, path: str | Path) -> None:
        """Writes the table as the CSV that CrabNet and ElementEmbeddings read."""
        Path(path).write_text(to_csv(self.vectors), encoding="utf-8")

    def embedding(self) -> Embedding:
        """The table as an `Embedding` of ElementEmbeddings (10.1039/D3DD00121K).

        Raises:
            ImportError: ElementEmbeddings is not installed.
        """
        try:
            from elementembeddings.core import Embedding
        except ImportError as error:
            how = 'pip install "elemgrid[analysis]" first'
            raise ImportError(f"{self.name}: {how} ({error})") from error

        vectors = dict(zip(self.symbols, self.vectors, strict=True))
        return Embedding(vectors, self.name, list(map(str, range(self.vectors.shape[1]))))

    def element_property(self) -> ElementProperty:
        """matminer's featuriser of compositions (10.1016/j.commatsci.2018.05.018) with this table.

        It has five statistics of each column, as matminer's presets of learned vectors have.

        Raises:
            ImportError: matminer is not installed.
        """
        try:
            from matminer.featurizers.composition import ElementProperty
            from matminer.utils.data import AbstractData
        except ImportError as error:
            raise ImportError(f"{self.name}: pip install matminer first ({error})") from error
        AbstractData.register(MatminerData)
        data = MatminerData(self)
        return ElementProperty(data, data.prop_names, list(STATISTICS), impute_nan=False)


class MatminerData:
    """A table as matminer asks for it: the interface of its `AbstractData`.

    It is no subclass, so that this module imports without matminer.

    Attributes:
        prop_names: of the columns, with the name of the table.
    """

    def __init__(self, table: ElementTable) -> None:
        self.prop_names = [f"{table.name} {column}" for column in range(table.vectors.shape[1])]
        self._columns = dict(zip(self.prop_names, table.vectors.T, strict=True))

    def get_elemental_property(self, elem: Any, property_name: str) -> float:
        """The number that an element, as pymatgen has it, has in a column."""
        return float(self._columns[property_name][elem.Z - 1])

    def get_elemental_properties(self, elems: list[Any], property_name: str) -> list[float]:
        """The numbers of several elements."""
        return [self.get_elemental_property(elem, property_name) for elem in elems]


def read(path: str | Path, name: str | None = None) -> ElementTable:
    """Reads a table and its sidecar, if it has one.

    Args:
        name: of the table; that of the file unless given.

    Raises:
        ValueError: one of them is malformed.
    """
    path = Path(path)
    _, vectors = read_csv(path)
    card = _read_sidecar(path)
    elements = card.get("elements", {})
    seen = np.array([elements.get(symbol, {}).get("seen", True) for symbol in SYMBOLS[1:]])
    if not seen.any():  # no table is distilled from nothing
        raise _damaged(path)
    return ElementTable(name=name or path.stem, vectors=vectors, seen=seen, path=path, card=card)


def sidecar_path(path: Path) -> Path:
    """The sidecar of a table's file."""
    return path.with_suffix(".meta.json")


def _read_sidecar(path: Path) -> dict[str, Any]:
    sidecar = sidecar_path(path)
    if not sidecar.is_file():
        return {}
    try:
        facts = dict(json.loads(sidecar.read_text(encoding="utf-8")))
        for about in facts.get("elements", {}).values():
            if not isinstance(about.get("seen", True), bool):
                raise TypeError("an element is either seen or not")
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise _damaged(path) from None
    return facts


def _damaged(path: Path) -> ValueError:
    return ValueError(f"{sidecar_path(path)}: damaged; distil the table again")


def to_csv(table: np.ndarray) -> str:
    """CSV text of a table [118, D]; numbers are written so that they read back exactly.

    Raises:
        ValueError: there are not 118 finite rows.
    """
    if table.ndim != 2 or table.shape[0] != MAX_Z or not table.shape[1]:
        raise ValueError(f"a table has {MAX_Z} rows and at least one column, not {table.shape}")
    bad = np.flatnonzero(~np.isfinite(table).all(axis=1))
    if bad.size:
        raise ValueError(f"row of {SYMBOLS[int(bad[0]) + 1]} holds a value that is not finite")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["element", *range(table.shape[1])])
    for symbol, row in zip(SYMBOLS[1:], table, strict=True):
        writer.writerow([symbol, *(repr(float(value)) for value in row)])
    return out.getvalue()


def _parse_row(path: Path, line: int, row: list[str], width: int, expected: str) -> list[float]:
    if not row or row[0] != expected:
        found = repr(row[0]) if row else "an empty line"
        raise ValueError(
            f"{path}, line {line}: expected element {expected}, found {found}; a table has "
            f"{MAX_Z} rows H…Og in order of atomic number"
        )
    if len(row) != width:
        raise ValueError(f"{path}, line {line} ({expected}): {len(row)} cells, header has {width}")
    return [
        _number(cell, f"{path}, line {line} ({expected}), cell {place}")
        for place, cell in enumerate(row[1:], 2)
    ]


def _number(cell: str, where: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{where}: {cell[:40]!r} is not a finite number")
    return value


def read_csv(path: str | Path) -> tuple[list[str], np.ndarray]:
    """Symbols (H…Og) and vectors [118, D] float64 of a table.

    Raises:
        ValueError: in one line with file, line and element: the header does not begin with
            `element`, a row is missing, out of order, extra or short, or a value is not finite.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ValueError(f"{path}: cannot read the table ({reason})") from None
    try:
        rows = list(csv.reader(io.StringIO(text)))
    except csv.Error as error:
        raise ValueError(f"{path}: not CSV ({error})") from None
    while rows and not rows[-1]:
        rows.pop()
    if not rows or len(rows[0]) < 2 or rows[0][0] != "element":
        found = repr(",".join(rows[0][:4])) if rows else "an empty file"
        raise ValueError(
            f"{path}, line 1: found {found[:60]}; the header is element and, after commas, a name"
            " for each column, as element,0,1,…"
        )
    width = len(rows[0])
    values = []
    for z in range(1, MAX_Z + 1):
        if z >= len(rows):
            raise ValueError(
                f"{path}: ends before {SYMBOLS[z]}; a table has {MAX_Z} rows H…Og in order of "
                "atomic number"
            )
        values.append(_parse_row(path, z + 1, rows[z], width, SYMBOLS[z]))
    if len(rows) > MAX_Z + 1:
        raise ValueError(f"{path}, line {MAX_Z + 2}: a row after Og; a table has {MAX_Z} rows")
    return list(SYMBOLS[1:]), np.array(values, dtype=np.float64)
