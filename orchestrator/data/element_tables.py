"""Tables of element vectors: files, and shipped and published ones by name.

Legend: F columns of a table of 118 rows H…Og.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analysis import element_table, shipped, tables
from analysis.element_table import ElementTable
from analysis.elements import NUMBERS
from orchestrator.interface.errors import UsageError
from orchestrator.interface.extras import EMBEDDINGS
from orchestrator.runs.finished_run import demand_sound_table
from trainables.elements import descriptor

PUBLISHED = ("mat2vec", "skipatom", "megnet16", "magpie", "magpie_sc", "oliynyk", "matscholar")


def read_table(spec: str, flag: str, *, built_in: Sequence[str] = ()) -> ElementTable:
    """Reads FILE, NAME=FILE, or a shipped or published table by its name.

    Args:
        flag: of the command line, for the error.
        built_in: names of further tables, for the error.

    Raises:
        UsageError: it is neither a file nor a known table, or is malformed.
    """
    name, equals, path = spec.rpartition("=")
    if Path(spec).is_file():
        name, path, equals = "", spec, ""
    if equals and not name:
        raise UsageError(f"{flag} {spec}: no name before the =; write NAME={path}")
    if name in (*built_in, *PUBLISHED):
        raise UsageError(f"{flag} {spec}: {name} is the name of another table; choose one")
    if Path(path).is_dir():
        raise UsageError(f"{flag} {spec}: is a folder; name a file in it")
    if Path(path).is_file():
        demand_sound_table(Path(path))
        try:
            return element_table.read(path, name or None)
        except ValueError as error:
            raise UsageError(f"{flag}: {error}") from None
    if equals or "/" in spec or spec.endswith(".csv"):
        raise UsageError(f"{flag} {spec}: no such file; check the path")
    if spec in shipped.element_tables():
        return shipped.element_table(spec)
    return _published(spec, flag, built_in)


def _published(name: str, flag: str, built_in: Sequence[str]) -> ElementTable:
    """A table that comes with ElementEmbeddings; elements that it lacks are filled in."""
    EMBEDDINGS.demand(f"{flag} {name}")
    from elementembeddings.core import Embedding  # here, as it takes seconds to import

    try:
        known_vectors = Embedding.load_data(name).embeddings
    except Exception:  # whichever it raises, it has no such table
        known_names = [*built_in, *shipped.element_tables(), *PUBLISHED]
        close = difflib.get_close_matches(name, known_names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known_names)}, …"
        raise UsageError(
            f"{flag} {name}: neither a file, nor shipped, nor a table of ElementEmbeddings; {hint}"
        ) from None
    known = {
        NUMBERS[symbol]: np.asarray(vector, dtype=float)
        for symbol, vector in known_vectors.items()
        if symbol in NUMBERS and np.isfinite(vector).all() and np.abs(vector).sum() > 0
    }
    numbers = sorted(known)
    stacked = np.array([known[z] for z in numbers])
    vectors, seen = tables.complete(numbers, stacked, descriptor.load())
    return ElementTable(name=name, vectors=vectors, seen=seen)
