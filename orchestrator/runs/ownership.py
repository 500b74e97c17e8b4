"""Whose a folder is. What is not a run's is never touched, and a folder that is not is refused.

A run directory is known by the mark that its `.lock` begins with, by its manifest or a scale's
facts, or by a record. In it the names of `layout` are the jobs', and all others are somebody
else's, whatever they are: nothing here walks through folders that it does not know.
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

PROGRAM = "elemgrid"  # as a manifest says whose it is
MARK = b"elemgrid run directory\n"  # the first line of each `.lock`
EARLIER = re.compile(rb"pid \d+ on [^\n]*")  # what a `.lock` held before it had a mark
# What systems put into folders that are empty for everybody else.
OF_SYSTEMS = re.compile(r"lost\+found|System Volume Information|\.snapshot|\.nfs[0-9a-f]+")
LARGEST = 2**24  # bytes of a manifest that is read
LOOKED_AT = 50  # records of which one has to be whole

# Files whose drafts may lie in a folder of a run.
DRAFTED: dict[str, Callable[[str], object]] = {
    "": layout.FILES.__contains__,
    layout.RECORDS: re.compile(r".+\.(json|safetensors)", re.DOTALL).fullmatch,
    layout.CHECKPOINTS: layout.SNAPSHOT.fullmatch,
    layout.TABLES: layout.TABLE.fullmatch,
    layout.SUBMISSION: frozenset({"results.json.gz", "info.json"}).__contains__,
}


def demand_ours(run: Path) -> None:
    """Raises UsageError where a folder holds something and is no run directory; one may begin in
    an empty folder, in what a killed or refused job has left, and where nothing is yet.
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
    """Whether a folder says that it is a run directory."""
    return (
        is_marked(folder)
        or _is_manifest(_read_object(folder / layout.MANIFEST))
        or {"lambda", "source"} <= _read_object(folder / layout.SCALE_FACTS).keys()
        or _has_record(folder / layout.RECORDS)
    )


def _demand_no_part_of_another(run: Path) -> None:
    """A run may lie in another one's folder, but not where that one keeps and clears away."""
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
    """Whether it is what a job leaves that ended before its manifest: a lock, drafts, folders."""
    name = path.name
    if path.is_symlink():
        return False
    if name == layout.LOCK:
        return path.is_file() and is_lock(_beginning(path))
    if name in layout.FOLDERS:
        return path.is_dir() and not any(path.iterdir())
    return DRAFTED[""](durable.draft_of(name) or "") is True and path.is_file()


def is_lock(content: bytes) -> bool:
    """Whether the beginning of a `.lock` is ours, and not another program's."""
    return not content or content.startswith(MARK) or EARLIER.fullmatch(content) is not None


def is_marked(folder: Path) -> bool:
    """Whether a job has been in a folder that was empty or a run before."""
    return _beginning(folder / layout.LOCK).startswith(MARK)


def _beginning(path: Path) -> bytes:
    """Of a file, not of a pipe or a link to what may be anything."""
    with suppress(OSError):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                return file.read(1000)
    return b""


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON object; nothing where there is none that can be read."""
    with suppress(OSError, ValueError, RecursionError):
        if path.is_file() and path.stat().st_size < LARGEST:
            content = json.loads(path.read_bytes())
            return content if isinstance(content, dict) else {}
    return {}


def _is_manifest(content: dict[str, Any]) -> bool:
    # Those from before there was a name in them have two of these, and others' seldom both.
    earlier = len({"created", "config", "job"} & content.keys()) >= 2
    return content.get("program") == PROGRAM or earlier


def _has_record(folder: Path) -> bool:
    with suppress(OSError, ValueError, RecursionError):
        found = (path for path in folder.iterdir() if path.suffix == ".json" and path.is_file())
        return any(record_file.opened(path.read_bytes()) for path in islice(found, LOOKED_AT))
    return False


# --------------------------------------------------------------------------------- what is removed


def sweep(run: Path) -> None:
    """Removes what killed writers have left half in a run directory that is ours.

    A writer that lives on gets a FileNotFoundError instead of its file.
    """
    for place, is_ours in DRAFTED.items():
        for path in _drafts(run / place, is_ours):
            if not path.is_dir() or path.is_symlink():
                path.unlink(missing_ok=True)
    for path in _drafts(run / layout.SHARDS, bool):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def _drafts(folder: Path, is_ours: Callable[[str], object]) -> list[Path]:
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / name for name in names if is_ours(durable.draft_of(name) or "")]


def remove_tunes(run: Path, experiment: str) -> None:
    """Removes what Ray Tune wrote of an experiment; what else is in its folder stays."""
    folder = run / layout.TUNE
    if not folder.is_symlink():
        shutil.rmtree(folder / experiment, ignore_errors=True)
        with suppress(OSError):
            folder.rmdir()


def remove_beginnings(run: Path, made: Sequence[Path]) -> None:
    """Removes what a job made that was refused at its start: its lock, and the folders it `made`.

    Where it has left anything else, all stays.
    """
    for name in layout.FOLDERS:
        with suppress(OSError):  # in use, or not there
            (run / name).rmdir()
    if os.listdir(run) == [layout.LOCK]:
        (run / layout.LOCK).unlink()
        with suppress(OSError):  # somebody else uses one above
            for folder in made:
                folder.rmdir()
