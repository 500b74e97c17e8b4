"""Trajectories of ASE (.traj): the layout of `ase.io.ulm`, read frame by frame.

A header (magic, tag, version, number of items, place of their offsets), and for each item its
arrays and then its JSON, whose entries `name.` say where an array lies. Files of an older layout
are pickles, and refused.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from trainables.crystals.crystal import BadCrystal, one_line
from trainables.crystals.sources.ase_structure import (
    RESULTS,
    cells_of,
    demand_few,
    numbers_of,
    structure_text,
    symbols_of,
)
from trainables.crystals.sources.base import SourceError, readable
from trainables.crystals.sources.record_source import Record, RecordSource, bad_record
from trainables.crystals.sources.structure_files import LARGEST_FILE

_HEADER = struct.Struct("<8s16sqqq")
_INTEGER = struct.Struct("<q")
_MAGIC, _TAG = (b"- of Ulm", b"AFFormat"), b"ASE-Trajectory"
_PIECE = 1 << 20  # bytes read at a time behind the last structure
_TYPES = ("float64", "float32", "int64", "int32", "int16", "int8", "uint8", "bool")


class Trajectory(RecordSource):
    """Streams the frames of a .traj file."""

    def records(self) -> Iterator[Record]:
        """Yields a record for each frame.

        Raises:
            SourceError: the file is no trajectory, ends before the places of its frames, or goes
                on behind the last of them.
        """
        with readable(self.path), self.path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            number, table = self._header(file, size)
            first: _Item | None = None  # has the elements of all frames that do not name theirs
            begin = _HEADER.size
            for at in range(number):
                place = _integer(file, table + at * _INTEGER.size)
                try:
                    item = _item(file, begin, place, size)
                    first = item if at == 0 else first
                    begin = place
                    yield _record(item, first)
                except BadCrystal as bad:
                    yield bad_record(str(bad))

    def _header(self, file: BinaryIO, size: int) -> tuple[int, int]:
        """Number of items, and the place of their offsets."""
        head = file.read(_HEADER.size).ljust(_HEADER.size, b"\0")
        magic, tag, _, number, table = _HEADER.unpack(head)
        if magic not in _MAGIC or tag.rstrip() != _TAG:
            raise SourceError(
                f"{self.path}: no trajectory of ASE; write it anew by ase.io.write (those of the"
                " oldest versions are pickles, which are never opened)"
            )
        if number < 0 or table < 0 or table + number * _INTEGER.size > size:
            raise SourceError(
                f"{self.path}: it says that it has {number} structures, and is too short for that;"
                " write or fetch it again"
            )
        self._demand_end(file, size, number, table)
        return number, table

    def _demand_end(self, file: BinaryIO, size: int, number: int, table: int) -> None:
        """Refuses a file with more structures than its header counts.

        Behind the last structure, or the table of places where that is last, are zeros alone: the
        table has room for more. If the last place or length is wrong, its frame is refused.
        """
        end = table + number * _INTEGER.size
        last = _integer(file, end - _INTEGER.size) if number else 0
        if table < last <= size - _INTEGER.size:
            end = last + _INTEGER.size + _integer(file, last)
        if not 0 <= end <= size:
            return
        file.seek(end)
        if any(map(any, iter(partial(file.read, _PIECE), b""))):
            raise SourceError(
                f"{self.path}: it goes on behind the {number} structures that its header counts, as"
                " if its writing was interrupted; read it with ASE and write it anew"
            )


@dataclass(frozen=True)
class _Item:
    """The JSON of an item, and the part of the file that has its arrays.

    An array outside of that part is refused: a file could name one array a million times.
    """

    file: BinaryIO
    begin: int
    end: int
    data: dict[str, Any]

    def values(self, name: str, of: dict[str, Any] | None = None) -> object:
        """An array, or the JSON in its place; None if there is neither.

        Args:
            of: the part of the JSON that has it; all unless given.

        Raises:
            BadCrystal: the array lies elsewhere, is too large, or of a type that has no numbers.
        """
        data = self.data if of is None else of
        if f"{name}." not in data:
            return data.get(name)
        match data[f"{name}."]:
            case {"ndarray": [list(shape), str(kind), int(place)]} if kind in _TYPES and all(
                type(one) is int and one >= 0 for one in shape
            ):
                return self._array(name, shape, kind, place)
        raise BadCrystal(f"broken structure: its {name} are no array of numbers")

    def _array(self, name: str, shape: list[int], kind: str, place: int) -> NDArray[Any]:
        dtype = np.dtype(kind).newbyteorder("<" if self.data.get("_little_endian", True) else ">")
        size = math.prod(shape) * dtype.itemsize
        if size > LARGEST_FILE or len(shape) > 3:
            raise BadCrystal(f"broken structure: its {name} have shape {one_line(shape, 60)}")
        if not self.begin <= place <= place + size <= self.end:
            raise BadCrystal(f"broken structure: its {name} lie outside of its part of the file")
        self.file.seek(place)
        return np.frombuffer(self.file.read(size), dtype).reshape(shape)


def _integer(file: BinaryIO, place: int) -> int:
    file.seek(place)
    found: int = _INTEGER.unpack(file.read(_INTEGER.size))[0]
    return found


def _item(file: BinaryIO, begin: int, place: int, size: int) -> _Item:
    """The item whose JSON is at a place of the file.

    Raises:
        BadCrystal: it is not behind the one before, or too large, or no JSON.
    """
    if not begin <= place <= size - _INTEGER.size:
        raise BadCrystal("broken structure: its place in the file is wrong, or cut off")
    length = _integer(file, place)
    if not 0 <= length <= size - place - _INTEGER.size:
        raise BadCrystal("broken structure: the file ends within it")
    if length > LARGEST_FILE:
        raise BadCrystal(f"text too large: more than {LARGEST_FILE >> 20} MB")
    try:
        data = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise BadCrystal(f"broken JSON: {one_line(error)}") from None
    if not isinstance(data, dict):
        raise BadCrystal("broken JSON: it is no object")
    return _Item(file, begin, place, data)


def _record(item: _Item, first: _Item | None) -> Record:
    """A frame; its elements and periodic directions are its own or those of the first one."""
    named = item if item.data.keys() & {"numbers", "numbers."} else first
    if named is None:
        raise BadCrystal("no elements: the first structure, which names them, is broken")
    numbers = numbers_of(named.values("numbers"), (-1,), "atomic numbers")
    demand_few(len(numbers))
    positions = numbers_of(item.values("positions"), (len(numbers), 3), "positions")
    cell = numbers_of(item.values("cell"), (3, 3), "cell vectors")
    periodic = numbers_of(named.values("pbc"), (3,), "periodic directions")
    structure = partial(
        structure_text,
        symbols_of(numbers.tolist()),
        positions.tolist(),
        cell.tolist(),
        [bool(one) for one in periodic],
    )
    # a calculator's energy is the structure's; what info calls so may be of another one
    return Record(cells_of(item.data.get("info")) | _results(item), structure)


def _results(item: _Item) -> dict[str, str]:
    """What a calculator found, as cells."""
    calculator = item.data.get("calculator.")
    if not isinstance(calculator, dict):
        return {}
    found = {name: item.values(name, calculator) for name in RESULTS}
    lists = {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in found.items()
        if value is not None
    }
    return cells_of(lists)
