"""Finds how much memory the pages of a Parquet column take, before one of them is unpacked.

The header of a page states its unpacked size and its number of values. Readers trust it, and the
file's own summary may state something else: a kilobyte can request gigabytes. The headers are in
Thrift's compact protocol, of which this reads what is needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow.parquet as pq

from trainables.crystals.sources.gunzip import LARGEST_RATIO

# Writers end a page at 1 MiB, or after a thousand values, some at 100 MB.
LARGEST_PAGE = 256 << 20  # bytes
HARMLESS_PAGE = 32 << 20  # bytes; of larger ones, those that shrank beyond LARGEST_RATIO are bombs
MOST_VALUES = 64 << 20  # of a page; more than any writer puts into a whole row group
_DICTIONARY = 2  # parquet.thrift: PageType
_DEEPEST = 8  # levels of nested structs in a page header; there are three


class BadPage(ValueError):
    """A page that is damaged or too large; `str(error)` says how, in one line."""


@dataclass(frozen=True)
class Page:
    """The content of a page header: bytes as packed and as unpacked, and the number of values."""

    kind: int
    packed: int
    unpacked: int
    values: int


def largest_page(file: BinaryIO, metadata: pq.FileMetaData, columns: list[int]) -> int:
    """Bytes of the largest page of some leaf columns, unpacked.

    Raises:
        BadPage: one is damaged, or larger than any that holds crystals.
    """
    largest = 0
    for group in range(metadata.num_row_groups):
        for column in columns:
            chunk = metadata.row_group(group).column(column)
            for page in _pages(file, chunk):
                _check(page)
                largest = max(largest, page.unpacked)
    return largest


def _check(page: Page) -> None:
    if page.unpacked < 0 or page.packed < 0 or page.values < 0:
        raise BadPage("a page has a negative size")
    bomb = page.unpacked > max(HARMLESS_PAGE, LARGEST_RATIO * page.packed)
    if bomb or page.unpacked > LARGEST_PAGE:
        raise BadPage(
            f"a page of {page.packed} bytes unpacks to {page.unpacked >> 20} MiB; no crystals do"
        )
    # A dictionary's values have to be in it, while those of other pages may be repeated.
    if page.values > (page.unpacked if page.kind == _DICTIONARY else MOST_VALUES):
        raise BadPage(f"a page of {page.packed} bytes says that it has {page.values} values")


def _pages(file: BinaryIO, chunk: pq.ColumnChunkMetaData) -> Iterator[Page]:
    starts = [chunk.data_page_offset]
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        starts.append(chunk.dictionary_page_offset)
    at = min(starts)
    end = at + chunk.total_compressed_size
    if at < 0 or not 0 <= chunk.total_compressed_size <= file.seek(0, os.SEEK_END):
        raise BadPage("a column lies outside of the file")
    while at < end:
        file.seek(at)
        fields = _Thrift(file).struct()
        page = Page(
            kind=_number(fields, 1),
            packed=_number(fields, 3),
            unpacked=_number(fields, 2),
            # from the one header that is there: data, dictionary, or data of version 2
            values=max(
                (_number(fields[kind], 1) for kind in (5, 7, 8) if kind in fields), default=0
            ),
        )
        yield page
        at = file.tell() + max(0, page.packed)


def _number(fields: object, key: int) -> int:
    value = fields.get(key) if isinstance(fields, dict) else None
    if not isinstance(value, int):
        raise BadPage("a page header lacks a number")
    return value


class _Thrift:
    """The compact protocol: reads integers and structs of a message, skips the rest."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def struct(self, depth: int = 0) -> dict[int, object]:
        """Field number -> integer, or a struct's own fields."""
        if depth > _DEEPEST:
            raise BadPage("a page header is nested too deeply")
        found: dict[int, object] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            found[number] = self._value(head & 15, depth)
        return found

    def _value(self, kind: int, depth: int) -> object:
        if kind in (1, 2):  # true, false
            return None
        if kind in (4, 5, 6):
            return self._integer()
        if kind == 12:
            return self.struct(depth + 1)
        length = {3: 1, 7: 8}.get(kind)
        if kind == 8:
            length = self._varint()
        if length is None:
            raise BadPage("a page header holds what no page header does")
        self._file.seek(length, os.SEEK_CUR)
        return None

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)  # zigzag

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise BadPage("a page header holds a number of more than 64 bits")

    def _byte(self) -> int:
        byte = self._file.read(1)
        if not byte:
            raise BadPage("the file ends within a page header")
        return byte[0]
