"""Resolves the arguments of ``--tasks`` to sources of crystals."""

from __future__ import annotations

from pathlib import Path

from orchestrator.data.naming import file_of, given_file, is_at_hand, task_named
from orchestrator.interface.errors import UsageError
from trainables.crystals.ionic import IonicSource
from trainables.crystals.registry import LEADERBOARD, PREFIX, STRUCTURE_TASKS
from trainables.crystals.sources import LAYOUTS, MatBench, Source, SourceError, open_source

EMBEDDED = "ionic"


def resolve(
    spec: str,
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
    *,
    target: str | None = None,
    follow_links: bool = False,
) -> Source:
    """Finds the source that ``spec`` names: MatBench task, ``ionic``, or ``[NAME=]PATH[:TARGET]``.

    A task (with or without ``matbench_``) is read from ``data_dir`` if its file is there, else
    from the cache, else downloaded into it; its SHA-256 is checked each time. A task has precedence
    over a file of the same name: write ``./phonons`` for the file. ``cache_dir`` defaults to
    ``user_cache()``; ``target`` applies to a path without one. ``follow_links`` allows the
    structure files of a folder to be links that lead out of it. Raises UsageError in one line.
    """
    try:
        if spec == EMBEDDED:
            return IonicSource()
        task = task_named(spec)
        if task is None and (by_file := LEADERBOARD.get(spec.removeprefix(PREFIX))):
            raise UsageError(
                f"{spec}: nothing is downloaded for this task, as its SHA-256 is not known here;"
                f" give its file, PATH/{by_file.file_name}"
            )
        if task is None:
            given = given_file(spec, [EMBEDDED, *STRUCTURE_TASKS], LAYOUTS)
            wanted = given.target or target
            return open_source(given.path, wanted, given.name, follow_links=follow_links)
        if task.kind != "structure":
            raise UsageError(
                f"{task.name}: a composition task, it has formulas and no crystals; the transfer"
                f" job takes it, this one takes {', '.join(STRUCTURE_TASKS)}"
            )
        return MatBench(file_of(task, data_dir, cache_dir), name=task.name)
    except SourceError as error:
        raise UsageError(str(error)) from None
    except (OSError, RuntimeError) as error:  # a name too long, or the home of an unknown user
        why = getattr(error, "strerror", None) or str(error).rstrip(".")
        shown = spec if len(spec) < 200 else f"{spec[:100]}…"
        raise UsageError(f"{shown}: {why}; check the path") from None


def is_here(spec: str, data_dir: Path | None = None, cache_dir: Path | None = None) -> bool:
    """Whether ``resolve`` would find ``spec``, or refuse it, without downloading anything."""
    task = task_named(spec)
    if task is None or task.kind != "structure":
        return True
    return is_at_hand(task, data_dir, cache_dir)
