"""JSON lists of objects, a crystal each: of pymatgen, JARVIS, Materials Project, OPTIMADE.

| object | structure | numbers beside it |
|---|---|---|
| of any program | `structure`: pymatgen's dict | all other keys |
| a pymatgen Structure | itself | `properties` |
| a ComputedStructureEntry | `structure` | `energy`, `correction`, those of `data` |
| of JARVIS (`jid`) | `atoms` | all other keys; `na` is missing |
| of OPTIMADE (`data` of a response) | `attributes` | all of `attributes` |
| of the Materials Project's API (`data` of a response) | `structure` | all other keys |

Formats: https://jarvis-tools.readthedocs.io, https://github.com/Materials-Consortia/OPTIMADE (v1),
https://api.materialsproject.org. Nothing that a file names is ever imported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from trainables.crystals.crystal import BadCrystal, one_line
from trainables.crystals.sources.base import SourceError, is_text, open_text, readable
from trainables.crystals.sources.columns import SAMPLE, lacks_structures
from trainables.crystals.sources.ids import ID_COLUMNS, id_text
from trainables.crystals.sources.json_stream import JsonStream
from trainables.crystals.sources.record_source import Record, RecordSource

LISTS = ("data", "entries", "results")  # of an object around the list
WHAT = "JSON list of crystals"  # for errors
STRUCTURE, ATOMS = "structure", "atoms"
# Of an OPTIMADE structure, without which there is no crystal.
_OPTIMADE = ("lattice_vectors", "cartesian_site_positions", "species_at_sites")
_STRUCTURAL = {STRUCTURE, ATOMS, *_OPTIMADE, "species", "lattice", "sites", "properties", "data"}


class JsonRecords(RecordSource):
    """Streams the objects of a JSON list."""

    empty = "the list is empty; there is no crystal in it"

    def __init__(self, path: Path, target: str | None = None, name: str | None = None) -> None:
        self.path = path
        if not any(has_structure(one) for one in islice(objects_of(path), SAMPLE)):
            found = list(islice(map(fields_of, objects_of(path)), SAMPLE))
            if found:
                columns = list(dict.fromkeys(key for one in found for key in one))
                raise lacks_structures(path, columns, f"{STRUCTURE} or {ATOMS}")
        super().__init__(path, target, name)

    def records(self) -> Iterator[Record]:
        """Yields a record for each object."""
        for one in objects_of(self.path):
            yield Record(fields_of(one), partial(structure_of, one))


def objects_of(path: Path) -> Iterator[Any]:
    """Yields the values of a JSON list, which may be one of the `LISTS` of an object.

    Raises:
        SourceError: the file is missing or broken.
    """
    with readable(path), open_text(path) as file:
        stream = JsonStream(file, path, WHAT)
        if stream.peek() == "{":
            _enter(stream, path)
        stream.expect("[", "at the start of the list")
        row = 0
        while not stream.skip("]"):
            if row:
                stream.expect(",", f"after object {row}")
            value, _ = stream.value(f"in object {row + 1}")
            yield value
            row += 1
        stream.drain()


def is_list(path: Path) -> bool:
    """Whether a JSON file is a list of objects, or an object around one; else it is MatBench's.

    What cannot be read is none.
    """
    try:
        with open_text(path) as file:
            stream = JsonStream(file, path, WHAT)
            if stream.peek() == "{" and {"index", "columns"} & set(_enter(stream, path)):
                return False
            return stream.skip("[") and stream.peek() == "{"
    except SourceError:
        return False


def _enter(stream: JsonStream, path: Path) -> list[str]:
    """Reads an object up to the value of the first of its `LISTS`; returns the keys before."""
    stream.expect("{", "at the start")
    keys: list[str] = []
    while True:
        key, _ = stream.value("for a key")
        stream.expect(":", f"after {key!r}")
        if key in LISTS:
            return keys
        keys.append(str(key))
        stream.value(f"for {key!r}")
        if not stream.skip(","):
            if {STRUCTURE, ATOMS, "sites"} & set(keys):
                raise SourceError(f"{path}: it is one crystal; put it in a list: [{{…}}]")
            raise stream.broken(f"no list {' or '.join(LISTS)}")


def has_structure(one: Any) -> bool:
    """Whether an object seems to hold a crystal."""
    if not isinstance(one, dict):
        return False
    inner = one.get("attributes")
    held = one if not isinstance(inner, dict) else inner
    return any(key in held for key in (STRUCTURE, ATOMS, "sites", *_OPTIMADE))


def fields_of(one: Any) -> dict[str, str]:
    """What an object says beside its structure, as the cells of a table; "" for what is missing."""
    if not isinstance(one, dict):
        return {}
    merged = {**_object(one, "attributes"), **_object(one, "data"), **one}
    if "sites" in one:  # a Structure itself, whose charge is that of its cell
        merged = {**_object(one, "properties"), **one}
        merged.pop("charge", None)
    found = {}
    for key, value in merged.items():
        if key in _STRUCTURAL or key.startswith("@") or not is_text(key):
            continue
        if key in ID_COLUMNS:
            found[key] = id_text(value)
        elif isinstance(value, str | int | float | list) or value is None:
            found[key] = _cell(value)
    return found


def _object(one: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = one.get(key)
    return value if isinstance(value, dict) else {}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def structure_of(one: Any) -> str:
    """The structure of an object as pymatgen's JSON, with the numbers as they are given.

    Raises:
        BadCrystal: it has none, or one of an unknown form.
    """
    if not isinstance(one, dict):
        raise BadCrystal(f"no structure: {one_line(json.dumps(one), 40)} is no object")
    attributes = _object(one, "attributes")
    try:
        if STRUCTURE in one or STRUCTURE in attributes:
            found = one.get(STRUCTURE, attributes.get(STRUCTURE))
            return found if isinstance(found, str) else json.dumps(found)
        if ATOMS in one:
            return json.dumps(_of_jarvis(one[ATOMS]))
        if attributes.keys() >= set(_OPTIMADE):
            return json.dumps(_of_optimade(attributes))
        if "sites" in one:
            return json.dumps(one)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, BadCrystal):
            raise
        raise BadCrystal(f"broken structure: {one_line(error)}") from None
    raise BadCrystal(f"no structure: the object has {one_line(', '.join(map(str, one)), 80)}")


def _of_jarvis(atoms: Mapping[str, Any]) -> dict[str, Any]:
    """`Atoms.to_dict()` of jarvis-tools: coords are fractional unless `cartesian`."""
    place = "xyz" if atoms.get("cartesian") else "abc"
    sites = [
        {"species": [{"element": element, "occu": 1}], place: coordinates}
        for element, coordinates in zip(atoms["elements"], atoms["coords"], strict=True)
    ]
    return {"lattice": {"matrix": atoms["lattice_mat"]}, "sites": sites}


def _of_optimade(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """An OPTIMADE structure: Cartesian positions in Å, and species by name."""
    periodic = attributes.get("dimension_types", [1, 1, 1])
    species = {one["name"]: _of_species(one) for one in attributes.get("species") or ()}
    names, places = attributes["species_at_sites"], attributes["cartesian_site_positions"]
    sites = [
        {"species": species.get(name, [{"element": name, "occu": 1}]), "xyz": place}
        for name, place in zip(names, places, strict=True)
    ]
    pbc = [bool(one) for one in periodic]
    return {"lattice": {"matrix": attributes["lattice_vectors"], "pbc": pbc}, "sites": sites}


def _of_species(one: Mapping[str, Any]) -> list[dict[str, Any]]:
    if one.get("attached"):
        raise BadCrystal(f"attached atoms: species {one_line(one['name'], 20)} has some")
    pairs = zip(one["chemical_symbols"], one["concentration"], strict=True)
    return [{"element": element, "occu": share} for element, share in pairs]
