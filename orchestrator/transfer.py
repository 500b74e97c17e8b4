"""Does an element table transfer? CrabNet with each of several tables, on the official folds.

python -m orchestrator.transfer --tasks steels=yield.csv --tables mat2vec mine.csv
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from orchestrator.comparison.datasets import resolve, unit_of
from orchestrator.comparison.entries import SCHEMA, TransferArray, arrays_of, fingerprint
from orchestrator.comparison.files import LEDGER, write_facts, write_scores
from orchestrator.comparison.flags import TransferOptions, parse
from orchestrator.comparison.overlap import overlap, without
from orchestrator.comparison.results import compare, in_words, score_all, score_together
from orchestrator.comparison.tables import Table, load_tables
from orchestrator.interface.errors import UsageError
from orchestrator.interface.job import INTERRUPTED, OK, SOME_FAILED, conduct
from orchestrator.interface.wording import duration, significant, why
from orchestrator.nodes import cluster, preflight
from orchestrator.report import write_report
from orchestrator.runs import durable
from orchestrator.runs.ledger import compile_ledger
from orchestrator.runs.records import DONE, LedgerError, Records, until_sound
from orchestrator.runs.run_directory import (
    demand_folder,
    locked,
    open_manifest,
    slug,
    write_manifest,
)
from orchestrator.training.train import train
from orchestrator.training.trials import versions
from trainables.compositions.dataset import Compositions
from trainables.training.transfer import (
    TRANSFER_VERSION,
    Entrant,
    TransferData,
    TransferFit,
    recipe_for,
)

JOB = "transfer"
LISTED = 20  # models that are not done, which the summary names

Lineup = Mapping[Entrant, Table]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job; 0 all models done, 1 some failed, 2 wrong usage or input, 130 interrupted."""
    return conduct(
        lambda: start(argv), LedgerError, stopped="the same command goes on where this ended"
    )


def start(argv: Sequence[str] | None) -> int:
    """Looks at what is asked, and does it."""
    options = parse(argv)
    data = open_data(options)
    if options.write_formulas is not None:
        write_formulas(options.write_formulas, options, data)
        return OK
    tables = open_tables(options)
    seen = look_for_overlap(options, data, tables)
    if options.dry_run:
        demand_folder(options.run)
        describe(options, data, tables)
        return OK
    with locked(options.run):
        return run(options, data, tables, seen)


def open_data(options: TransferOptions) -> dict[str, Compositions]:
    """The data sets by name."""
    found: dict[str, Compositions] = {}
    for spec in options.tasks:
        data = resolve(spec, options.data_dir)
        if data.name in found:
            raise UsageError(f"--tasks {spec}: another data set is called {data.name} too")
        found[data.name] = data
        kind = "two classes" if data.classes else "a number"
        print(f"{data.name}: {len(data)} formulas of {len(data.elements)} elements, {kind}")
    return found


def write_formulas(
    folder: Path, options: TransferOptions, data: Mapping[str, Compositions]
) -> None:
    """The formulas of each test fold, as `hybrid_grid --without` takes them."""
    for name, fold in product(data, options.folds):
        formulas = data[name].formulas[data[name].test_rows(fold)]
        path = folder / f"{slug(name)}-fold{fold}.txt"
        text = "\n".join(sorted({formula.replace(" ", "") for formula in formulas})) + "\n"
        durable.write_text(path, text)
        print(path)


def open_tables(options: TransferOptions) -> list[Table]:
    """The competitors."""
    tables = load_tables(
        options.tables, min(options.seeds), controls=options.controls, folds=options.folds
    )
    names = [table.name for table in tables]
    if options.reference is not None and options.reference not in names:
        raise UsageError(f"--reference {options.reference}: there are {', '.join(names)}")
    filled = {table.name: int((~table.seen).sum()) for table in tables if not table.control}
    told = [f"{name} ({118 - count} elements)" for name, count in filled.items()]
    print(f"tables: {', '.join(told)}")
    if options.controls:
        print(f"controls: {', '.join(table.name for table in tables if table.control)}")
    return tables


def look_for_overlap(
    options: TransferOptions, data: Mapping[str, Compositions], tables: Sequence[Table]
) -> list[dict[str, Any]]:
    """Formulas of test folds that a table's grid has seen: a row a table, data set and fold."""
    found = [
        row
        for table, one, fold in product(tables, data.values(), options.folds)
        if not table.control and (row := overlap(table, one, fold)) is not None
    ]
    grouped = pd.DataFrame(found).groupby(["table", "task"], sort=False) if found else ()
    for (table, task), rows in grouped:
        seen, total = int(rows["seen"].sum()), int(rows["formulas"].sum())
        note = "; --strict distils it without them" if seen and not options.strict else ""
        print(f"  {table} has seen {seen} of {total} test formulas of {task}{note}")
    return found


def describe(
    options: TransferOptions, data: Mapping[str, Compositions], tables: Sequence[Table]
) -> None:
    """What would be trained."""
    for one in data.values():
        recipe = _recipe(options, one)
        models = len(tables) * len(options.folds) * len(options.seeds)
        print(
            f"{one.name}: {models} models, {recipe.epochs} epochs at most in batches of"
            f" {recipe.batch_size}"
        )
    print("the input is sound; nothing is written")


def _recipe(options: TransferOptions, data: Compositions) -> Any:
    given = {"epochs": options.epochs, "patience": options.patience}
    changes = {name: value for name, value in given.items() if value is not None}
    if options.epochs is not None and options.patience is None:
        changes["patience"] = options.epochs
    return recipe_for(options.recipe, len(data), **changes)


def run(
    options: TransferOptions,
    data: dict[str, Compositions],
    tables: list[Table],
    seen: list[dict[str, Any]],
) -> int:
    """Formulas and tables → models on Ray Tune → scores → paired differences → report."""
    _own_folder(options, data, tables)
    records = Records(options.run / "records", SCHEMA)
    with cluster.connected(options.address, options.worker.cpus):
        print(f"Ray: {preflight.ready(options.worker, options.address, options.run)} workers")
        lineups = {name: line_up(options, one, tables, seen) for name, one in data.items()}
        arrays = [
            array
            for name, one in data.items()
            for array in arrays_of(
                name,
                one,
                lineups[name],
                options.seeds,
                _recipe(options, one),
                trainable=options.trainable,
                device=options.worker.device,
            )
        ]
        keys = {key: array.task for array in arrays for key in array.keys.values()}
        if options.retry_failed:
            until_sound(records, keys, lambda: records.forget_failed(keys))

        def train_and_conclude() -> int:
            finished = train(
                arrays,
                {name: TransferData(one, _values(lineups[name])) for name, one in data.items()},
                {name: ("target", unit_of(name)) for name in data},
                records,
                options.worker,
                make_fit=TransferFit,
                error="val_error",
            )
            table = compile_ledger(records, keys)
            durable.write_parquet(options.run / LEDGER, table)
            ledger = table.to_pandas()
            if not finished:
                print(f"\nstopped with {len(ledger)} of {len(keys)} models recorded; the same"
                      " command goes on from here", file=sys.stderr)  # fmt: skip
                return INTERRUPTED
            conclude(options, records, ledger, data, tables, seen)
            return _summarise(ledger)

        return until_sound(records, keys, train_and_conclude)


def _own_folder(
    options: TransferOptions, data: Mapping[str, Compositions], tables: Sequence[Table]
) -> None:
    """Refuses the folder of something else; else says in the manifest what is asked."""
    asked = {
        "config": {
            "tasks": list(data),
            "tables": {table.name: table.digest for table in tables},
            "folds": list(options.folds),
            "seeds": list(options.seeds),
            "recipe": options.recipe,
            "epochs": options.epochs,
            "patience": options.patience,
            "trainable": options.trainable,
            "strict": options.strict,
        },
        "data": {name: fingerprint(one) for name, one in data.items()},
        "training_version": TRANSFER_VERSION,
    }
    open_manifest(options.run, JOB, asked, what="comparison", extend=options.extend)
    write_manifest(options.run, {"job": JOB, **asked, "versions": versions()})


def line_up(
    options: TransferOptions,
    data: Compositions,
    tables: Sequence[Table],
    seen: Sequence[Mapping[str, Any]],
) -> dict[Entrant, Table]:
    """The table of each model; under --strict, one that has seen nothing of its test fold."""
    tainted = {
        (row["table"], row["fold"]) for row in seen if row["task"] == data.name and row["seen"]
    }
    actors = max(1, cluster.worker_slots(1, 0))
    found: dict[Entrant, Table] = {}
    for fold in options.folds:
        for table in tables:
            entrant = Entrant(table=table.name, fold=fold)
            again = options.strict and (table.name, fold) in tainted
            own = table.of(fold)
            found[entrant] = without(own, data, fold, actors) if again else own
    return found


def _values(lineup: Lineup) -> dict[Entrant, Any]:
    return {entrant: table.values for entrant, table in lineup.items()}


def conclude(
    options: TransferOptions,
    records: Records,
    ledger: pd.DataFrame,
    data: Mapping[str, Compositions],
    tables: Sequence[Table],
    seen: list[dict[str, Any]],
) -> None:
    """Scores, what they establish, and the report."""
    scores = score_all(records, ledger, data)
    if scores.empty:
        return
    reference = options.reference or tables[0].name
    done = ledger[ledger["status"] == DONE]
    share = float((done["n_test"] / (done["n_train"] + done["n_val"])).mean())
    compared = compare(scores, data, [table.name for table in tables], reference, share)
    together = score_together(records, ledger, data)
    for row in compared:
        row["together"] = together.get((row["task"], row["table"]))
        print(in_words(row, reference) or _of_reference(row))
    facts = _asked(options, data, tables) | {
        "reference": reference,
        "overlap": seen,
        "compared": compared,
        "seconds": float(done["seconds"].sum()),
    }
    for path in (write_scores(options.run, scores), write_facts(options.run, facts)):
        print(path)
    print(write_report(options.run))


def _of_reference(row: Mapping[str, Any]) -> str:
    joint = row["together"]
    seeds = f"; {significant(joint)} of its seeds' mean prediction" if joint is not None else ""
    return f"{row['task']}: {row['table']} {significant(row['score'])} ({row['metric']}){seeds}"


def _asked(
    options: TransferOptions, data: Mapping[str, Compositions], tables: Sequence[Table]
) -> dict[str, Any]:
    """What was compared, for the report."""
    return {
        "tables": [
            {
                "name": table.name,
                "columns": int(table.values.shape[1]),
                "control": table.control,
                "elements": int(table.seen.sum()),
            }
            for table in tables
        ],
        "tasks": {
            name: {"formulas": len(one), "classes": one.classes, "unit": unit_of(name)}
            for name, one in data.items()
        },
        "recipe": options.recipe,
        "epochs": {name: _recipe(options, one).epochs for name, one in data.items()},
        "seeds": list(options.seeds),
        "folds": list(options.folds),
        "trainable": options.trainable,
        "strict": options.strict,
    }


def _summarise(ledger: pd.DataFrame) -> int:
    done = ledger[ledger["status"] == DONE]
    print(f"{len(done)} models done in {duration(float(done['seconds'].sum()))} of training")
    bad = ledger[ledger["status"] != DONE]
    for row in bad.head(LISTED).to_dict("records"):
        name = TransferArray.describe(row)
        print(f"  {row['status']}: {row['task']} {name}: {why(row)}", file=sys.stderr)
    if bad.empty:
        return OK
    print(f"{len(bad)} of {len(ledger)} models are not done; --retry-failed trains them again",
          file=sys.stderr)  # fmt: skip
    return SOME_FAILED


if __name__ == "__main__":
    sys.exit(main())
