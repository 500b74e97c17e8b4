"""The run directory: whose it is, what was asked of it, and who works in it."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.interface.errors import UsageError
from orchestrator.runs import durable
from orchestrator.runs.layout import MANIFEST
from trainables.crystals.sources.base import is_text

LOCK = ".lock"
DEFAULT_JOB = "hybrid_grid"  # whose manifests do not say


def slug(name: str) -> str:
    """A data set's name as the name of a folder."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip(".") or "data"


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Keeps a second driver out of a run directory, and clears away what a dead one left half.

    The lock is the kernel's: it goes when the process does, however that ends, and what the process
    has started does not inherit it.

    Raises:
        UsageError: another driver works in it, who is named by host and pid; or it cannot be
            written.
    """
    with ExitStack() as held:
        try:
            demand_folder(run)
            file, fresh = _open_and_take(run, held)
            # Under the lock nobody else writes here but workers of a driver that died, which
            # record nothing that anybody waits for.
            durable.remove_leftovers(run)
        except OSError as error:
            raise UsageError(f"--run {run}: cannot be written ({error.strerror})") from None
        try:
            yield
        finally:
            # What ended the job, a full disk for one, is to be told and not what it means here.
            with suppress(OSError):
                os.ftruncate(file, 0)
                if fresh:
                    _remove_if_empty(run)


def demand_folder(run: Path) -> None:
    """Raises UsageError where a run directory can neither be nor be made: its path is no folder's.

    The name is to be text, since report and tables tell it.
    """
    if not is_text(str(run)):
        raise UsageError(f"--run {str(run)!a}: its name is not UTF-8; name another folder")
    try:
        taken = next((path for path in (run, *run.parents) if path.exists()), run)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", error)
        raise UsageError(f"--run {_shown(run)}: cannot be written ({why})") from None
    if taken.exists() and not taken.is_dir():
        raise UsageError(f"--run {run}: cannot be written ({taken} is no folder); name another")


def _shown(run: Path) -> str:
    text = str(run)
    return text if len(text) < 200 else f"{text[:100]}…"


def _open_and_take(run: Path, held: ExitStack) -> tuple[int, bool]:
    """The lock's file, open as long as `held`, its lock ours; and whether the folder is new."""
    while True:
        fresh = not run.exists()
        durable.make_folder(run)
        with ExitStack() as own:
            file = os.open(run / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
            own.callback(os.close, file)
            _take(run, file)
            # A driver that was refused removes its folder: then this lock is of a file that nobody
            # else will find any more.
            if _same(file, run / LOCK):
                held.push(own.pop_all())
                return file, fresh


def _same(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _take(run: Path, file: int) -> None:
    """Takes the lock and writes down who has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(file, 1000, 0).decode(errors="replace").strip() or "another process"
        raise UsageError(
            f"--run {run}: {holder} is working in it; wait for it or name another folder"
        ) from None
    os.ftruncate(file, 0)
    os.write(file, f"pid {os.getpid()} on {platform.node()}".encode())


def _remove_if_empty(run: Path) -> None:
    """A job that was refused at its very start leaves no folder behind."""
    folders = [path for path in sorted(run.rglob("*"), reverse=True) if path.is_dir()]
    if any(path.is_file() and path.name != LOCK for path in run.rglob("*")):
        return
    (run / LOCK).unlink(missing_ok=True)
    for folder in [*folders, run]:
        folder.rmdir()


def open_manifest(
    run: Path, job: str, asked: Mapping[str, Any], *, what: str, extend: bool
) -> None:
    """Refuses a run directory that was made for something else.

    Args:
        asked: entries of the manifest as they would be now; one that it lacks is not compared.
        what: is asked of the job, in a word.
        extend: the person wants the run directory to be for what is asked now.

    Raises:
        UsageError: another job's, or the manifest differs; the differences are named.
    """
    path = run / MANIFEST
    if not path.exists():
        return
    try:
        manifest = json.loads(path.read_text())
        before = {name: manifest[name] for name in asked if name in manifest}
        other = manifest.get("job", DEFAULT_JOB)
    except (ValueError, TypeError, AttributeError):
        raise UsageError(f"{path}: damaged; remove it, the records are kept") from None
    if other != job:
        raise UsageError(f"--run {run}: holds a run of {other}; name another folder")
    now = json.loads(json.dumps({name: asked[name] for name in before}))
    difference = "; ".join(_differences(before, now))
    if difference and not extend:
        raise UsageError(
            f"--run {run} holds another {what} ({difference}); name another folder, or add --extend"
            f" to make it this {what}'s: models that both have are kept and not trained again"
        )


def _differences(was: dict[str, Any], now: dict[str, Any], of: str = "") -> Iterator[str]:
    """What differs, entry by entry."""
    for name in now | was:
        one, other = was.get(name), now.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            yield from _differences(one, other, "" if name == "config" else f"{name} ")
        elif one != other:
            yield f"{of}{name} was {_brief(one)}, is {_brief(other)}"


def _brief(value: Any) -> Any:
    """A value as a line has room for it: of a digest the first digits."""
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{32,}", value):
        return value[:12]
    return "nothing" if value is None else value


def write_manifest(run: Path, content: dict[str, Any]) -> None:
    """Writes the manifest; `created` stays that of the first time, `sessions` has each time."""
    path = run / MANIFEST
    now = datetime.now(UTC).isoformat(timespec="seconds")
    created, sessions = now, []
    with suppress(FileNotFoundError, ValueError, AttributeError):
        before = json.loads(path.read_text())
        created = before.get("created", now)
        sessions = before.get("sessions", [created])
    durable.write_json(path, {"created": created, "sessions": [*sessions, now], **content})
