"""The run directory: its lock, its manifest, and the comparison with what is asked now."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from orchestrator.interface.errors import UsageError
from orchestrator.interface.job import OK
from orchestrator.runs import durable, lease, ownership
from orchestrator.runs.layout import MANIFEST
from orchestrator.runs.ownership import PROGRAM
from trainables import checksum
from trainables.crystals.sources.base import is_text

T = TypeVar("T")

DEFAULT_JOB = "hybrid_grid"  # of manifests without an entry


class Asked(Protocol):
    """What the user asks of a job that works in a run directory."""

    @property
    def run(self) -> Path: ...

    @property
    def dry_run(self) -> bool: ...


AskedOf = TypeVar("AskedOf", bound=Asked)


def slug(name: str) -> str:
    """A data set's name as the name of a folder."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip(".") or "data"


@contextmanager
def locked(run: Path) -> Iterator[str]:
    """Locks a run directory against other drivers, and removes incomplete files of a dead one.

    Yields the token of the lease, by which workers check that it still holds.

    Raises:
        UsageError: another driver, named by host and pid, works in it; it belongs to something
            else, and nothing in it is changed; or it cannot be written.
    """
    with ExitStack() as stack:
        try:
            demand_folder(run)
            token = stack.enter_context(lease.held(run))
            # Under the lease nobody else writes here except workers of a dead driver, whose
            # records nobody waits for.
            ownership.sweep(run)
        except OSError as error:
            raise UsageError(f"--run {run}: cannot be written ({error.strerror})") from None
        yield token


def look_then_work(
    options: AskedOf, look: Callable[[AskedOf], T], work: Callable[[AskedOf, T], None]
) -> int:
    """Checks the options with `look`, then runs `work` on the result under the lock.

    Args:
        look: finds all that can be wrong with the options, and changes nothing; --dry-run stops
            after it.
    """
    found = look(options)
    if options.dry_run:
        demand_folder(options.run)
        print("the input is sound; nothing is written")
        return OK
    with locked(options.run):
        work(options, found)
    return OK


def demand_folder(run: Path) -> None:
    """Raises UsageError if a run directory neither exists nor can be made.

    The path may be no folder, or a folder that belongs to something else (`ownership.demand_ours`).
    The name has to be valid text, since report and tables show it.
    """
    if not is_text(str(run)):
        raise UsageError(f"--run {str(run)!a}: its name is not UTF-8; name another folder")
    if str(run).startswith("~"):
        home = "the shell leaves ~ as it is here (in quotes, or after =); write the folder out"
        raise UsageError(f"--run {run}: {home}")
    try:
        taken = next((path for path in (run, *run.parents) if path.exists()), run)
        if taken.is_dir():
            ownership.demand_ours(run)
    except UsageError:
        raise
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", error)
        raise UsageError(f"--run {_shown(run)}: cannot be written ({why})") from None
    if taken.exists() and not taken.is_dir():
        raise UsageError(f"--run {run}: cannot be written ({taken} is no folder); name another")


def _shown(run: Path) -> str:
    text = str(run)
    return text if len(text) < 200 else f"{text[:100]}…"


def open_manifest(
    run: Path, job: str, asked: Mapping[str, Any], *, what: str, extend: bool
) -> None:
    """Refuses a run directory that was made for something else.

    Args:
        asked: entries of the manifest as they would be now; entries that it lacks are not compared.
        what: a word for what is asked of the job.
        extend: the user wants to change the run directory to what is asked now.

    Raises:
        UsageError: another job's, or the manifest differs; the differences are named.
    """
    path = run / MANIFEST
    if not path.exists():
        return
    try:
        manifest = json.loads(path.read_text())
        if checksum.DIGEST in manifest and not checksum.matches(manifest):
            raise ValueError("its digest is another")
        before = {name: manifest[name] for name in asked if name in manifest}
        other = manifest.get("job", DEFAULT_JOB)
    except (ValueError, TypeError, AttributeError, RecursionError):
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
    """Yields the differences, entry by entry."""
    for name in now | was:
        one, other = was.get(name), now.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            yield from _differences(one, other, "" if name == "config" else f"{name} ")
        elif one != other:
            yield f"{of}{name} was {_brief(one)}, is {_brief(other)}"


def _brief(value: Any) -> Any:
    """A value shortened for a message: of a digest the first digits."""
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{32,}", value):
        return value[:12]
    return "nothing" if value is None else value


def write_manifest(run: Path, content: dict[str, Any], *, works: bool = True) -> None:
    """Writes the manifest; `created` keeps the time of the first one.

    Args:
        works: whether anything is left to do, so that this counts as one of the run's `sessions`.
    """
    path = run / MANIFEST
    now = datetime.now(UTC).isoformat(timespec="seconds")
    created, sessions = now, []
    with suppress(FileNotFoundError, ValueError, AttributeError):
        before = json.loads(path.read_text())
        created = before.get("created", now)
        sessions = before.get("sessions", [created])
    sessions = [*sessions, now] if works or not sessions else sessions
    whole = {"program": PROGRAM, "created": created, "sessions": sessions, **content}
    durable.write_json(path, checksum.add(whole))
