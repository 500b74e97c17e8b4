"""From what the person writes after ``--tasks`` of a grid to a source of crystals."""

from __future__ import annotations

from pathlib import Path

from orchestrator.data.naming import file_of, given_file, is_at_hand, task_named
from orchestrator.interface.errors import UsageError
from trainables.crystals.ionic import IonicSource
from trainables.crystals.registry import STRUCTURE_TASKS
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
    """The source that ``spec`` names: a MatBench task, ``ionic``, or ``[NAME=]PATH[:TARGET]``.

    A task (with or without ``matbench_``) is taken from ``data_dir`` if its file is there, else
    from the cache, else fetched into it; its SHA-256 is checked each time. A task's name goes
    before a file of the same name: write ``./phonons`` for the file. ``cache_dir`` defaults to
    ``user_cache()``; ``target`` is that of a path which names none. ``follow_links`` lets the
    structure files of a folder be links that lead out of it. Raises UsageError in one line.
    """
    try:
        if spec == EMBEDDED:
            return IonicSource()
        task = task_named(spec)
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
    except (OSError, RuntimeError) as error:  # of a name too long, of a person's home unknown
        why = getattr(error, "strerror", None) or str(error).rstrip(".")
        shown = spec if len(spec) < 200 else f"{spec[:100]}…"
        raise UsageError(f"{shown}: {why}; check the path") from None


def is_here(spec: str, data_dir: Path | None = None, cache_dir: Path | None = None) -> bool:
    """Whether ``resolve`` would find ``spec``, or refuse it, without fetching anything."""
    task = task_named(spec)
    if task is None or task.kind != "structure":
        return True
    return is_at_hand(task, data_dir, cache_dir)
