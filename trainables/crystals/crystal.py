"""The data types of a crystal, and of a raw row of a source before it is parsed.

Shape letters: N atoms of one crystal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class BadCrystal(ValueError):
    """A crystal that cannot be used; `str(error)` is the reason in one line.

    The words before its first colon are the kind of reason, by which summaries count: they hold no
    number, name or other part that differs between crystals of one fault.
    """


def one_line(error: object, limit: int = 160) -> str:
    """Text of an error or message without line breaks, cut to `limit` characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 1] + "…"


@dataclass(frozen=True, slots=True)
class Crystal:
    """One fully ordered crystal: the atoms of one cell and the cell itself."""

    numbers: NDArray[np.uint8]  # [N] atomic numbers
    frac: NDArray[np.float64]  # [N, 3] fractional coordinates
    lattice: NDArray[np.float64]  # [3, 3] rows a, b, c in Å


@dataclass(frozen=True, slots=True)
class Entry:
    """One raw row of a source, not yet parsed; cheap to send between processes.

    Attributes:
        row: position in file order, from 0; it determines the official folds.
        format: `json`, `cif`, `poscar` or `bad`.
        text: JSON of a pymatgen Structure dict, CIF text or POSCAR text; for `bad`, the reason why
            the source could not deliver the crystal.
        target: JSON text or CSV cell of the target; empty if missing, None if only crystals are
            requested.
        origin: `file.csv.gz:12` or `folder/a.cif`, the place that quarantine lines name.
    """

    row: int  # 0-based position in file order; it determines the official folds
    id: str
    format: str
    text: str  # JSON of a pymatgen Structure dict, CIF text or POSCAR text
    target: str | None  # JSON text or CSV cell; "" is missing, None is not requested
    origin: str  # "file.csv.gz:12" or "folder/a.cif": the place named in quarantine lines
