"""Measures two sides in turns within one run, and reports with hardware and versions.

    report = Report("cgcnn", config={"width": 64})
    report.add(compare("epochs, width 64", ours, theirs, unit="s/model-epoch", bar=12))
    report.add(alone("featurising", ours, unit="s/crystal"))
    report.finish()            # prints a table, writes benchmarks/results/cgcnn.json

A side is a function that does a block of its work and returns its cost in the given unit.
`timed` makes one from a function that returns nothing; `benchmarks.child` has sides that are
processes. The two sides take turns, so that a machine that slows down slows both, and the side that
starts alternates from pair to pair.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import hardware, versions
from orchestrator.runs.durable import write_json

RESULTS = Path(__file__).parent / "results"
REPEATS = 5

Side = Callable[[], float]


@dataclass(frozen=True)
class Spread:
    """Median, extremes and quartiles of some values."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Lower and upper quartile; a single value counts as both."""
        if len(self.values) == 1:
            return self.values[0], self.values[0]
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return low, high

    def as_json(self) -> dict[str, Any]:
        return {
            "median": self.median,
            "min": min(self.values),
            "max": max(self.values),
            "quartiles": list(self.quartiles),
            "values": list(self.values),
        }


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Attributes:
        ours, theirs: cost of a block of work for each side, in `unit`; no theirs without a peer.
        bar: what the ratio (or, without a peer, our value) has to reach; None if nothing is
            required.
        facts: whatever else belongs to the row, as JSON.
    """

    name: str
    unit: str
    ours: Spread
    theirs: Spread | None = None
    bar: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> Spread | None:
        """Theirs divided by ours, pair by pair: our speed-up."""
        if self.theirs is None:
            return None
        pairs = zip(self.theirs.values, self.ours.values, strict=True)
        return Spread(tuple(theirs / ours for theirs, ours in pairs))

    def as_json(self) -> dict[str, Any]:
        sides = {"ours": self.ours, "theirs": self.theirs, "ratio": self.ratio}
        spreads = {name: side.as_json() for name, side in sides.items() if side is not None}
        return {
            "name": self.name,
            "unit": self.unit,
            "bar": self.bar,
            **spreads,
            "facts": self.facts,
        }


def timed(work: Callable[[], object], per: float = 1) -> Side:
    """A side that measures the wall time of `work`, divided by `per` (models, epochs, crystals)."""

    def side() -> float:
        start = time.perf_counter()
        work()
        return (time.perf_counter() - start) / per

    return side


def compare(
    name: str,
    ours: Side,
    theirs: Side,
    *,
    unit: str,
    repeats: int = REPEATS,
    warm_up: int = 1,
    bar: float | None = None,
    facts: dict[str, Any] | None = None,
) -> Figure:
    """Runs two sides in turns, `repeats` pairs after `warm_up` pairs that are not counted."""
    pairs: list[tuple[float, float]] = []
    for pair in range(-warm_up, repeats):
        if pair % 2:
            second = theirs()
            pairs.append((ours(), second))
        else:
            first = ours()
            pairs.append((first, theirs()))
        say(f"{name}: pair {pair + 1}/{repeats}, {pairs[-1][1] / pairs[-1][0]:.2f} ×")
    counted = pairs[warm_up:]
    return Figure(
        name,
        unit,
        Spread(tuple(ours for ours, _ in counted)),
        Spread(tuple(theirs for _, theirs in counted)),
        bar,
        facts or {},
    )


def alone(
    name: str,
    ours: Side,
    *,
    unit: str,
    repeats: int = REPEATS,
    warm_up: int = 1,
    bar: float | None = None,
    facts: dict[str, Any] | None = None,
) -> Figure:
    """A figure without a peer."""
    values = [ours() for _ in range(warm_up + repeats)][warm_up:]
    return Figure(name, unit, Spread(tuple(values)), None, bar, facts or {})


def say(line: str) -> None:
    """Prints a line of progress to stderr, as the table goes to stdout."""
    print(line, file=sys.stderr, flush=True)


def table(figures: Sequence[Figure]) -> str:
    """The figures as aligned text."""
    header = ("", "unit", "ours", "theirs", "ratio", "min – max", "bar")
    rows = [header, *map(_row, figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    return "\n".join(
        row[0].ljust(widths[0])
        + "  "
        + "  ".join(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    )


def _row(figure: Figure) -> tuple[str, ...]:
    bar = "" if figure.bar is None else f"{figure.bar:g}"
    ours, ratio = f"{figure.ours.median:.4g}", figure.ratio
    if figure.theirs is None or ratio is None:
        spread = f"{min(figure.ours.values):.4g} – {max(figure.ours.values):.4g}"
        return (figure.name, figure.unit, ours, "", "", spread, bar)
    spread = f"{min(ratio.values):.2f} – {max(ratio.values):.2f}"
    theirs = f"{figure.theirs.median:.4g}"
    return (figure.name, figure.unit, ours, theirs, f"{ratio.median:.2f} ×", spread, bar)


class Report:
    """Figures of one benchmark, with the machine and versions.

    Args:
        name: of the file in `results`.
        config: all settings, as JSON.
        peers: versions of the software compared with, if it has an environment of its own.
        results: folder; None to write nothing.
    """

    def __init__(
        self,
        name: str,
        config: dict[str, Any],
        *,
        peers: dict[str, str] | None = None,
        results: Path | None = RESULTS,
    ) -> None:
        self.name, self.results = name, results
        self.figures: list[Figure] = []
        self._about = {
            "benchmark": name,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": shlex.join(["python", *_module_and_arguments()]),
            "config": config,
            "hardware": hardware(),
            # Measured before the work, as other load spoils the figures.
            "load_average": list(os.getloadavg()),
            "versions": versions(),
            "peers": peers or {},
        }

    def add(self, figure: Figure) -> Figure:
        """Adds a figure and returns it."""
        self.figures.append(figure)
        return figure

    def finish(self) -> None:
        """Prints the table and writes the file atomically."""
        machine = self._about["hardware"]
        assert isinstance(machine, dict)
        where = f"{machine['cpu']}, {machine['cores']} cores, {machine['gpu'] or 'no GPU'}"
        print(f"{self.name} ({where})")
        print(table(self.figures), flush=True)
        if self.results is None:
            return
        content = self._about | {"figures": [figure.as_json() for figure in self.figures]}
        write_json(self.results / f"{self.name}.json", content)


def _module_and_arguments() -> list[str]:
    """The command line of this program; paths without their folders, which are specific to here."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    started = ["-m", spec.name] if spec else [Path(sys.argv[0]).name]
    return [*started, *(_without_folders(argument) for argument in sys.argv[1:])]


def _without_folders(argument: str) -> str:
    return Path(argument).name if os.sep in argument and Path(argument).exists() else argument


def add_flags(parser: argparse.ArgumentParser, repeats: int = REPEATS) -> None:
    """Adds the flags that every benchmark has: `--repeats` and `--results`."""
    parser.add_argument(
        "--repeats", type=int, default=repeats, help=f"pairs that count (default {repeats})"
    )
    parser.add_argument(
        "--results", type=Path, default=RESULTS, metavar="DIR", help="where the JSON goes"
    )
