"""The ledger: the cost of writing, opening and verifying many records, and of resuming a grid.

    python -m benchmarks.ledger

Records are written as a worker does, the seven of an array at once, each file atomically; and a
thousand at once, which share the syncs of the folder and of the disk's journal, as those of many
workers do. Those with arrays hold what a model of the paper's grid leaves for the embedded
crystals. The disk alone is as many files of the same sizes, each written and synced by as many
threads, and nothing else; and as many empty files, not synced, which is a file system's cost of
creating a file.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.child import in_one_line
from benchmarks.harness import Figure, Report, Spread, add_flags, alone, say, timed
from benchmarks.instant import InstantGrid
from benchmarks.orchestration import Answers, side
from orchestrator.runs import durable
from orchestrator.runs.ledger import compile_ledger
from orchestrator.runs.records import SCHEMA, Records
from orchestrator.training.environment import versions
from trainables.training import record_file

SEVEN, THOUSAND = 7, 1000  # models of an array, and of many
BARS = {"written": 5.0, "opened": 0.5, "resumed": 30.0}  # seconds: 10 000, 10 000 and 2 240 records


def typical_row() -> dict[str, Any]:
    """A row of realistic length."""
    like = {pa.string(): "x" * 24, pa.int64(): 12345, pa.float64(): 0.1234567890123456}
    found = {field.name: like[field.type] for field in SCHEMA}
    texts = {"spec": "x" * 550, "versions": str(versions())}  # about the length of a specification
    return found | texts | {"error": "", "status": "done"}


class Ledger:
    """Records in a temporary folder.

    Args:
        arrays: of each record.
    """

    def __init__(self, folder: Path, number: int, arrays: Mapping[str, np.ndarray]) -> None:
        self._records = Records(folder)
        self._keys = [f"{key:024x}" for key in range(number)]
        self._row, self._arrays = typical_row(), dict(arrays)

    def write(self, together: int) -> None:
        """Writes all records, `together` at a time."""
        for first in range(0, len(self._keys), together):
            keys = self._keys[first : first + together]
            self._records.write_all([(self._row | {"key": key}, self._arrays) for key in keys])

    def only_the_disk(self) -> None:
        """Writes the same bytes to as many files."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda file: durable.Draft.of(*file).sync(), self._files()))

    def only_names(self) -> None:
        """Creates as many empty files."""
        for path, _ in self._files():
            path.touch()

    def _files(self) -> Iterator[tuple[Path, bytes]]:
        row, arrays = record_file.encode(self._row, self._arrays, SCHEMA.names)
        for key in self._keys:
            yield self._records.folder / f"{key}.json", row
            if arrays:
                yield self._records.folder / f"{key}.safetensors", arrays

    def open(self) -> None:
        """Reads all rows, each verified by its digest, as a table."""
        assert len(compile_ledger(self._records, dict.fromkeys(self._keys, "x"))) == len(self._keys)

    def verify(self) -> None:
        """Verifies all files by their digests."""
        assert not self._records.damage(self._keys)


WAYS: dict[str, Callable[[Ledger], object]] = {
    "the names alone": Ledger.only_names,
    "the disk alone": Ledger.only_the_disk,
    f"written, {SEVEN} at once": lambda ledger: ledger.write(SEVEN),
    f"written, {THOUSAND} at once": lambda ledger: ledger.write(THOUSAND),
}


def many(
    report: Report,
    what: str,
    empty: Callable[[], Ledger],
    repeats: int,
    bars: Mapping[str, float],
) -> None:
    """Adds the figures of a number of records.

    The ways of writing and the disk alone take turns, so that a disk that slows down, as virtual
    ones do by the hour, slows all of them. Nothing is deleted meanwhile: for some minutes after
    a deletion, ext4 checks each deleted file whenever it makes a new one.
    """
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(repeats):
        for way, work in WAYS.items():
            ledger = empty()
            os.sync()
            seconds[way].append(timed(partial(work, ledger))())
        last = ", ".join(f"{values[-1]:.1f}" for values in seconds.values())
        say(f"{what}: {number + 1}/{repeats}, {last} s")
    for way, values in seconds.items():
        bar = bars.get("written") if way.startswith("written") else None
        report.add(Figure(f"{what}: {way}", "s", Spread(tuple(values)), bar=bar))
    common: dict[str, Any] = {"unit": "s", "repeats": repeats}
    report.add(alone(f"{what}: opened", timed(ledger.open), bar=bars.get("opened"), **common))
    report.add(alone(f"{what}: all verified", timed(ledger.verify), **common))


def resumed(report: Report, tasks: int, repeats: int) -> None:
    """Seconds from ready data and Ray to the record of the only missing model."""
    answers: Answers = []
    say("a grid to be taken up again")
    side("ours", answers, tasks=tasks, again=repeats)()
    name = f"{answers[0]['models']} models, one not recorded: until it is"
    values = tuple(answers[0]["resumed_first_record"])
    report.add(Figure(name, "s", Spread(values), bar=BARS["resumed"]))


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the table and writes `ledger.json`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=10_000, help="default %(default)s")
    parser.add_argument(
        "--with-arrays", type=int, default=1000, help="records that have arrays; default 1000"
    )
    parser.add_argument("--tasks", type=int, default=8, help="of 280 models, to be taken up again")
    add_flags(parser, repeats=3)
    options = parser.parse_args(argv)
    chosen = {name: getattr(options, name) for name in ("records", "with_arrays", "tasks")}
    report = Report("ledger", chosen, results=options.results)
    sample = InstantGrid(1, ["cgcnn"], dims=(16,)).samples["cgcnn", 16].arrays
    size = sum(array.nbytes for array in sample.values())
    with tempfile.TemporaryDirectory() as folder:

        def empty(number: int, arrays: Mapping[str, np.ndarray]) -> Ledger:
            return Ledger(Path(tempfile.mkdtemp(dir=folder)), number, arrays)

        rows = partial(empty, options.records, {})
        many(report, f"{options.records} rows", rows, options.repeats, BARS)
        whole = partial(empty, options.with_arrays, sample)
        what = f"{options.with_arrays} records of {size / 1e3:.0f} KB"
        many(report, what, whole, options.repeats, {})
    resumed(report, options.tasks, options.repeats)
    report.finish()


if __name__ == "__main__":
    in_one_line(main)
