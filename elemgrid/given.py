"""Structures and targets as objects, kept as a data set beside the run that learns from them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from elemgrid.structures import is_named, texts_of
from orchestrator.interface.errors import UsageError

TARGET = "target"


@contextmanager
def kept(structures: object, targets: Iterable[object], run: Path) -> Iterator[Path]:
    """Writes structures and targets into a file beside a run, unless they are there.

    A run that is refused, so that its folder is not there in the end, leaves no file.

    Raises:
        UsageError: other structures are there.
        TypeError: something is no structure, or no target.
        ValueError: there is not one target for each.
    """
    from orchestrator.runs import durable

    content = encoded(structures, targets)
    path = run.with_name(f"{run.name}-structures.parquet")
    new = not path.exists()
    if new:
        durable.make_folder(path.parent)
        durable.write_bytes(path, content)
    elif path.read_bytes() != content:
        raise UsageError(f"{path}: holds other structures or targets; name another run")
    try:
        yield path
    finally:
        if new and not run.exists():
            path.unlink(missing_ok=True)


def encoded(structures: object, targets: Iterable[object]) -> bytes:
    """A Parquet file of `id`, `structure` (JSON) and `target`; errors as of `kept`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not isinstance(structures, Iterable) or isinstance(structures, str):
        raise TypeError(
            "targets: are in the file of the structures; name their column, PATH:COLUMN"
        )
    texts = texts_of(structures)
    ordered = _in_order(list(texts), targets, by_name=is_named(structures))
    columns = {"id": list(texts), "structure": list(texts.values())}
    try:
        values = pa.array([_plain(one) for one in ordered], from_pandas=True)
        table = pa.table({**columns, TARGET: values})
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError) as error:
        told = " ".join(str(error).split())
        raise TypeError(f"targets: give numbers, or words of two classes ({told})") from None
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd")
    return content.getvalue()


def _in_order(names: list[str], targets: Iterable[object], *, by_name: bool) -> list[object]:
    """The targets in the order of the structures."""
    named = isinstance(targets, Mapping) or (by_name and hasattr(targets, "items"))
    if not named:
        listed = list(targets)
        if len(listed) != len(names):
            raise ValueError(f"{len(names)} structures and {len(listed)} targets")
        return listed
    if not by_name:
        raise TypeError("targets: have names, and the structures have none; give both or neither")
    found = {str(name): value for name, value in targets.items()}  # type: ignore[attr-defined]
    if found.keys() != set(names):
        odd = sorted(found.keys() ^ set(names))[0]
        raise ValueError(f"{odd!r} is the name of a structure or of a target, and not of both")
    return [found[name] for name in names]


def _plain(value: Any) -> object:
    """A number of numpy's as Python's."""
    if not hasattr(value, "item"):
        return value
    if getattr(value, "size", 1) != 1:
        raise TypeError("targets: one is an array; a fit learns one number or class a crystal")
    return value.item()
