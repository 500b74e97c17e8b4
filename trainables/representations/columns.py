"""Columns of many crystals at once: flat arrays, declared where they stand.

Legend: B crystals, N nodes, E edges.

A representation declares what a network sees of a crystal as fields of a `Columns` class. Schema,
fingerprint, slicing, batching, device transfer and streaming all derive from that declaration.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Self, cast, get_args, get_type_hints

import numpy as np

from trainables.targets.base import Kind


class Scope(StrEnum):
    """What a value belongs to: there are so many of them as there are of these."""

    CRYSTAL = "crystal"
    NODE = "node"
    EDGE = "edge"
    LENGTH = "length"  # a distinct bond length of a crystal; in memory only


@dataclass(frozen=True)
class Column:
    """A declared column.

    Attributes:
        dtype: of NumPy, by name. Floats become the training's float type on a device.
        shape: of one value; () for a number.
        refers: values are indices into the crystal's rows of that scope, and are shifted to those
            of the batch.
    """

    name: str
    scope: Scope
    dtype: str
    shape: tuple[int, ...] = ()
    refers: Scope | None = None

    @property
    def size(self) -> int:
        """Numbers in a value."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes of a value in memory."""
        return self.size * np.dtype(self.dtype).itemsize

    @property
    def wide(self) -> np.dtype[Any]:
        """The type on the host before it is copied to a device: integers have at least 32 bits."""
        kind = np.dtype(self.dtype)
        return np.result_type(kind, np.int32) if kind.kind in "iu" else kind


TARGET = Column("target", Scope.CRYSTAL, "float64")


def column_of(kind: Kind) -> Column:
    """The declaration of a target as a column."""
    scope = Scope.NODE if kind.per_site else Scope.CRYSTAL
    return Column(TARGET.name, scope, TARGET.dtype, kind.target.shape)


def column(
    scope: Scope, dtype: str, shape: tuple[int, ...] = (), refers: Scope | None = None
) -> Column:
    """Annotates a field of a `Columns` class as a column, which has the field's name."""
    return Column("", scope, dtype, shape, refers)


@dataclass(frozen=True)
class Columns:
    """Flat arrays of B crystals; a subclass annotates each further field by `column`.

    A scope other than those two has a pointer of its own, which is the field `<scope>_ptr`.

    Attributes:
        node_ptr: [B+1] int64, the nodes of crystal b are node_ptr[b]:node_ptr[b+1].
        edge_ptr: [B+1] int64, likewise for edges.
        z: [N] uint8 atomic numbers.
        multiplicity: [N] int32 atoms that a node stands for.
    """

    node_ptr: np.ndarray
    edge_ptr: np.ndarray
    z: Annotated[np.ndarray, column(Scope.NODE, "uint8")]
    multiplicity: Annotated[np.ndarray, column(Scope.NODE, "int32")]

    @classmethod
    def declared(cls) -> tuple[Column, ...]:
        """The columns, in the order of their fields.

        Raises:
            TypeError: a field is neither a pointer nor annotated by `column`.
        """
        return _declared(cast(type, cls))

    @classmethod
    def scopes(cls) -> tuple[Scope, ...]:
        """The scopes that have a pointer, in the order of the fields."""
        names = {field.name for field in dataclasses.fields(cls)}
        return tuple(scope for scope in Scope if f"{scope}_ptr" in names)

    @classmethod
    def empty(cls) -> Self:
        """No crystals."""
        pointers = {f"{scope}_ptr": np.zeros(1, np.int64) for scope in cls.scopes()}
        arrays = {one.name: np.zeros((0, *one.shape), one.dtype) for one in cls.declared()}
        return cls(**pointers, **arrays)

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """The crystals of all parts, one part after the other."""
        arrays: dict[str, np.ndarray] = {}
        for scope in cls.scopes():
            sizes = [np.diff(part.ptr(scope)) for part in parts]
            arrays[f"{scope}_ptr"] = _pointer(np.concatenate([np.zeros(0, np.int64), *sizes]))
        for one in cls.declared():
            none = np.zeros((0, *one.shape), one.dtype)
            arrays[one.name] = np.concatenate([none, *(getattr(part, one.name) for part in parts)])
        return cls(**arrays)

    def __len__(self) -> int:
        return len(self.node_ptr) - 1

    @property
    def nodes(self) -> int:
        """Number of nodes N."""
        return int(self.node_ptr[-1])

    @property
    def edges(self) -> int:
        """Number of edges E."""
        return int(self.edge_ptr[-1])

    @property
    def edge_crystal(self) -> np.ndarray:
        """[E] index of the crystal that an edge belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.edge_ptr))

    @property
    def node_crystal(self) -> np.ndarray:
        """[N] index of the crystal that a node belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.node_ptr))

    def ptr(self, scope: Scope) -> np.ndarray:
        """[B+1] the pointer of a scope."""
        pointer: np.ndarray = getattr(self, f"{scope}_ptr")
        return pointer

    def take(self, chosen: np.ndarray) -> Self:
        """The crystals at the positions `chosen` [C], in that order."""
        rows = {scope: ranges(self.ptr(scope), chosen) for scope in self.scopes()}
        rows[Scope.CRYSTAL] = chosen
        arrays = {one.name: getattr(self, one.name)[rows[one.scope]] for one in self.declared()}
        for scope in self.scopes():
            arrays[f"{scope}_ptr"] = _pointer(np.diff(self.ptr(scope))[chosen])
        return type(self)(**arrays)

    def prepared(self) -> Columns:
        """What is copied to a device: these columns, or what is derived from them there once."""
        return self

    @classmethod
    def batch(cls, taken: Any) -> Any:
        """The typed view of a batch that a network gets.

        Args:
            taken: `trainables.representations.batches.Taken`, of the prepared columns.
        """
        raise NotImplementedError


def ranges(ptr: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The rows ptr[c]:ptr[c+1] of the chosen c, one after the other."""
    sizes = np.diff(ptr)[chosen]
    starts = np.cumsum(sizes) - sizes
    return np.arange(sizes.sum()) + np.repeat(ptr[chosen] - starts, sizes)


def _pointer(sizes: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])


@cache
def _declared(kind: type) -> tuple[Column, ...]:
    hints = get_type_hints(kind, include_extras=True)
    pointers = {f"{scope}_ptr" for scope in Scope}
    names = [one.name for one in dataclasses.fields(kind) if one.name not in pointers]
    return tuple(replace(_note(kind, name, hints[name]), name=name) for name in names)


def _note(kind: type, name: str, hint: Any) -> Column:
    for note in get_args(hint)[1:]:
        if isinstance(note, Column):
            return note
    raise TypeError(f"{kind.__name__}.{name}: no column; annotate it by column(…)")
