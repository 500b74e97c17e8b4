"""Resolves what the user gives after a flag to formulas with a property."""

from __future__ import annotations

from pathlib import Path

from orchestrator.data.naming import file_of, given_file, task_named
from orchestrator.interface.errors import UsageError
from trainables.compositions.dataset import Compositions
from trainables.compositions.reading import read_compositions
from trainables.crystals.registry import COMPOSITION_TASKS, TASKS
from trainables.crystals.sources.base import SourceError

LAYOUTS = "a CSV with a column formula, a MatBench .json.gz with a column composition"


def resolve(
    spec: str,
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
    *,
    flag: str = "--tasks",
    max_bad: float | None = None,
) -> Compositions:
    """Reads the formulas that `spec` names: a MatBench task, or `[NAME=]PATH[:TARGET]`.

    A task is read from `data_dir` (MatBench's own file, or NAME.csv with a column formula), else
    from the cache, else downloaded into it.

    Args:
        flag: the flag that `spec` was given to, for messages.
        max_bad: largest accepted share of bad rows; None for 1 % or a few.

    Raises:
        UsageError: one line that names the file and what is wrong in it.
    """
    try:
        task = task_named(spec)
        if task is None:
            given = given_file(spec, COMPOSITION_TASKS, LAYOUTS)
            return read_compositions(given.path, given.target, given.name, max_bad=max_bad)
        if task.kind != "composition":
            raise UsageError(
                f"{task.name}: a task of crystals; the grid takes it, this takes formulas:"
                f" {', '.join(COMPOSITION_TASKS)}"
            )
        tables = (f"{task.name}.csv", f"{task.name}.csv.gz")
        return read_compositions(file_of(task, data_dir, cache_dir, or_else=tables), name=task.name)
    except (SourceError, UsageError) as error:
        raise UsageError(f"{flag} {error}") from None


def unit_of(name: str) -> str | None:
    """Unit of a MatBench task's target."""
    task = TASKS.get(name)
    return task.unit if task is not None and task.kind == "composition" else None
