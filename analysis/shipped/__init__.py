"""Element tables that come with the package: Mat2Vec-S, -H and -L, and an element scale.

`scripts/ship_tables.py` wrote them from finished runs; docs/tables.md is their card in words.
"""

from __future__ import annotations

import difflib
import json
from functools import cache
from pathlib import Path
from typing import Any

from analysis import element_table as files
from analysis.element_table import ElementTable

DATA = Path(__file__).parent / "data"
NOTES, RELEASE = "notes.json", "release.json"


@cache
def _facts(name: str) -> dict[str, Any]:
    return dict(json.loads((DATA / name).read_text(encoding="utf-8")))


def element_tables() -> tuple[str, ...]:
    """Names of all tables."""
    return tuple(_facts(RELEASE)["tables"])


def element_table(name: str) -> ElementTable:
    """A table by its name, as Mat2Vec-H-32.

    Its card has what the run's sidecar says of each row, what is known of the run, and in words
    what the models have learned from, what that leaks, what the table is worth and how to cite it.

    Raises:
        ValueError: there is none of this name.
    """
    if name not in element_tables():
        close = difflib.get_close_matches(name, element_tables(), n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise ValueError(
            f"no table {name!r} is shipped; {hint}there are {', '.join(element_tables())}"
        )
    read = files.read(DATA / f"{name}.csv")
    return ElementTable(
        name=name, vectors=read.vectors, seen=read.seen, path=read.path, card=_card(name, read)
    )


def _card(name: str, read: ElementTable) -> dict[str, Any]:
    notes, release = _facts(NOTES), _facts(RELEASE)
    own = release["tables"][name]
    kind = own["kind"]
    return {**notes["all"], **notes[kind], **release["made"][kind], **own, **read.card}
