"""Ray Data: structures → checks → crystal graphs → quotient graphs → Parquet shards."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from ray.data import Datasource, ExecutionResources, ReadTask
from ray.data.block import BlockMetadata

from orchestrator import durable
from orchestrator.errors import UsageError
from trainables.crystals import shards
from trainables.crystals.crystal import Entry
from trainables.crystals.featurise import FEATURISER_VERSION, featurise
from trainables.crystals.graph import GraphKind
from trainables.crystals.quarantine import Quarantine, TooManyBad
from trainables.crystals.sources import Source, SourceError

ROWS_PER_BLOCK = 256
ROWS_PER_SHARD = 8192
BYTES_UNDER_WAY = 32 * 2**20  # in the object store, a core: some blocks of large crystals
FATAL = "fatal"  # format of the one entry that tells the driver why a source broke off
QUARANTINE = "quarantine.csv"


@dataclass(frozen=True)
class Featurized:
    """A data set in the run directory: a folder of shards a kind of graph.

    Attributes:
        folders, fingerprints: by kind's name.
        crystals, total, bad: good ones, rows of the source, quarantined ones.
    """

    folders: dict[str, Path]
    fingerprints: dict[str, str]
    crystals: int
    total: int
    bad: int


class EntryDatasource(Datasource):
    """The rows of a source, streamed by one task: a compressed file has no middle to start from."""

    def __init__(self, source: Source, rows_per_block: int) -> None:
        super().__init__()
        self._source, self._rows_per_block = source, rows_per_block

    def get_name(self) -> str:
        return "Structures"

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        source, rows_per_block = self._source, self._rows_per_block
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(lambda: _blocks(source, rows_per_block), unknown)]


def _blocks(source: Source, rows_per_block: int) -> Iterator[pa.Table]:
    """Tables of one row, which holds some entries: Ray Data keeps a row whole, but joins rows."""
    entries = source.entries()
    while True:
        block: list[Entry] = []
        try:
            block.extend(islice(entries, rows_per_block))
        except SourceError as error:
            block.append(Entry(-1, "", FATAL, str(error), "", ""))
        if block:
            columns = zip(*map(astuple, block), strict=True)
            names = [field.name for field in fields(Entry)]
            yield pa.table(
                {name: [list(cells)] for name, cells in zip(names, columns, strict=True)}
            )
        if len(block) < rows_per_block:
            return


def _featurise_block(
    table: pa.Table, kinds: Sequence[GraphKind], max_atoms: int
) -> dict[str, list[Any]]:
    """One row out: what the driver needs of a block of entries."""
    (columns,) = table.to_pylist()
    entries = [Entry(*cells) for cells in zip(*columns.values(), strict=True)]
    fatal = [entry.text for entry in entries if entry.format == FATAL]
    entries = [entry for entry in entries if entry.format != FATAL]
    result = featurise(entries, kinds, max_atoms)
    good = [entry for entry, why in zip(entries, result.reasons, strict=True) if not why]
    ids, rows = [entry.id for entry in good], np.array([entry.row for entry in good], np.int64)
    listing = [
        {"row": entry.row, "id": entry.id, "origin": entry.origin, "reason": why}
        for entry, why in zip(entries, result.reasons, strict=True)
    ]
    out: dict[str, list[Any]] = {"listing": [json.dumps(listing)], "fatal": ["; ".join(fatal)]}
    for name, graphs in result.graphs.items():
        content = shards.encode(shards.to_table(ids, rows, result.target, graphs))
        out[name] = [content]
    return out


def featurize(
    source: Source,
    kinds: Sequence[GraphKind],
    folder: Path,
    *,
    max_bad: float,
    max_atoms: int,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> Featurized:
    """Featurises a source into `folder`/<kind>/, unless that has been done.

    Args:
        kinds: of graphs, all made from one neighbour search.
        max_bad: share of bad crystals above which nothing is written.
        on_rows: told how many rows are done, now and then.

    Raises:
        UsageError: the source cannot be read, or too many of its crystals are bad.
    """
    made_from = _made_from(source, max_atoms)
    done = _existing(folder, kinds, made_from)
    if done is not None:
        return done
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{folder.name}.*"):  # by a driver that was killed
        shutil.rmtree(left, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        _write(source, kinds, scratch, made_from, max_bad, max_atoms, on_rows)
        shutil.rmtree(folder, ignore_errors=True)
        scratch.chmod(0o755)
        scratch.rename(folder)
        durable.sync_folder(folder.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    written = _existing(folder, kinds, made_from)
    assert written is not None
    return written


def featurized_before(
    source: Source, kinds: Sequence[GraphKind], folder: Path, *, max_atoms: int
) -> Featurized | None:
    """What `featurize` would find done; None where it would have to work."""
    return _existing(folder, kinds, _made_from(source, max_atoms))


def _made_from(source: Source, max_atoms: int) -> dict[str, Any]:
    return {
        "source": source.digest(),
        "target": source.target_name,
        "featuriser": FEATURISER_VERSION,
        "max_atoms": max_atoms,
    }


def _existing(
    folder: Path, kinds: Sequence[GraphKind], made_from: dict[str, Any]
) -> Featurized | None:
    manifests = {}
    for kind in kinds:
        try:
            manifest = json.loads((folder / kind.name / shards.MANIFEST).read_text())
            if manifest["made_from"] != made_from:
                return None
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        manifests[kind.name] = manifest
    first = next(iter(manifests.values()))
    return Featurized(
        folders={name: folder / name for name in manifests},
        fingerprints={name: manifest["fingerprint"] for name, manifest in manifests.items()},
        crystals=first["crystals"],
        total=first["total"],
        bad=first["bad"],
    )


def _write(
    source: Source,
    kinds: Sequence[GraphKind],
    folder: Path,
    made_from: dict[str, Any],
    max_bad: float,
    max_atoms: int,
    on_rows: Callable[[int], None],
) -> None:
    quarantine = Quarantine(max_bad, source.count())
    writers = {kind.name: ShardWriter(folder / kind.name) for kind in kinds}
    try:
        for block in _featurised_blocks(source, kinds, max_atoms):
            kept = _admit(json.loads(block["listing"]), quarantine)
            for name, writer in writers.items():
                table = pa.parquet.read_table(io.BytesIO(block[name]))
                writer.add(table.filter(pa.compute.is_in(table["row"], pa.array(kept, pa.int64()))))
            on_rows(quarantine.seen)
            if block["fatal"]:
                raise UsageError(block["fatal"])
            quarantine.raise_if_over_limit()
        quarantine.raise_if_over_limit(final=True)
    except TooManyBad as error:
        raise UsageError(f"{source.name}: {error}") from None
    for kind in kinds:
        writers[kind.name].close(
            {
                "graph": {"cutoff": kind.cutoff, "max_neighbours": kind.max_neighbours},
                "made_from": made_from,
                "target": source.target_name,
                "unit": source.unit,
                "total": quarantine.seen,
                "bad": quarantine.bad,
            }
        )
    _write_quarantine(folder / QUARANTINE, quarantine)


def _featurised_blocks(
    source: Source, kinds: Sequence[GraphKind], max_atoms: int
) -> Iterator[dict[str, Any]]:
    """Blocks one by one, as they stand in the source: file order decides the folds."""
    # Files given by path lie where the driver runs, so they are read there. Reading asks for no
    # CPU, or Ray Data would fuse it with the featurising and all would run in this one task.
    here = {f"node:{ray.util.get_node_ip_address()}": 1e-3}
    blocks = ray.data.read_datasource(
        EntryDatasource(source, ROWS_PER_BLOCK),
        override_num_blocks=1,
        num_cpus=0,
        resources=here,
    ).map_batches(
        _featurise_block,
        fn_kwargs={"kinds": tuple(kinds), "max_atoms": max_atoms},
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=1,
    )
    context = blocks.context
    context.enable_progress_bars = context.print_on_execution_start = False
    # By default rows are joined to blocks of 128 MiB, and most data sets are one: all the work
    # would be done by one task. Nothing is below one byte, so each row stays a block.
    context.target_max_block_size = 1
    context.execution_options.preserve_order = True
    # Or the reading, which is faster, would run ahead until the object store is full of text.
    context.execution_options.resource_limits = ExecutionResources(
        object_store_memory=BYTES_UNDER_WAY * ray.cluster_resources().get("CPU", 1)
    )
    yield from blocks.iter_rows()


def _admit(listing: list[dict[str, Any]], quarantine: Quarantine) -> list[int]:
    """Rows of the block that are good and not duplicates."""
    kept = []
    for row in listing:
        entry = Entry(row["row"], row["id"], "", "", "", row["origin"])
        if quarantine.admit(entry):
            if row["reason"]:
                quarantine.add(row["origin"], row["id"], row["reason"], row["row"] + 1)
            else:
                kept.append(row["row"])
    return kept


def _write_quarantine(path: Path, quarantine: Quarantine) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["file", "row", "id", "reason"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(quarantine.rows())
    durable.write_text(path, text.getvalue())


class ShardWriter:
    """Cuts the rows of one kind of graph into shards, named by their content."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pending: list[pa.Table] = []
        self._shards: list[dict[str, Any]] = []
        self._fingerprint = shards.Fingerprint()
        self._crystals = 0

    def add(self, table: pa.Table) -> None:
        """Takes in the next rows, in source order."""
        self._pending.append(table)
        if sum(map(len, self._pending)) >= ROWS_PER_SHARD:
            self._flush()

    def _flush(self) -> None:
        table = pa.concat_tables(self._pending).combine_chunks()
        self._pending = []
        self._fingerprint.update(table)
        content = shards.encode(table)
        digest = hashlib.sha256(content).hexdigest()
        file = f"{len(self._shards):04d}-{digest[:12]}.parquet"
        durable.write_bytes(self._folder / file, content)
        self._shards.append({"file": file, "sha256": digest, "rows": len(table)})
        self._crystals += len(table)

    def close(self, facts: dict[str, Any]) -> None:
        """Writes the manifest, without which the shards do not exist."""
        if self._pending:
            self._flush()
        manifest = {
            "format": shards.FORMAT_VERSION,
            **facts,
            "crystals": self._crystals,
            "fingerprint": self._fingerprint.hexdigest(),
            "shards": self._shards,
        }
        durable.write_json(self._folder / shards.MANIFEST, manifest)
