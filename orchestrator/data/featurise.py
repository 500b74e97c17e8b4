"""Structures → checks → crystal graphs → Parquet shards, which the workers of Ray write."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.data.entries import EntryBlocks
from orchestrator.data.shard_writer import ShardWriter, WrittenShard
from orchestrator.interface.errors import UsageError
from orchestrator.interface.spreadsheet import spreadsheet_safe
from orchestrator.runs import durable, layout
from orchestrator.runs.run_directory import slug
from trainables import checksum
from trainables.crystals.crystal import Entry
from trainables.crystals.sources import Source
from trainables.representations import shards
from trainables.representations.columns import column_of
from trainables.representations.featurise import featurise
from trainables.representations.graph import CrystalGraph
from trainables.targets.base import NUMBER, Target
from trainables.targets.kinds import kind_of


def folder_of(run: Path, name: str) -> Path:
    """The folder of a data set, with a subfolder for each kind of graph."""
    return run / layout.SHARDS / slug(name)


def any_graphs_of(run: Path, name: str, or_else: str = "") -> Path:
    """The shards of one kind of graph; crystals, targets and formulas are the same in all kinds.

    Args:
        or_else: an alternative for the user to featurising again.

    Raises:
        UsageError: there are none.
    """
    folder = folder_of(run, name)
    found = sorted(folder.glob(f"*/{shards.MANIFEST}"))
    if not found:
        raise UsageError(f"{folder}: no shards; run hybrid_grid again to featurise{or_else}")
    return found[0].parent


QUARANTINE = "quarantine.csv"
SHARD = re.compile(rf"\d{{4,}}-[0-9a-f]{{12}}\.parquet|{re.escape(shards.MANIFEST)}")  # of a kind


@dataclass(frozen=True)
class Featurised:
    """A data set in the run directory: a folder of shards for each kind of graph.

    Attributes:
        folders, fingerprints: by kind's name.
        crystals, total, bad: numbers of good ones, rows of the source, and quarantined ones.
        folds: digest of the folds of `--groups` or `--split`; "" for the official ones.
        values: the distinct targets if they are numbers, and two at most; else nothing.
    """

    folders: dict[str, Path]
    fingerprints: dict[str, str]
    crystals: int
    total: int
    bad: int
    folds: str = ""
    values: tuple[float, ...] = ()


def _featurise_block(
    entries: list[Entry],
    kinds: Sequence[CrystalGraph],
    max_atoms: int,
    target: Target,
    folder: Path,
) -> tuple[list[str], dict[str, bytes]]:
    """Writes the good entries of a block to a shard of each kind.

    Returns:
        Why each entry is bad, or "", and by kind the shard written.
    """
    sys.audit("elemgrid.featurise", *(entry.id for entry in entries[:1]))
    result = featurise(entries, kinds, max_atoms, target)
    known = column_of(kind_of(target))
    good = [entry for entry, why in zip(entries, result.reasons, strict=True) if not why]
    ids, rows = [entry.id for entry in good], np.array([entry.row for entry in good], np.int64)
    written = {
        name: WrittenShard.write(
            folder / name, entries[0].row, shards.to_table(ids, rows, result.target, graphs, known)
        ).encode()
        for name, graphs in result.graphs.items()
        if good
    }
    return result.reasons, written


def featurise_source(
    source: Source,
    kinds: Sequence[CrystalGraph],
    folder: Path,
    *,
    max_bad: float | None,
    max_atoms: int,
    target: Target = NUMBER,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> Featurised:
    """Featurises a source into `folder`/<kind>/, unless that has been done and is undamaged.

    Args:
        kinds: of graphs, all made from one neighbour search.
        target: what is read from the source's cells.
        max_bad: share of bad crystals above which nothing is written; None for 1 %, or a few.
        on_rows: called now and then with the number of rows done so far.

    Raises:
        UsageError: source or shards cannot be read, or too many of the crystals are bad.
    """
    made_from = _made_from(source, max_atoms)
    done = _existing(folder, kinds, made_from)
    if done is not None and _undamaged(done, kinds, source.name):
        return done
    _demand_ours(folder)
    durable.make_folder(folder.parent)
    # The draft of a killed driver is removed by the next one, by its name.
    scratch = durable.name_draft(folder)
    scratch.mkdir()
    try:
        _write(source, kinds, scratch, target, made_from, max_bad, max_atoms, on_rows)
        _demand_ours(folder)
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)
        durable.sync(folder.parent)
    except BaseException:
        _discard(scratch)
        raise
    written = _existing(folder, kinds, made_from)
    assert written is not None
    return written


def _discard(scratch: Path) -> None:
    """Removes a draft, under another name first: late workers find no folder to write into."""
    with suppress(FileNotFoundError):
        shutil.rmtree(scratch.rename(durable.name_draft(scratch)), ignore_errors=True)


def _demand_ours(folder: Path) -> None:
    """Raises UsageError if something else lies in a folder that is to be rewritten."""
    for path in folder.rglob("*"):
        inner = len(path.relative_to(folder).parts) == 2
        ours = SHARD.fullmatch(path.name) if inner else path.is_dir() or path.name == QUARANTINE
        if not ours or path.is_symlink():
            reason = f"is not of the shards in {folder}, which are to be made anew; move it away"
            raise UsageError(f"{path}: {reason}")


def featurised_before(
    source: Source, kinds: Sequence[CrystalGraph], folder: Path, *, max_atoms: int
) -> Featurised | None:
    """What `featurise_source` would find done; None where it would have to work."""
    return _existing(folder, kinds, _made_from(source, max_atoms))


def _made_from(source: Source, max_atoms: int) -> dict[str, Any]:
    return {
        "source": source.digest(),
        "target": source.target_name,
        "max_atoms": max_atoms,
    }


def _identity(made_from: dict[str, Any], kind: CrystalGraph) -> dict[str, Any]:
    """The manifest's entries that identify shards; those with other entries are rebuilt."""
    return {"made_from": made_from, "representation": dataclasses.asdict(kind)}


def _existing(
    folder: Path, kinds: Sequence[CrystalGraph], made_from: dict[str, Any]
) -> Featurised | None:
    manifests = {}
    for kind in kinds:
        asked = _identity(made_from, kind)
        try:
            manifest = json.loads((folder / kind.name / shards.MANIFEST).read_text())
            if asked != {name: manifest[name] for name in asked} or not checksum.matches(manifest):
                return None
            if manifest["format"] != shards.FORMAT_VERSION:
                return None
            quarantine = manifest.get("quarantine")
            if quarantine is not None and _digest(folder / QUARANTINE) != quarantine:
                return None
        except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
            return None
        manifests[kind.name] = manifest
    first = next(iter(manifests.values()))
    return Featurised(
        folders={name: folder / name for name in manifests},
        fingerprints={name: manifest["fingerprint"] for name, manifest in manifests.items()},
        crystals=first["crystals"],
        total=first["total"],
        bad=first["bad"],
        values=tuple(first.get("values", ())),
    )


def _undamaged(done: Featurised, kinds: Sequence[CrystalGraph], name: str) -> bool:
    """Whether all shards match their manifests; reports the first one that does not."""
    try:
        for kind in kinds:
            shards.listing(done.folders[kind.name], kind.columns)
    except shards.DamagedError as error:
        print(f"{error.what}; {name} is featurised again", file=sys.stderr, flush=True)
        return False
    except shards.ShardError as error:
        raise UsageError(str(error)) from None
    return True


def _write(
    source: Source,
    kinds: Sequence[CrystalGraph],
    folder: Path,
    target: Target,
    made_from: dict[str, Any],
    max_bad: float | None,
    max_atoms: int,
    on_rows: Callable[[int], None],
) -> None:
    known = column_of(kind_of(target))
    writers = {kind.name: ShardWriter(folder / kind.name, kind.columns, known) for kind in kinds}
    work = partial(
        _featurise_block,
        kinds=tuple(kinds),
        max_atoms=max_atoms,
        target=target,
        folder=folder.resolve(),
    )
    blocks = EntryBlocks(source, work, max_bad)
    for block in blocks:
        for name, written in block.made.items():
            writers[name].note(WrittenShard.decode(written))
        on_rows(blocks.quarantine.seen)
    quarantine = blocks.quarantine
    write_quarantine(folder / QUARANTINE, quarantine.rows())
    for kind in kinds:
        writers[kind.name].close(
            {
                **_identity(made_from, kind),
                "target": source.target_name,
                "unit": source.unit,
                "total": quarantine.seen,
                "bad": quarantine.bad,
                "quarantine": _digest(folder / QUARANTINE),
            }
        )


def _digest(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def keep_quarantine(run: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Writes the list into a run; an empty one only in place of an earlier one."""
    if rows or (run / QUARANTINE).exists():
        write_quarantine(run / QUARANTINE, rows)


def write_quarantine(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Writes a CSV of what was left out: file, row, id and reason."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["file", "row", "id", "reason"], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: spreadsheet_safe(cell) for name, cell in row.items()})
    durable.write_text(path, text.getvalue())
