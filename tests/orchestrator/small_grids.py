"""Tiny data sets written from the embedded crystals, and tiny grids on them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
from collections.abc import Iterable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from orchestrator.jobs import JOBS
from trainables.crystals.crystal import Entry
from trainables.crystals.ionic import IonicSource

CRYSTALS = 36  # of a finished grid
Row = tuple[Any, Any]  # pymatgen's dict of a structure, target


@cache
def _all_embedded() -> tuple[Entry, ...]:
    return tuple(IonicSource().entries())


def embedded(count: int) -> tuple[Entry, ...]:
    return _all_embedded()[:count]


def rows(count: int, start: int = 0) -> list[Row]:
    """Some embedded crystals as rows of a MatBench file."""
    chosen = embedded(start + count)[start:]
    return [(json.loads(entry.text), float(entry.target)) for entry in chosen]


def matbench_text(data: Iterable[Row], ids: Sequence[str] | None = None) -> str:
    listed = [list(row) for row in data]
    index = list(range(len(listed))) if ids is None else list(ids)
    return json.dumps({"index": index, "columns": ["structure", "energy"], "data": listed})


def write_matbench(path: Path, data: Iterable[Row], ids: Sequence[str] | None = None) -> Path:
    # no time stamp: the same rows give the same bytes
    path.write_bytes(gzip.compress(matbench_text(data, ids).encode(), mtime=0))
    return path


def small_flags(data: Path, run: Path) -> list[str]:
    """A grid of 4 models in 2 arrays: two backbones, H and L."""
    return [
        *("--tasks", str(data), "--run", str(run), "--dims", "4", "--mixing", "H", "L"),
        *("--folds", "0", "--epochs", "2"),
    ]


@dataclass(frozen=True)
class Said:
    """How a job ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line on stderr."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        return lines[0]


def grid(*flags: str) -> Said:
    """Runs the main job in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = JOBS["hybrid_grid"].main(flags)
    return Said(code, out.getvalue(), err.getvalue())


def digests(folder: Path) -> dict[str, str]:
    """Every file below a folder with the digest of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def times(folder: Path) -> dict[str, int]:
    """Every file below a folder with the time of its last change."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@dataclass(frozen=True)
class FinishedGrid:
    """A finished run; tests that change it work on a copy."""

    data: Path
    run: Path
    said: Said

    def flags(self, run: Path | None = None, **changes: str) -> list[str]:
        given = {"dims": "4 8", "mixing": "H 0 L", "folds": "0", "epochs": "3"} | changes
        flags = ["--tasks", str(self.data), "--run", str(run or self.run)]
        for name, values in given.items():
            flags += [f"--{name}", *values.split()]
        return flags

    def copy(self, to: Path) -> Path:
        shutil.copytree(self.run, to)
        return to

    @property
    def ledger(self) -> pd.DataFrame:
        return pd.read_parquet(self.run / "ledger.parquet")


def key_of(run: Path, backbone: str, dim: int, mixing: str) -> str:
    ledger = pd.read_parquet(run / "ledger.parquet")
    same = (ledger["backbone"] == backbone) & (ledger["dim"] == dim)
    (key,) = ledger.loc[same & (ledger["mixing"] == mixing), "key"]
    return str(key)
