"""From what the person writes after ``--tasks`` to a source of crystals."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from orchestrator.data.download import digest, download
from orchestrator.interface.errors import UsageError
from trainables.crystals.ionic import IonicSource
from trainables.crystals.registry import STRUCTURE_TASKS, TASKS, Task
from trainables.crystals.sources import LAYOUTS, MatBench, Source, SourceError, open_source

EMBEDDED = "ionic"
_PREFIX = "matbench_"


def resolve(
    spec: str,
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
    *,
    target: str | None = None,
) -> Source:
    """The source that ``spec`` names: a MatBench task, ``ionic``, or ``PATH[:TARGET]``.

    A task (with or without ``matbench_``) is taken from ``data_dir`` if its file is there, else
    from the cache, else fetched into it; its SHA-256 is checked each time. A task's name goes
    before a file of the same name: write ``./phonons`` for the file. ``cache_dir`` defaults to
    ``user_cache()``; ``target`` is that of a path which names none. Raises UsageError in one line.
    """
    name = spec.removeprefix(_PREFIX)
    try:
        if spec == EMBEDDED:
            return IonicSource()
        if name in TASKS:
            return _task(TASKS[name], data_dir, cache_dir or user_cache())
        return _path(spec, target)
    except SourceError as error:
        raise UsageError(str(error)) from None
    except (OSError, RuntimeError) as error:  # of a name too long, of a person's home unknown
        why = getattr(error, "strerror", None) or str(error).rstrip(".")
        shown = spec if len(spec) < 200 else f"{spec[:100]}…"
        raise UsageError(f"{shown}: {why}; check the path") from None


def is_here(spec: str, data_dir: Path | None = None, cache_dir: Path | None = None) -> bool:
    """Whether ``resolve`` would find ``spec`` without fetching anything."""
    task = TASKS.get(spec.removeprefix(_PREFIX))
    if task is None or task.kind == "composition":
        return True
    given = data_dir is not None and (data_dir / task.file_name).is_file()
    return given or _is_kept(task, cache_dir or user_cache())


def _is_kept(task: Task, cache: Path) -> bool:
    kept = cache / task.file_name
    return kept.is_file() and _digest(kept).startswith(task.sha256)


def user_cache() -> Path:
    """$ELEMGRID_CACHE, else ``elemgrid`` in $XDG_CACHE_HOME or ``~/.cache``."""
    if own := os.environ.get("ELEMGRID_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "elemgrid"


def _task(task: Task, data_dir: Path | None, cache: Path) -> Source:
    if task.kind == "composition" or task.url is None:
        raise UsageError(
            f"{task.name}: a composition task, it has formulas and no crystals; the transfer job "
            f"takes it, this one takes {', '.join(STRUCTURE_TASKS)}"
        )
    if data_dir is not None:
        if not data_dir.is_dir():
            raise UsageError(f"{data_dir}: --data-dir is not a folder; check the path")
        given = data_dir / task.file_name
        if given.is_file():
            demand_digest(given, task)
            return MatBench(given, name=task.name)
    kept = cache / task.file_name
    if not _is_kept(task, cache):
        download(task.url, kept, task.sha256)
    return MatBench(kept, name=task.name)


def demand_digest(path: Path, task: Task) -> None:
    """Raises UsageError where a file is not the task's, byte by byte."""
    found = _digest(path)
    if not found.startswith(task.sha256):
        raise UsageError(
            f"{path}: SHA-256 {found[:12]}… is not that of MatBench's {task.name} "
            f"({task.sha256}…); fetch it again, or give the file as a PATH if it is meant to differ"
        )


def _digest(path: Path) -> str:
    try:
        return digest(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from None


def _path(spec: str, default: str | None) -> Source:
    """``PATH[:TARGET]``; a colon belongs to the path if a file of that whole name exists."""
    path = Path(spec).expanduser()
    if spec and path.exists():
        return open_source(path, default)
    at = spec.rfind(":")
    while at > 0:
        path, target = Path(spec[:at]).expanduser(), spec[at + 1 :]
        if path.exists():
            if not target.strip():
                raise UsageError(f"{spec}: no target after the colon; write {spec}COLUMN")
            return open_source(path, target)
        at = spec.rfind(":", 0, at)
    raise UsageError(_unknown(spec))


def _unknown(spec: str) -> str:
    names = [EMBEDDED, *TASKS]
    close = difflib.get_close_matches(spec.lower().removeprefix(_PREFIX), names, n=1)
    if close:
        return f"{spec}: no such data set or file; did you mean {close[0]}?"
    looks_like_path = "/" in spec or "." in spec
    if looks_like_path:
        return f"{spec}: no such file or folder; check the path"
    known = ", ".join([EMBEDDED, *STRUCTURE_TASKS])
    return f"{spec!r}: no such data set or file; known are {known}, or give {LAYOUTS}"
