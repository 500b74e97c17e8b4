"""From what the person writes after a flag to formulas with a property."""

from __future__ import annotations

import difflib
from pathlib import Path

from orchestrator.data.datasets import demand_digest
from orchestrator.interface.errors import UsageError
from trainables.compositions.dataset import Compositions
from trainables.compositions.reading import read_compositions
from trainables.crystals.registry import COMPOSITION_TASKS, TASKS, Task
from trainables.crystals.sources.base import SourceError


def resolve(spec: str, data_dir: Path | None, flag: str = "--tasks") -> Compositions:
    """The formulas that `spec` names: a MatBench task, or `[NAME=]PATH[:TARGET]`.

    Args:
        flag: that `spec` was given to, for the messages.

    Raises:
        UsageError: one line that names the file and what is wrong there.
    """
    name = spec.removeprefix("matbench_")
    try:
        if name in COMPOSITION_TASKS and not Path(spec).is_file():
            return read_compositions(_file_of(TASKS[name], data_dir), name=name)
        return read_compositions(*_path(spec))
    except (SourceError, UsageError) as error:
        raise UsageError(f"{flag} {error}") from None


def _file_of(task: Task, data_dir: Path | None) -> Path:
    if data_dir is None:
        raise UsageError(
            f"{task.name}: give --data-dir, a folder with {task.file_name} or"
            f" {task.name}.csv, or {task.name}=FILE"
        )
    whole = data_dir / task.file_name
    if whole.is_file():
        demand_digest(whole, task)
        return whole
    for path in (data_dir / f"{task.name}.csv", data_dir / f"{task.name}.csv.gz"):
        if path.is_file():
            return path
    raise UsageError(f"{task.name}: {data_dir} has neither {task.file_name} nor {task.name}.csv")


def _path(spec: str) -> tuple[Path, str | None, str | None]:
    """Path, target and name."""
    if Path(spec).is_file():
        return Path(spec), None, None
    name, equals, rest = spec.partition("=")
    text = rest if equals else spec
    given = name if equals else None
    if Path(text).is_file():
        return Path(text), None, given
    path, colon, target = text.rpartition(":")
    if colon and Path(path).is_file():
        if not target.strip():
            raise UsageError(f"{spec}: no target after the colon; write {spec}COLUMN")
        return Path(path), target, given
    close = difflib.get_close_matches(spec.removeprefix("matbench_"), COMPOSITION_TASKS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(COMPOSITION_TASKS)}"
    raise UsageError(f"{spec}: no such file, nor a task of compositions; {hint}")


def unit_of(name: str) -> str | None:
    """Unit of a MatBench task's target."""
    task = TASKS.get(name)
    return task.unit if task is not None and task.kind == "composition" else None
