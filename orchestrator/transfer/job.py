"""Does an element table transfer? Trains CrabNet with each of several tables, on official folds.

elemgrid transfer --tasks steels --tables mat2vec mine.csv
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from orchestrator.data.compositions import unit_of
from orchestrator.data.featurise import keep_quarantine
from orchestrator.data.given_folds import fields_of
from orchestrator.interface.errors import UsageError
from orchestrator.interface.format import significant
from orchestrator.interface.job import OK
from orchestrator.nodes.place import here
from orchestrator.report.job import write_report
from orchestrator.runs import durable, layout, sums
from orchestrator.runs.ledger import LEDGER as OF_LEDGER
from orchestrator.runs.ledger import digest_of
from orchestrator.runs.records import DONE, Records
from orchestrator.runs.run_directory import (
    demand_folder,
    locked,
    open_manifest,
    slug,
    write_manifest,
)
from orchestrator.training.environment import versions
from orchestrator.training.recorded import train_to_ledger
from orchestrator.training.study import Study
from orchestrator.transfer.entries import SCHEMA, TransferArray, arrays_of, fingerprint
from orchestrator.transfer.files import FACTS, LEDGER, write_scores
from orchestrator.transfer.flags import TransferOptions
from orchestrator.transfer.inputs import look_for_overlap, open_data, open_tables, recipe_of
from orchestrator.transfer.overlap import line_up, of_unknown_source
from orchestrator.transfer.plan import designs_of, plan_lines
from orchestrator.transfer.results import compare, in_words, score_all, score_together
from orchestrator.transfer.tables import Table
from trainables.compositions.dataset import Compositions
from trainables.targets.base import Target
from trainables.training.transfer import (
    TRANSFER_VERSION,
    Entrant,
    TransferData,
    TransferFit,
)

JOB = "transfer"


def start(options: TransferOptions) -> int:
    """Checks the options and runs the job; returns 0 if all models are done, 1 if some failed."""
    data = open_data(options)
    if options.write_formulas is not None:
        write_formulas(options.write_formulas, options, data)
        return OK
    tables = open_tables(options)
    if options.plan:
        print("\n".join(plan_lines(options, data, tables)))
        return OK
    seen = look_for_overlap(options, data, tables)
    if options.dry_run:
        demand_folder(options.run)
        describe(options, data, tables)
        return OK
    with locked(options.run) as lease:
        return run(options, lease, data, tables, seen)


def write_formulas(
    folder: Path, options: TransferOptions, data: Mapping[str, Compositions]
) -> None:
    """Writes the formulas of each test fold, in the format of `hybrid_grid --without`."""
    for name, fold in product(data, options.folds):
        formulas = data[name].formulas[data[name].test_rows(fold)]
        path = folder / f"{slug(name)}-fold{fold}.txt"
        text = "\n".join(sorted({formula.replace(" ", "") for formula in formulas})) + "\n"
        try:
            if path.exists() and path.read_bytes() != text.encode():
                other = f"{path}: is there with other content; remove it or name another folder"
                raise UsageError(f"--write-formulas {folder}: {other}")
            durable.write_text(path, text)
        except OSError as error:
            reason = f"--write-formulas {folder}: {error.strerror}; name a folder to write into"
            raise UsageError(reason) from None
        print(path)


def describe(
    options: TransferOptions, data: Mapping[str, Compositions], tables: Sequence[Table]
) -> None:
    """Prints what would be trained."""
    for one in data.values():
        recipe = recipe_of(options, one)
        models = len(tables) * len(options.folds) * len(options.seeds)
        print(
            f"{one.name}: {models} models, {recipe.epochs} epochs at most in batches of"
            f" {recipe.batch_size}"
        )
    print("the input is sound; nothing is written")


def run(
    options: TransferOptions,
    lease: str,
    data: dict[str, Compositions],
    tables: list[Table],
    seen: list[dict[str, Any]],
) -> int:
    """Formulas and tables → models → scores → paired differences → report."""
    _own_folder(options, data, tables)
    keep_quarantine(options.run, [row for one in data.values() for row in one.quarantine])
    records = Records(options.run / layout.RECORDS, SCHEMA, lease)
    with here().joined(options.address, options.worker.cpus):
        print(here().ready(options.worker, options.address, options.run))
        lineups = {name: line_up(options, one, tables, seen) for name, one in data.items()}
        study = Study(
            arrays=[
                array for name in data for array in _arrays(options, data[name], lineups[name])
            ],
            data={name: TransferData(one, _values(lineups[name])) for name, one in data.items()},
            naming=TransferArray,
            make_fit=TransferFit,
            error="val_error",
        )
        return train_to_ledger(
            study,
            records,
            options.worker,
            path=options.run / LEDGER,
            finish=lambda ledger: finish(options, records, ledger, data, tables, seen),
            retry_failed=options.retry_failed,
        )


def _arrays(
    options: TransferOptions, data: Compositions, lineup: Mapping[Entrant, Table]
) -> list[TransferArray]:
    """The arrays of one data set."""
    return arrays_of(
        data.name,
        data,
        lineup,
        recipe_of(options, data),
        target=Target(name="target", unit=unit_of(data.name)),
        trainable=options.trainable,
        device=options.worker.device,
    )


def _own_folder(
    options: TransferOptions, data: Mapping[str, Compositions], tables: Sequence[Table]
) -> None:
    """Writes what is asked into the manifest; refuses a folder made for something else."""
    asked = {
        "config": {
            "tasks": list(data),
            "tables": {table.name: table.digests for table in tables},
            "folds": list(options.folds),
            "seeds": list(options.seeds),
            "recipe": options.recipe,
            "epochs": options.epochs,
            "patience": options.patience,
            "trainable": options.trainable,
            "strict": options.strict,
            **{"groups": None, "split": None, **fields_of(options.division)},
        },
        "data": {name: fingerprint(one) for name, one in data.items()},
        "training_version": TRANSFER_VERSION,
    }
    open_manifest(options.run, JOB, asked, what="comparison", extend=options.extend)
    write_manifest(options.run, {"job": JOB, **asked, "versions": versions()})


def _values(lineup: Mapping[Entrant, Table]) -> dict[Entrant, Any]:
    return {entrant: table.values for entrant, table in lineup.items()}


def finish(
    options: TransferOptions,
    records: Records,
    ledger: pd.DataFrame,
    data: Mapping[str, Compositions],
    tables: Sequence[Table],
    seen: list[dict[str, Any]],
) -> None:
    """Writes scores, their paired differences, and the report."""
    scores = score_all(records, ledger, data)
    if scores.empty:
        return
    reference = options.reference or tables[0].name
    done = ledger[ledger["status"] == DONE]
    share = float((done["n_test"] / (done["n_train"] + done["n_val"])).mean())
    names = [table.name for table in tables]
    compared = compare(scores, data, names, reference, share, options.detect)
    together = score_together(records, ledger, data)
    for row in compared:
        row["together"] = together.get((row["task"], row["table"]))
        print(in_words(row, reference) or _of_reference(row))
    told = {(row["task"], row["table"]) for row in compared}
    for name, table in product(data, tables):
        if (name, table.name) not in told:
            print(f"{name}: no model of {table.name} is done; it is compared with nothing")
    designs = designs_of(scores, compared, reference, share, options.detect)
    print("\n".join(designs))
    facts = _asked(options, data, tables) | {
        "detect": options.detect,
        "designs": designs,
        "reference": reference,
        "overlap": seen,
        "unknown": of_unknown_source(tables, options.folds),
        "compared": compared,
        "seconds": float(done["seconds"].sum()),
        sums.MADE_FROM: {OF_LEDGER: digest_of(ledger)},
    }
    print(write_scores(options.run, scores))
    print(sums.write_json(options.run, FACTS, facts))  # last: the comparison exists once they do
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
                "drawn": {str(seed): own.digest for seed, own in table.by_seed.items()},
            }
            for table in tables
        ],
        "tasks": {
            name: {"formulas": len(one), "classes": one.classes, "unit": unit_of(name)}
            for name, one in data.items()
        },
        "recipe": options.recipe,
        "epochs": {name: recipe_of(options, one).epochs for name, one in data.items()},
        "seeds": list(options.seeds),
        "folds": list(options.folds),
        "trainable": options.trainable,
        "strict": options.strict,
    }
