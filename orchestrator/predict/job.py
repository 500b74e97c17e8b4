"""Predicts new structures with the models of a run.

elemgrid predict runs/hybrid_grid new/*.cif --out predictions.csv
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch

from orchestrator.interface.errors import UsageError
from orchestrator.interface.format import counted
from orchestrator.interface.job import OK, SOME_FAILED
from orchestrator.predict import output
from orchestrator.predict.flags import PredictOptions
from orchestrator.predict.inputs import blocks_of, sources_of
from orchestrator.predict.opening import AnyPredictor, opened
from orchestrator.predict.output import Parts
from orchestrator.predict.table import Table
from orchestrator.predict.work import in_order
from trainables.crystals.crystal import Entry

NEWS = 10.0  # seconds between two lines of progress


def start(options: PredictOptions) -> int:
    """Structures → models → a table, a block at a time."""
    torch.set_num_threads(1)
    if options.out is not None:
        output.demand_free(options.out, overwrite=options.overwrite)
    sources = sources_of(options.structures, follow_links=options.follow_links)
    predictor = opened(options.models, options.task, options.model)
    if options.max_atoms is not None:
        predictor = replace(predictor, max_atoms=options.max_atoms)
    describe(predictor)
    if careful := uncalibrated(predictor, options.level):
        print(f"careful: {careful}", file=sys.stderr)
    parts = None
    if options.out is not None:
        made_from = f"{predictor.digest} {options.level} {options.members}"
        parts = Parts(options.out, made_from)
    seen = Seen()
    tables = seen.watched(tables_of(options, predictor, blocks_of(sources), parts))
    if options.out is None or parts is None:
        rows = output.print_csv(tables)
    else:
        rows = output.write(options.out, tables)
        parts.remove()
        print(f"{options.out}: {counted(rows, 'structure')}")
    if not rows:
        raise UsageError(output.NOTHING)
    return OK if seen.refused < rows else SOME_FAILED


def uncalibrated(predictor: AnyPredictor, level: float) -> str:
    """Why intervals of this level promise too much: there are few validation errors; else ""."""
    known = [len(spread.ratios) for spread in predictor.spreads]
    if not known or level <= (most := min(known) / (min(known) + 1)):
        return ""
    return (
        f"{min(known)} validation errors tell intervals up to level {most:.4g}, and the intervals"
        " of this one hold less than they promise"
    )


def tables_of(
    options: PredictOptions,
    predictor: AnyPredictor,
    blocks: Iterator[list[Entry]],
    parts: Parts | None,
) -> Iterator[Table]:
    """The rows of each block; those that an interrupted command has made are taken as they are."""
    work = partial(rows_of, predictor, level=options.level, members=options.members)
    numbered = enumerate(blocks)
    before = (lambda block: None) if parts is None else parts.read
    for block, table in in_order(work, numbered, options.workers, options.address, before):
        if parts is not None:
            parts.keep(block, table)
        yield table


def rows_of(
    predictor: AnyPredictor, block: tuple[int, list[Entry]], *, level: float, members: bool
) -> Table:
    """The rows of a numbered block of structures."""
    return predictor.predict(block[1], level).table(members=members)


def describe(predictor: AnyPredictor) -> None:
    """Says on stderr what predicts, and what its flag is worth."""
    print("\n".join(predictor.described()), file=sys.stderr)


class Seen:
    """Counts the rows that go by, and says so on stderr now and then.

    Attributes:
        rows, refused: so far.
    """

    def __init__(self) -> None:
        self.rows = self.refused = 0

    def watched(self, tables: Iterator[Table]) -> Iterator[Table]:
        """The tables, as they are."""
        begun = said = time.monotonic()
        for table in tables:
            yield table
            self.rows += len(table["id"])
            self.refused += sum(map(bool, table["reason"]))
            now = time.monotonic()
            if now - said > NEWS:
                said = now
                rate = self.rows / (now - begun)
                print(f"{self.rows} structures, {rate:.0f} a second", file=sys.stderr)
        if self.refused:
            told = f"{self.refused} of {counted(self.rows, 'structure')} without a prediction"
            print(f"{told}; reasons are in the last column", file=sys.stderr)
