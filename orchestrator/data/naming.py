"""Resolves the name of a data set to its file, which is on this machine or is downloaded."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.data.download import digest, download
from orchestrator.interface.errors import UsageError
from trainables.crystals.registry import PREFIX, TASKS, Task


@dataclass(frozen=True, kw_only=True)
class Given:
    """A file as given on the command line: `[NAME=]PATH[:TARGET]`."""

    path: Path
    target: str | None = None
    name: str | None = None


def task_named(spec: str) -> Task | None:
    """The MatBench task of a name, with or without `matbench_`; it has precedence over a file."""
    return TASKS.get(spec.removeprefix(PREFIX))


def given_file(spec: str, known: Sequence[str], layouts: str) -> Given:
    """Parses the file that `spec` names; `~` is the home folder.

    A colon or an equals sign belongs to the path if a file with that whole name exists.

    Args:
        known: names of data sets that could have been meant.
        layouts: descriptions of the accepted file formats.

    Raises:
        UsageError: there is no such file; the line suggests what may have been meant.
    """
    name, equals, rest = spec.partition("=")
    readings: list[tuple[str | None, str]] = [(None, spec)]
    if equals and name.strip():
        readings.append((name.strip(), rest))
    for named, text in readings:
        found = _path_and_target(spec, text)
        if found is not None:
            return Given(path=found[0], target=found[1], name=named)
    raise UsageError(_unknown(spec, known, layouts))


def _path_and_target(spec: str, text: str) -> tuple[Path, str | None] | None:
    path = _expanded(text)
    if text and path.exists():
        return path, None
    at = text.rfind(":")
    while at > 0:
        path, target = _expanded(text[:at]), text[at + 1 :]
        if path.exists():
            if not target.strip():
                raise UsageError(f"{spec}: no target after the colon; write {spec}COLUMN")
            return path, target
        at = text.rfind(":", 0, at)
    return None


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~ of an unknown user, so there is no such file
        return Path(text)


def _unknown(spec: str, known: Sequence[str], layouts: str) -> str:
    close = difflib.get_close_matches(spec.lower().removeprefix(PREFIX), known, n=1)
    if close:
        return f"{spec}: no such data set or file; did you mean {close[0]}?"
    if "/" in spec or "." in spec:  # it looks like a path
        return f"{spec}: no such file or folder; check the path"
    return f"{spec!r}: no such data set or file; known are {', '.join(known)}, or give {layouts}"


def file_of(
    task: Task, data_dir: Path | None, cache_dir: Path | None, *, or_else: Sequence[str] = ()
) -> Path:
    """A task's file from `data_dir` if it is there, else from the cache, else downloaded into it.

    Its SHA-256 is checked each time.

    Args:
        cache_dir: `user_cache()` unless given.
        or_else: names of other files in `data_dir` that hold the task; they are not checked.

    Raises:
        UsageError: in one line.
    """
    if data_dir is not None:
        data_dir = data_dir.expanduser()
        if not data_dir.is_dir():
            raise UsageError(f"{data_dir}: --data-dir is not a folder; check the path")
        given = data_dir / task.file_name
        if given.is_file():
            _demand_digest(given, task)
            return given
        for other in or_else:
            if (data_dir / other).is_file():
                return data_dir / other
    kept = (cache_dir or user_cache()) / task.file_name
    if not _is_kept(kept, task):
        try:
            download(task.url, kept, task.sha256)
        except UsageError as error:
            if data_dir is None:
                raise
            names = ", ".join((task.file_name, *or_else))
            raise UsageError(f"--data-dir {data_dir} has none of {names}; {error}") from None
    return kept


def is_at_hand(task: Task, data_dir: Path | None, cache_dir: Path | None) -> bool:
    """Whether `file_of` would find a task's file without downloading anything."""
    if data_dir is not None and (data_dir.expanduser() / task.file_name).is_file():
        return True
    return _is_kept((cache_dir or user_cache()) / task.file_name, task)


def user_cache() -> Path:
    """$ELEMGRID_CACHE, else ``elemgrid`` in $XDG_CACHE_HOME or ``~/.cache``."""
    if own := os.environ.get("ELEMGRID_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "elemgrid"


def _is_kept(kept: Path, task: Task) -> bool:
    return kept.is_file() and _digest(kept).startswith(task.sha256)


def _demand_digest(path: Path, task: Task) -> None:
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
