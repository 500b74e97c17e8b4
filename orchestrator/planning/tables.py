"""The tables of a plan: by data set, and by configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from orchestrator.interface.wording import duration
from orchestrator.planning.estimate import Estimate
from orchestrator.planning.sample import Size
from orchestrator.planning.work import Work

LONG = 100 * 3600.0  # seconds from which on only hours are told
NAME = 22  # characters of a data set's name
UNKNOWN, MARK = "–", "▸"


def by_task(
    work: Work,
    sizes: Mapping[tuple[str, str], Size],
    estimates: Sequence[Estimate],
    idle: float,
    marked: Sequence[str],
) -> list[str]:
    """A line a data set, the one that takes longest first; ~ where its size is assumed.

    Args:
        idle: bytes of a worker that holds nothing.
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
    """A line a backbone and dimension, those that take longest first."""
    of: dict[str, list[Estimate]] = {}
    for one in estimates:
        of.setdefault(f"{one.array.spec.backbone} d{one.array.spec.dim}", []).append(one)
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


def _cost(
    estimates: Sequence[Estimate], whole: float, idle: float, *, about: bool = False
) -> list[str]:
    if not estimates:
        return [UNKNOWN] * 3
    seconds = sum(one.seconds for one in estimates)
    time = f"~{span(seconds)}" if about else span(seconds)
    return [time, share_of(seconds, whole), size(holds(estimates, idle))]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], total: Sequence[str]) -> list[str]:
    """Lines with the first column on the left and numbers on the right."""
    cells = [[*head, "worker time", "share", "memory"], *map(list, rows), list(total)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in cells
    ]
    rule = f"  {'─' * (len(lines[0]) - 2)}"
    return [lines[0], rule, *lines[1:-1], rule, lines[-1]]


def holds(estimates: Sequence[Estimate], idle: float) -> float:
    """Bytes of a worker at its worst moment with any of the arrays."""
    return max(idle + one.resident for one in estimates)


def count(number: float) -> str:
    """Like 132 752."""
    return f"{number:,.0f}".replace(",", " ")


def span(seconds: float) -> str:
    """Like 3 min 20 s, 4 h 07 min, 5 612 h."""
    return f"{count(seconds / 3600)} h" if seconds >= LONG else duration(seconds)


def brief(seconds: float) -> str:
    """Like 240 ms, 1.7 s, 3 min 20 s."""
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    return f"{seconds:.1f} s" if seconds < 60 else span(seconds)


def size(number: float) -> str:
    """Bytes, like 812 MiB, 1.9 GiB."""
    mib = number / 2**20
    if mib >= 1000:
        return f"{mib / 1024:,.1f} GiB".replace(",", " ")
    return f"{mib:.3g} MiB" if mib >= 1 else "<1 MiB"


def short(name: str) -> str:
    """A data set's name, cut where it is too long for a table."""
    return name if len(name) <= NAME else f"{name[: NAME - 1]}…"


def share_of(part: float, whole: float) -> str:
    """A percentage; <1 % where it would round to nothing."""
    percent = 100 * part / whole if whole else 0.0
    return "<1 %" if 0 < percent < 0.5 else f"{percent:.0f} %"
