"""Structures as files of ASE, and how ours read them; for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.db import connect
from ase.io import write

from trainables.crystals.checks import check
from trainables.crystals.crystal import BadCrystal, Crystal, Entry
from trainables.crystals.parsing import parse
from trainables.crystals.sources import ANY_COLUMN, SourceError, open_source

FILES = Path(__file__).parent / "files"
KINDS = ("extxyz", "traj", "db")
CELL = np.array([[4.1, 0.2, 0.0], [0.3, 4.3, 0.1], [0.1, -0.2, 4.7]])


def salt(gap: float = 1.0) -> Atoms:
    """NaCl in a skewed cell, whose numbers have all their digits."""
    made = Atoms("NaCl", cell=CELL, pbc=True, positions=[[0, 0, 0], CELL.sum(axis=0) / 2])
    made.info["gap"] = gap
    return made


def of(kind: str, folder: Path, frames: list[Atoms]) -> Path:
    """A file of ASE with these structures."""
    path = folder / f"x.{kind}"
    if kind == "db":
        with connect(path) as database:
            for one in frames:
                database.write(one, **one.info)
    else:
        write(path, frames)
    return path


def crystals(path: Path) -> list[Crystal]:
    return [parse(entry) for entry in open_source(path, ANY_COLUMN).entries()]


def reason(entry: Entry) -> str:
    with pytest.raises(BadCrystal) as caught:
        check(parse(entry))
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def refused(path: Path, target: str | None = None) -> str:
    with pytest.raises(SourceError) as caught:
        list(open_source(path, target).entries())
    text = str(caught.value)
    assert text.isprintable() and len(text) < 500 and str(path) in text
    return text


def molecule() -> Atoms:
    return Atoms("CO", positions=[[0, 0, 0], [0, 0, 1.1]], info={"gap": 2.0})
