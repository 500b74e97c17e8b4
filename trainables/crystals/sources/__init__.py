"""Sources of crystals: one class for each file layout, with a common interface."""

from __future__ import annotations

from pathlib import Path

from trainables.crystals.sources.base import ANY_COLUMN, Source, SourceError, is_text
from trainables.crystals.sources.extxyz import ExtendedXYZ
from trainables.crystals.sources.files import is_structure
from trainables.crystals.sources.folder import TABLE, Folder
from trainables.crystals.sources.matbench import MatBench
from trainables.crystals.sources.records import JsonRecords, is_list
from trainables.crystals.sources.refused import why_refused
from trainables.crystals.sources.table import CsvTable
from trainables.printable import printable

LAYOUTS = (
    "a MatBench .json.gz, a .json list of structures, a folder with id_prop.csv, "
    "a .csv or .csv.gz with a cif or path column, a .parquet with a structure column, "
    "an .xyz, .traj or .db of ASE"
)


def open_source(
    path: Path,
    target: str | None = None,
    name: str | None = None,
    *,
    follow_links: bool = False,
) -> Source:
    """Opens the source for a path, by its suffix.

    Args:
        target: its column; `ANY_COLUMN` if only crystals are requested, so that no row needs a
            target and none is returned.
        name: of the data set; the file's unless given.
        follow_links: whether the structure files of a folder may be links that lead out of it.

    Raises:
        SourceError: one line; there is no such file, or its kind is unknown.
    """
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder; check the path")
    if not is_text(path.resolve().name):
        raise SourceError(f"{str(path)!a}: its name is not UTF-8; rename it")
    called = name or path.resolve().name
    if printable(called) != called:
        raise SourceError(f"{path}: {called!r} holds characters that no screen shows; rename it")
    if path.name == TABLE:
        path = path.parent
    if path.is_dir():
        return Folder(path, target, name, follow_links=follow_links)
    if not path.is_file():
        raise SourceError(f"{path}: neither a file nor a folder; give a file")
    plain = path.name.lower().removesuffix(".gz")
    if plain.endswith(".json"):
        return (JsonRecords if is_list(path) else MatBench)(path, target, name)
    if plain.endswith((".csv", ".tsv")):
        return CsvTable(path, target, name, follow_links=follow_links)
    if plain.endswith((".parquet", ".pq")):
        from trainables.crystals.sources.parquet import ParquetTable  # imports pyarrow

        return ParquetTable(path, target, name)
    if plain.endswith((".xyz", ".extxyz")):
        return ExtendedXYZ(path, target, name)
    if path.name.lower().endswith(".traj"):
        from trainables.crystals.sources.trajectory import Trajectory

        return Trajectory(path, target, name)
    if path.name.lower().endswith(".db"):
        from trainables.crystals.sources.ase_database import AseDatabase

        return AseDatabase(path, target, name)
    if why := why_refused(path):
        raise SourceError(f"{path}: {why}")
    if is_structure(path):
        raise SourceError(
            f"{path}: one structure; give the folder of many, with their targets in id_prop.csv, or"
            f" {LAYOUTS}"
        )
    raise SourceError(f"{path}: unknown kind of file; give {LAYOUTS}")


__all__ = [
    "ANY_COLUMN",
    "LAYOUTS",
    "CsvTable",
    "Folder",
    "JsonRecords",
    "MatBench",
    "Source",
    "SourceError",
    "open_source",
]
