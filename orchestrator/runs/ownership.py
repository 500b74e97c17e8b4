"""Which folders and files belong to a run: others are never changed, and foreign folders refused.

A run directory is recognised by the mark at the start of its `.lock`, by its manifest or a scale's
facts, or by a record. In it, the names in `layout` belong to the jobs, and all others do
not: nothing here descends into folders that it does not know.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from orchestrator.interface.errors import UsageError
from orchestrator.runs import durable, layout
from trainables.training import record_file

PROGRAM = "elemgrid"  # the program in a manifest
MARK = b"elemgrid run directory\n"  # the first line of each `.lock`
EARLIER = re.compile(rb"pid \d+ on [^\n]*")  # the content of a `.lock` before the mark existed
# What systems put into folders that are otherwise empty.
OF_SYSTEMS = re.compile(r"lost\+found|System Volume Information|\.snapshot|\.nfs[0-9a-f]+")
LARGEST = 2**24  # bytes of a manifest that is read
LOOKED_AT = 50  # records, one of which has to be complete

# Files whose drafts may be in a folder of a run.
DRAFTED: dict[str, Callable[[str], object]] = {
    "": layout.FILES.__contains__,
    layout.RECORDS: re.compile(r".+\.(json|safetensors)", re.DOTALL).fullmatch,
    layout.CHECKPOINTS: layout.SNAPSHOT.fullmatch,
    layout.TABLES: layout.TABLE.fullmatch,
    layout.SUBMISSION: frozenset({"results.json.gz", "info.json"}).__contains__,
}


def demand_ours(run: Path) -> None:
    """Raises UsageError if a folder holds something else than a run; a new run may start in an
    empty or missing folder, and in the remains of a killed or refused job.
    """
    _demand_no_part_of_another(run)
    foreign = next((name for name in _names(run) if not _of_a_beginning(run / name)), None)
    if foreign is None or is_run(run):
        return
    raise UsageError(
        f"--run {run}: holds {foreign!a} and no manifest of {PROGRAM}'s; name a new or an empty"
        " folder, so that nothing of yours is touched"
    )


def is_run(folder: Path) -> bool:
    """Whether a folder is recognisably a run directory."""
    return (
        is_marked(folder)
        or _is_manifest(_read_object(folder / layout.MANIFEST))
        or {"lambda", "source"} <= _read_object(folder / layout.SCALE_FACTS).keys()
        or _has_record(folder / layout.RECORDS)
    )


def _demand_no_part_of_another(run: Path) -> None:
    """Refuses a folder inside another run's own folders, which that run clears; others are fine."""
    path = Path(os.path.abspath(run))
    for one in dict.fromkeys((path, path.resolve())):
        for outer, below in zip(one.parents, (one, *one.parents), strict=False):
            if below.name in layout.FOLDERS and is_run(outer):
                raise UsageError(
                    f"--run {run}: {below.name}/ is the run directory {outer}'s own; name a folder"
                    " beside that"
                )


def _names(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry.name for entry in entries if not OF_SYSTEMS.fullmatch(entry.name))
    except FileNotFoundError:
        return


def _of_a_beginning(path: Path) -> bool:
    """Whether a job that ended before its manifest may have left this: a lock, drafts, folders."""
    name = path.name
    if path.is_symlink():
        return False
    if name == layout.LOCK:
        return path.is_file() and is_lock(_beginning(path))
    if name in layout.FOLDERS:
        return path.is_dir() and not any(path.iterdir())
    return DRAFTED[""](durable.draft_of(name) or "") is True and path.is_file()


def is_lock(content: bytes) -> bool:
    """Whether the start of a `.lock` is ours, and not another program's."""
    return not content or content.startswith(MARK) or EARLIER.fullmatch(content) is not None


def is_marked(folder: Path) -> bool:
    """Whether a job has worked in this folder, which was then empty or a run directory."""
    return _beginning(folder / layout.LOCK).startswith(MARK)


def _beginning(path: Path) -> bytes:
    """The first bytes of a regular file; b"" for a pipe or a link, which may lead anywhere."""
    with suppress(OSError):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                return file.read(1000)
    return b""


def _read_object(path: Path) -> dict[str, Any]:
    """Reads a JSON object; {} if none can be read."""
    with suppress(OSError, ValueError, RecursionError):
        if path.is_file() and path.stat().st_size < LARGEST:
            content = json.loads(path.read_bytes())
            return content if isinstance(content, dict) else {}
    return {}


def _is_manifest(content: dict[str, Any]) -> bool:
    # Manifests from before the program's name have two of these; those of others seldom have both.
    earlier = len({"created", "config", "job"} & content.keys()) >= 2
    return content.get("program") == PROGRAM or earlier


def _has_record(folder: Path) -> bool:
    with suppress(OSError, ValueError, RecursionError):
        found = (path for path in folder.iterdir() if path.suffix == ".json" and path.is_file())
        return any(record_file.opened(path.read_bytes()) for path in islice(found, LOOKED_AT))
    return False


# -------------------------------------------------------------------------------------- removal


def sweep(run: Path) -> None:
    """Removes incomplete files that killed writers have left in a run directory of ours.

    A writer that is still alive gets a FileNotFoundError.
    """
    for place, is_ours in DRAFTED.items():
        for path in durable.drafts(run / place, is_ours):
            if not path.is_dir() or path.is_symlink():
                path.unlink(missing_ok=True)
    for path in durable.drafts(run / layout.SHARDS, bool):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def remove_notes(run: Path, experiment: str) -> None:
    """Removes Ray Tune's and Train's files of an experiment; all else in their folders stays."""
    for folder in (run / layout.TUNE, run / layout.TRAIN):
        if not folder.is_symlink():
            shutil.rmtree(folder / experiment, ignore_errors=True)
            with suppress(OSError):
                folder.rmdir()


def remove_beginnings(run: Path, made: Sequence[Path]) -> None:
    """Removes what a job made that was refused at its start: its lock, and the folders in `made`.

    If anything else is in them, all stays.
    """
    for name in layout.FOLDERS:
        with suppress(OSError):  # not empty, or missing
            (run / name).rmdir()
    if os.listdir(run) == [layout.LOCK]:
        (run / layout.LOCK).unlink()
        with suppress(OSError):  # something else is in a parent
            for folder in made:
                folder.rmdir()
