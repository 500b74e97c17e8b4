"""Parquet files of any schema: crystals, or one line that says why not; never another exception."""

from __future__ import annotations

import datetime
import decimal
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.data.entries import _blocks
from tests.crystals.test_fuzz_sources import VALID, one_line, read
from tests.fuzzing import searching
from trainables.crystals.crystal import BadCrystal
from trainables.crystals.parsing import parse_target
from trainables.crystals.sources import ANY_COLUMN, SourceError, open_source
from trainables.crystals.sources.ids import with_sound_ids

NAMES = st.one_of(
    st.sampled_from(
        ["structure", "cif", "POSCAR", "Structure ", "id", "material_id", "ID", "mbid"]
    ),
    st.sampled_from(["target", "y", "structure.x", "y.element", "", "\x1b[2J", "\u202e", "a\nb"]),
    st.text(st.characters(codec="utf-8"), max_size=4),
)
FLAT = st.one_of(
    st.sampled_from([pa.null(), pa.bool_(), pa.int8(), pa.int64(), pa.uint64(), pa.float16()]),
    st.sampled_from([pa.float64(), pa.string(), pa.large_string(), pa.string_view(), pa.binary()]),
    st.sampled_from([pa.binary(3), pa.decimal128(5, 2), pa.decimal256(60, 3), pa.date64()]),
    st.sampled_from([pa.time64("ns"), pa.timestamp("s"), pa.timestamp("ns", tz="Europe/Berlin")]),
    st.sampled_from([pa.duration("us"), pa.uuid(), pa.json_(pa.string()), pa.bool8()]),
    st.sampled_from([pa.dictionary(pa.int8(), pa.string()), pa.opaque(pa.binary(), "a", "b")]),
    st.sampled_from([pa.dictionary(pa.int32(), pa.float64()), pa.float64(), pa.string()]),
)
TYPES = st.recursive(
    FLAT,
    lambda inner: st.one_of(
        inner.map(pa.list_),
        inner.map(pa.large_list),
        inner.map(lambda kind: pa.list_(kind, 2)),
        inner.map(lambda kind: pa.map_(pa.string(), kind)),
        st.lists(inner, min_size=1, max_size=3).map(
            lambda kinds: pa.struct([(f"element{at}", kind) for at, kind in enumerate(kinds)])
        ),
    ),
    max_leaves=3,
)
TEXTS = st.sampled_from([*VALID.values(), "", "1.5", "N/A", "1,5", "true"]) | st.text(max_size=5)


def value(kind: pa.DataType, draw: st.DrawFn) -> Any:
    """Something that a column of this type may hold, at random."""
    types = pa.types
    if draw(st.integers(0, 5)) == 0 or types.is_null(kind):
        return None
    if isinstance(kind, pa.UuidType):
        return uuid.UUID(int=draw(st.integers(0, 2**128 - 1))).bytes
    if isinstance(kind, pa.BaseExtensionType):
        return value(kind.storage_type, draw)
    if types.is_dictionary(kind):
        return value(kind.value_type, draw)
    if types.is_map(kind):
        return [(draw(st.text(max_size=3)), value(kind.item_type, draw))]
    if types.is_fixed_size_list(kind):
        return [value(kind.value_type, draw) for _ in range(2)]
    if types.is_nested(kind) and not types.is_struct(kind):
        return [value(kind.value_type, draw) for _ in range(draw(st.integers(0, 2)))]
    if types.is_struct(kind):
        return {field.name: value(field.type, draw) for field in kind}
    if types.is_boolean(kind):
        return draw(st.booleans())
    if types.is_floating(kind):
        return draw(st.floats(width=16))
    if types.is_integer(kind):
        return draw(st.integers(0, 127))
    if types.is_decimal(kind):
        return decimal.Decimal(draw(st.integers(-999, 999)))
    if types.is_fixed_size_binary(kind):
        return draw(st.binary(min_size=3, max_size=3))
    if types.is_binary(kind):
        return draw(st.binary(max_size=4))
    if types.is_date(kind):
        return draw(st.dates())
    if types.is_time(kind):
        return draw(st.times())
    if types.is_timestamp(kind):
        return draw(st.integers(-(2**55), 2**55))
    if types.is_duration(kind):
        return datetime.timedelta(seconds=draw(st.integers(-9, 9)))
    return draw(TEXTS)


def column(kind: pa.DataType, values: list[Any]) -> pa.Array:
    try:
        return pa.array(values, kind)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # of some extensions within lists
        return pa.nulls(len(values), kind)


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Most have a column of structures, or the search would end at its absence."""
    rows = draw(st.sampled_from([0, 1, 2, 5]))
    fields = [(draw(NAMES), draw(TYPES)) for _ in range(draw(st.integers(0, 4)))]
    if draw(st.integers(0, 4)):
        fields.append((draw(st.sampled_from(["structure", "cif"])), pa.string()))
    fields = draw(st.permutations(fields))
    columns = [column(kind, [value(kind, draw) for _ in range(rows)]) for _, kind in fields]
    return pa.Table.from_arrays(columns, names=[name for name, _ in fields])


def settings(draw: st.DrawFn) -> dict[str, Any]:
    """How it is written."""
    return {
        "compression": draw(st.sampled_from(["none", "snappy", "zstd", "gzip", "brotli", "lz4"])),
        "use_dictionary": draw(st.booleans()),
        "data_page_version": draw(st.sampled_from(["1.0", "2.0"])),
        "row_group_size": draw(st.sampled_from([1, 2, 100])),
        "store_schema": draw(st.booleans()),
    }


def read_all(path: Path, target: str | None) -> None:
    try:
        source = open_source(path, target)
        assert len(source.digest()) == 64
        entries = list(with_sound_ids(source.entries()))
        assert len(entries) == source.count()
    except SourceError as error:
        one_line(error)
        str(error).encode()
        return
    for entry in entries:
        assert (entry.target is None) == (target == ANY_COLUMN)
        read(entry.text, entry.format)
        try:
            parse_target(entry)
        except BadCrystal as bad:
            one_line(bad)
    assert sum(len(table["id"][0]) for table in _blocks(source, 256)) == len(entries)


@searching(60)
@given(table=tables(), data=st.data())
def test_a_table_of_any_schema(tmp_path: Path, table: pa.Table, data: st.DataObject) -> None:
    path = tmp_path / "crystals.parquet"
    try:
        pq.write_table(table, path, **data.draw(st.composite(settings)()))
    except pa.ArrowException:
        return  # what Parquet cannot hold, or its writer not write
    for target in (None, ANY_COLUMN, *table.column_names[:3]):
        read_all(path, target)


@searching(60)
@given(
    place=st.integers(0, 2000),
    change=st.integers(1, 255),
    encoding=st.sampled_from(["PLAIN", "DELTA_BYTE_ARRAY"]),
)
def test_a_file_with_a_changed_byte(tmp_path: Path, place: int, change: int, encoding: str) -> None:
    path = tmp_path / "crystals.parquet"
    table = pa.table({"id": ["a", "b"], "structure": [VALID["json"]] * 2, "y": [1.0, 2.0]})
    pq.write_table(table, path, use_dictionary=False, column_encoding={"structure": encoding})
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= change
    path.write_bytes(content)
    try:
        for entry in with_sound_ids(open_source(path).entries()):
            read(entry.text, entry.format)
    except SourceError as error:
        one_line(error)
