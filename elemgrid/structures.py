"""Structures as Python objects: pymatgen's, ASE's and plain dicts become entries of a source."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.predict.inputs import Entries, sources_of
from trainables.crystals.crystal import Entry
from trainables.crystals.sources.ase_structure import structure_json, symbols_of
from trainables.crystals.sources.cells import NUMBERS, Cells

TAKEN = "a pymatgen Structure, an ASE Atoms, or the dict of a Structure"


def sources_from(structures: object) -> list[Entries]:
    """The sources of what a user gives to predict.

    Args:
        structures: path, or paths, of anything that the command line takes; one structure; several
            in a sequence or a pandas Series, or by name in a mapping.

    Raises:
        TypeError: it is none of these.
        UsageError: there is no such file.
    """
    if isinstance(structures, str | os.PathLike):
        return sources_of([os.fspath(structures)], follow_links=False)
    if _is_one(structures):
        structures = [structures]
    named = _named(structures)
    if named and all(isinstance(one, str | os.PathLike) for one in named.values()):
        return sources_of([os.fspath(one) for one in named.values()], follow_links=False)
    return [Objects({name: text_of(one, name) for name, one in named.items()})]


def texts_of(structures: object) -> dict[str, str]:
    """JSON texts of several structures by name, or by their place.

    Raises:
        TypeError: something is no structure.
    """
    return {name: text_of(one, name) for name, one in _named(structures).items()}


def text_of(structure: Any, name: str = "") -> str:
    """JSON of a structure, as the sources have it; coordinates to the last bit.

    Raises:
        TypeError: it is none that is known.
    """
    if hasattr(structure, "lattice") and hasattr(structure, "sites"):
        return json.dumps(_from_pymatgen(structure))
    if hasattr(structure, "get_scaled_positions") and hasattr(structure, "pbc"):
        return _from_ase(structure)
    if isinstance(structure, Mapping) and "sites" in structure:
        return json.dumps(structure, default=_plain)
    what = type(structure).__name__
    raise TypeError(f"structure {name}: is a {what}; give {TAKEN}")


def _is_one(given: object) -> bool:
    if isinstance(given, Mapping):
        return "sites" in given and "lattice" in given
    # both are sequences too, of sites or atoms
    return hasattr(given, "lattice") or hasattr(given, "get_scaled_positions")


def is_named(structures: object) -> bool:
    """Whether the structures bring their own names."""
    return isinstance(structures, Mapping) or hasattr(structures, "items")


def _named(structures: object) -> dict[str, Any]:
    if is_named(structures):
        pairs = [(str(name), one) for name, one in structures.items()]  # type: ignore[attr-defined]
        if len(named := dict(pairs)) < len(pairs):
            raise TypeError("two structures have the same name; give each its own")
        return named
    if not isinstance(structures, Iterable):
        raise TypeError(f"{type(structures).__name__} holds no structures; give a list of {TAKEN}")
    return {str(place): one for place, one in enumerate(structures)}


def _from_pymatgen(structure: Any) -> dict[str, Any]:
    """Only what is read of a Structure: a site may hold any objects as its properties."""
    sites = [
        {
            "species": [
                {"element": getattr(kind, "symbol", str(kind)), "occu": float(share)}
                for kind, share in site.species.items()
            ],
            "abc": np.asarray(site.frac_coords, float).tolist(),
        }
        for site in structure.sites
    ]
    periodic = [bool(one) for one in getattr(structure.lattice, "pbc", (True,) * 3)]
    matrix = np.asarray(structure.lattice.matrix, float).tolist()
    return {"lattice": {"matrix": matrix, "pbc": periodic}, "sites": sites}


def _from_ase(atoms: Any) -> str:
    """As the readers of ASE's files have it."""
    return structure_json(
        symbols_of(atoms.numbers.tolist()),
        np.asarray(atoms.positions, float).tolist(),
        np.asarray(atoms.cell, float).tolist(),
        [bool(one) for one in atoms.pbc],
    )


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"a structure's dict holds a {type(value).__name__}; give plain numbers")


@dataclass(frozen=True)
class Objects:
    """Structures in memory, as JSON texts by name, without a target."""

    texts: Mapping[str, str]

    name = "structures"
    target_name = ""
    unit: str | None = None
    cells: Cells = NUMBERS

    def digest(self) -> str:
        """SHA-256 (hex) of names and texts."""
        digest = hashlib.sha256()
        for pair in self.texts.items():
            digest.update("\0".join((*pair, "")).encode(errors="replace"))
        return digest.hexdigest()

    def count(self) -> int:
        """Number of structures."""
        return len(self.texts)

    def entries(self) -> Iterator[Entry]:
        """Yields an entry for each."""
        for row, (name, text) in enumerate(self.texts.items()):
            yield Entry(row, name, "json", text, None, f"structure {name}")
