"""The tables of a plan: a line a data set, and a line a configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestrator.grid.arrays import GridArray
from orchestrator.grid.axes import tell
from orchestrator.grid.config import AXES
from orchestrator.planning.estimate import Estimate
from orchestrator.planning.sample import Size
from orchestrator.planning.text import brief, count, holds, share_of, short, size, span
from orchestrator.planning.work import Work

UNKNOWN, MARK = "–", "▸"
# Axes beside backbone and dimension on which the cost of an array depends.
COSTLY = [
    axis
    for axis in AXES.values()
    if axis.part == "options" or axis.column in ("max_epochs", "batch_size", "train_size")
]


def by_task(
    work: Work,
    sizes: Mapping[tuple[str, str], Size],
    estimates: Sequence[Estimate],
    idle: float,
    marked: Sequence[str],
) -> list[str]:
    """One line per data set, the slowest first; ~ marks an assumed size.

    Args:
        idle: bytes of a worker that holds no data.
        marked: the data sets that dominate.
    """
    of = {task: [one for one in estimates if one.array.task == task] for task in work.config.tasks}
    whole = sum(one.seconds for one in estimates)
    assumed = {task for (task, _), one in sizes.items() if one.as_in is not None}
    rows = []
    for task in sorted(of, key=lambda task: -sum(one.seconds for one in of[task])):
        arrays = [array for array in work.planned if array.task == task]
        crystals = max((sizes[key].crystals for key in sizes if key[0] == task), default=None)
        rows.append(
            [
                f"{MARK if task in marked else ' '} {short(task)}",
                UNKNOWN if crystals is None else count(crystals),
                count(sum(len(array.spec.mixings) for array in arrays)),
                count(len(arrays)),
                count(work.recorded[task]),
                count(work.model_epochs(task)),
                *_cost(of[task], whole, idle, about=task in assumed),
            ]
        )
    head = ["  data set", "crystals", "models", "arrays", "recorded", "model-epochs"]
    total = [
        "  all",
        "",
        count(work.models),
        count(len(work.planned)),
        count(sum(work.recorded.values())),
        count(sum(map(work.model_epochs, work.config.tasks))),
    ]
    return _table(head, rows, [*total, *_cost(estimates, whole, idle, about=bool(assumed))])


def by_configuration(estimates: Sequence[Estimate], idle: float) -> list[str]:
    """One line per backbone, dimension and what else changes the cost, the slowest first."""
    of: dict[str, list[Estimate]] = {}
    for one, name in zip(estimates, _names([one.array for one in estimates]), strict=True):
        of.setdefault(name, []).append(one)
    whole = sum(one.seconds for one in estimates)
    rows = []
    for name, ones in sorted(of.items(), key=lambda item: -sum(one.seconds for one in item[1])):
        longest = max(ones, key=lambda one: one.seconds)
        epoch = longest.seconds / longest.array.spec.recipe.epochs
        rows.append(
            [
                f"  {name}",
                count(len(ones)),
                brief(epoch),
                span(longest.seconds),
                *_cost(ones, whole, idle),
            ]
        )
    head = ["  configuration", "arrays left", "longest epoch", "longest array"]
    total = ["  all", count(len(estimates)), "", "", *_cost(estimates, whole, idle)]
    return _table(head, rows, total)


def _names(arrays: Sequence[GridArray]) -> list[str]:
    """Names of the arrays' configurations, as `tensor d16, l_max 0`; alike if their cost is.

    Told is what differs between arrays of one backbone.
    """
    values = [{axis.column: axis.of(array.models[0]) for axis in COSTLY} for array in arrays]
    seen: dict[tuple[str, str], set[Any]] = {}
    for array, own in zip(arrays, values, strict=True):
        for column, value in own.items():
            seen.setdefault((array.spec.backbone, column), set()).add(value)
    names = []
    for array, own in zip(arrays, values, strict=True):
        backbone = array.spec.backbone
        several = {name: own[name] for name in own if len(seen[backbone, name]) > 1}
        names.append(", ".join(filter(None, (f"{backbone} d{array.spec.dim}", tell(several)))))
    return names


def _cost(
    estimates: Sequence[Estimate], whole: float, idle: float, *, about: bool = False
) -> list[str]:
    if not estimates:
        return [UNKNOWN] * 3
    seconds = sum(one.seconds for one in estimates)
    time = f"~{span(seconds)}" if about else span(seconds)
    return [time, share_of(seconds, whole), size(holds(estimates, idle))]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], total: Sequence[str]) -> list[str]:
    """Lines with the first column aligned left and numbers aligned right."""
    cells = [[*head, "worker time", "share", "memory"], *map(list, rows), list(total)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in cells
    ]
    rule = f"  {'─' * (len(lines[0]) - 2)}"
    return [lines[0], rule, *lines[1:-1], rule, lines[-1]]
