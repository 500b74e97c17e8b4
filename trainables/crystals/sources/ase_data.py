"""What the `data` of a row of ASE's database holds: numbers and arrays of them, by name.

It is JSON text, or of newer files the bytes of `ase.db.core.object_to_bytes`: the place of a JSON
text as eight bytes, arrays one after the other, and that text, in which an array is its shape, type
and place. An array is made when it is asked for, of plain numbers, and has to lie within the bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.crystals.crystal import BadCrystal, one_line

SAME = 1e-6  # eV or Å by which values of one thing may differ, as they are rounded
_HEAD = 8  # bytes of the place of the JSON text
_KINDS = {
    name: np.dtype(name).newbyteorder("<")
    for name in ("float64", "float32", "int64", "int32", "int16", "int8", "uint8", "uint16")
}


@dataclass(frozen=True)
class AseData:
    """The values of a row by name, of which none is an array yet.

    Attributes:
        values: as JSON has them.
        bytes: in which arrays lie; empty where the JSON has their numbers.
        pairs: values from elsewhere, which come first.
    """

    values: Mapping[str, Any]
    bytes: bytes
    pairs: Mapping[str, Any]

    def find(self, names: Sequence[str]) -> str | None:
        """The first of these names that there is, as it is spelled; `a.b` is b within a."""
        return next((name for name, _ in self._called(names)), None)

    def names(self) -> list[str]:
        """All names, and those within an object as `a.b`."""
        return list(dict.fromkeys(name for name, _ in self._named()))

    def agreed(self, names: Sequence[str]) -> NDArray[np.float64] | None:
        """The number or the array of the first of these names; None if there is none.

        Raises:
            BadCrystal: it is neither, or another of the names has other numbers.
        """
        (first, value), *others = self._called(names) or [("", None)]
        if not first:
            return None
        found = self._read(first, value)
        for name, held in others:
            try:
                other = self._read(name, held)
            except BadCrystal:
                continue  # a remark, say
            if found.shape != other.shape or not np.allclose(found, other, 0, SAME, equal_nan=True):
                both = f"{first} and {name} differ"
                if name == first:
                    both = f"{name} is there twice with different numbers"
                raise BadCrystal(f"ambiguous values: {one_line(both, 120)}; leave one")
        return found

    def _called(self, names: Sequence[str]) -> list[tuple[str, Any]]:
        """The values with one of these names, in their order, in any case."""
        named = [(name.strip().lower(), name, value) for name, value in self._named()]
        return [
            (name, value)
            for one in dict.fromkeys(map(str.lower, names))
            for lower, name, value in named
            if lower == one
        ]

    def _named(self) -> list[tuple[str, Any]]:
        """All values by name, which may have dots of its own; those within objects last."""
        own = [*self.pairs.items(), *self.values.items()]
        inner = [
            (f"{key}.{name}", within)
            for key, value in own
            if isinstance(value, dict) and "__ndarray__" not in value
            for name, within in value.items()
        ]
        return own + inner

    def _read(self, name: str, value: Any) -> NDArray[np.float64]:
        if isinstance(value, dict) and "__ndarray__" in value:
            return self._array(value["__ndarray__"], name)
        return _plain(value, name)

    def _array(self, said: object, name: str) -> NDArray[np.float64]:
        match said:
            case [list(shape), str(kind), where]:
                if not all(type(one) is int and one >= 0 for one in shape):
                    raise BadCrystal(f"broken data: {name} has shape {one_line(shape, 40)}")
            case _:
                raise BadCrystal(f"broken data: {name} is no array")
        if kind not in _KINDS:
            raise BadCrystal(f"{name} holds no numbers: its type is {one_line(kind, 30)}")
        count = math.prod(shape)
        if isinstance(where, list):
            flat = _plain(where, name)
        else:
            end = count * _KINDS[kind].itemsize
            if type(where) is not int or not _HEAD <= where <= len(self.bytes) - end:
                raise BadCrystal(f"broken data: {name} lies outside the row")
            flat = np.frombuffer(self.bytes, _KINDS[kind], count, where).astype(np.float64)
        if flat.size != count:
            raise BadCrystal(f"broken data: {name} has {flat.size} numbers of shape {shape}")
        try:
            return flat.reshape(shape)
        except (ValueError, OverflowError):  # without numbers, or with axes of 1, as many as said
            raise BadCrystal(
                f"broken data: {name} has shape {one_line(shape, 40)}, which no array has"
            ) from None


def data_of(value: object, also: Mapping[str, Any]) -> AseData:
    """The data of a row as the database has them.

    Args:
        also: values from elsewhere, which come first.

    Raises:
        BadCrystal: they are damaged.
    """
    if value is None:
        return AseData({}, b"", also)
    content = value if isinstance(value, bytes) else b""
    text: Any = value
    if isinstance(value, bytes):
        place = int.from_bytes(value[:_HEAD], "little", signed=True)
        if not _HEAD <= place <= len(value):
            raise BadCrystal("broken data: its JSON lies outside the row")
        text = value[place:]
    try:
        found = json.loads(text) or {}
    except (TypeError, ValueError, RecursionError) as error:
        raise BadCrystal(f"broken data: no JSON ({one_line(error)})") from None
    if not isinstance(found, dict):
        raise BadCrystal("broken data: its JSON is not an object")
    return AseData(found, content, also)


def _plain(value: object, name: str) -> NDArray[np.float64]:
    """A number, or lists of numbers, where null is NaN."""
    flat = value if isinstance(value, list) else [value]
    if any(isinstance(one, str) for one in flat):
        raise BadCrystal(f"{name} is no number: {one_line(value, 30)!r}")
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise BadCrystal(f"{name} holds no numbers") from None
