"""Tables of element vectors: files, and published ones by name.

Legend: F columns of a table of 118 rows H…Og.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis import tables
from analysis.elements import NUMBERS, SYMBOLS
from orchestrator.interface.errors import UsageError
from orchestrator.interface.extras import EMBEDDINGS
from orchestrator.runs.finished_run import demand_sound_table
from trainables.elements import descriptor

PUBLISHED = ("mat2vec", "skipatom", "megnet16", "magpie", "magpie_sc", "oliynyk", "matscholar")


@dataclass(frozen=True, kw_only=True)
class ElementTable:
    """A table as it was read.

    Attributes:
        name: given by the user, or that of the file or of the published table.
        values: [118, F].
        seen: [118] bool, elements that the table itself has; the rest were filled in
            (`analysis.tables.complete`).
        path: file that it was read from; None for a published one.
    """

    name: str
    values: np.ndarray
    seen: np.ndarray
    path: Path | None = None


def read_table(spec: str, flag: str, *, built_in: Sequence[str] = ()) -> ElementTable:
    """Reads FILE, NAME=FILE, or a published table by its name.

    Args:
        flag: of the command line, for the error.
        built_in: names of further tables, for the error.

    Raises:
        UsageError: it is neither a file nor a published table, or is malformed.
    """
    name, equals, path = spec.rpartition("=")
    if Path(spec).is_file():
        name, path, equals = "", spec, ""
    if equals and not name:
        raise UsageError(f"{flag} {spec}: no name before the =; write NAME={path}")
    if name in built_in or name in PUBLISHED:
        raise UsageError(f"{flag} {spec}: {name} is the name of another table; choose one")
    if Path(path).is_dir():
        raise UsageError(f"{flag} {spec}: is a folder; name a file in it")
    if Path(path).is_file():
        demand_sound_table(Path(path))
        try:
            _, values = tables.read_csv(path)
        except ValueError as error:
            raise UsageError(f"{flag}: {error}") from None
        file = Path(path)
        return ElementTable(name=name or file.stem, values=values, seen=_seen(file), path=file)
    if equals or "/" in spec or spec.endswith(".csv"):
        raise UsageError(f"{flag} {spec}: no such file; check the path")
    return _published(spec, flag, built_in)


def _beside(path: Path) -> Path:
    return path.with_suffix(".meta.json")


def sidecar_of(path: Path) -> dict[str, Any]:
    """Reads the sidecar of a distilled table; empty if there is none.

    Raises:
        UsageError: it is damaged.
    """
    sidecar = _beside(path)
    if not sidecar.is_file():
        return {}
    try:
        facts = dict(json.loads(sidecar.read_text()))
        for about in facts.get("elements", {}).values():
            if not isinstance(about.get("seen", True), bool):
                raise TypeError("an element is either seen or not")
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise _damaged(sidecar) from None
    return facts


def _damaged(sidecar: Path) -> UsageError:
    return UsageError(f"{sidecar}: damaged; distil the table again")


def _seen(path: Path) -> np.ndarray:
    """The elements that a table of ours itself has, from its sidecar; else all."""
    elements = sidecar_of(path).get("elements", {})
    seen = np.array([elements.get(symbol, {}).get("seen", True) for symbol in SYMBOLS[1:]])
    if not seen.any():  # no table is distilled from nothing
        raise _damaged(_beside(path))
    return seen


def _published(name: str, flag: str, built_in: Sequence[str]) -> ElementTable:
    """A table that comes with ElementEmbeddings; elements that it lacks are filled in."""
    EMBEDDINGS.demand(f"{flag} {name}")
    from elementembeddings.core import Embedding  # here, as it takes seconds to import

    try:
        vectors = Embedding.load_data(name).embeddings
    except Exception:  # whichever it raises, it has no such table
        known_names = [*built_in, *PUBLISHED]
        close = difflib.get_close_matches(name, known_names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known_names)}, …"
        raise UsageError(
            f"{flag} {name}: neither a file nor a table of ElementEmbeddings; {hint}"
        ) from None
    known = {
        NUMBERS[symbol]: np.asarray(vector, dtype=float)
        for symbol, vector in vectors.items()
        if symbol in NUMBERS and np.isfinite(vector).all() and np.abs(vector).sum() > 0
    }
    numbers = sorted(known)
    stacked = np.array([known[z] for z in numbers])
    values, seen = tables.complete(numbers, stacked, descriptor.load())
    return ElementTable(name=name, values=values, seen=seen)
