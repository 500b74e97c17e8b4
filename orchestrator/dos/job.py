"""Densities of states: curves → one grid → an ensemble for each fold → scores beside baselines.

elemgrid dos --data edos.parquet --run runs/dos --workers 2
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from orchestrator.data.featurise import keep_quarantine
from orchestrator.dos.entries import SCHEMA, DensityArray, arrays_of
from orchestrator.dos.files import (
    ELEMENTS,
    FACTS,
    LEDGER,
    OF_ELEMENTS,
    PREDICTED,
    PREDICTIONS,
)
from orchestrator.dos.flags import DosOptions
from orchestrator.dos.inputs import Input, open_curves, read_densities
from orchestrator.dos.results import BASELINES, differences_of, folds_of, mean_of, whole
from orchestrator.interface.format import counted, duration, significant
from orchestrator.report.job import write_report
from orchestrator.runs import sums
from orchestrator.runs.ledger import LEDGER as OF_LEDGER
from orchestrator.runs.ledger import digest_of
from orchestrator.runs.records import DONE, Records
from orchestrator.training.epoch import say_measuring, seconds_of_an_epoch
from orchestrator.training.networks import begin, own_folder, train_all
from orchestrator.training.study import Fit, Study
from trainables.crystals.quarantine import in_words
from trainables.representations.densities import fold_split
from trainables.training.density_spec import DENSITY_VERSION, NETWORKS

JOB = "dos"


def start(options: DosOptions) -> int:
    """Checks the options and runs the job; returns 0 if all models are done, 1 if some failed."""
    return begin(options, open_curves, read_densities, plan, run)


def run(options: DosOptions, lease: str, given: Input) -> int:
    """Crystals → ensembles → ledger → predictions, scores and report."""
    task = given.source.name
    own_folder(options, JOB, _config(options, given), given.densities.fingerprint, DENSITY_VERSION)
    keep_quarantine(options.run, given.bad)
    _describe(options, given)
    study = Study(
        arrays=arrays_of(options, task, given.densities),
        data={task: given.densities},
        naming=DensityArray,
        make_fit=fit_ensemble,
        together=options.workers,
    )
    return train_all(
        options,
        study,
        SCHEMA,
        lease,
        ledger=LEDGER,
        finish=lambda records, ledger: finish(options, records, ledger, given),
    )


def fit_ensemble(spec: Any, densities: Any, device: str, **group: Any) -> Fit:
    """Starts the training of an ensemble; a worker imports torch here, the driver never."""
    from trainables.training.densities import fit_densities

    return fit_densities(spec, densities, device, **group)


def _config(options: DosOptions, given: Input) -> dict[str, Any]:
    return {
        "data": given.source.name,
        "range": list(options.range),
        "points": options.points,
        "sigma": options.sigma,
        "phonons": options.phonons,
        "folds": list(options.folds),
        "members": options.members,
        "curve": options.curve,
    }


def _describe(options: DosOptions, given: Input) -> None:
    """Prints what was read."""
    densities, window = given.densities, given.densities.window
    short = int(np.isnan(densities.crystals).any(axis=1).sum())
    of = "sites" if densities.per_site else "crystals"
    print(
        f"{counted(len(densities), 'crystal')}, {len(given.bad)} quarantined; densities of {of} at"
        f" {window.points} energies from {window.low:g} to {window.high:g}, sigma {window.sigma:g}"
        + (f"; {counted(short, 'curve')} reach only a part of them" if short else "")
    )


def plan(options: DosOptions, given: Input) -> None:
    """Prints what would be trained, and how long that takes by the time of one epoch."""
    arrays = arrays_of(options, given.source.name, given.densities)
    _describe(options, given)
    for row in given.bad:
        print(f"  {in_words(row)}")
    recipe = arrays[0].first.recipe
    models = sum(len(array.models) for array in arrays)
    say_measuring()
    first, worker = arrays[0], options.worker
    split = fold_split(given.densities.data.ids, first.first.fold, first.first.seed)
    seconds = seconds_of_an_epoch(fit_ensemble, first.spec, given.densities, split, worker)
    most = seconds * recipe.epochs * sum(array.first.share for array in arrays)
    print(
        f"{NETWORKS[options.recipe].title}: {counted(models, 'model')} of"
        f" {counted(len(arrays), 'ensemble')}, at most {counted(recipe.epochs, 'epoch')} each in"
        f" batches of {recipe.batch_size}; {options.workers} "
        f"worker{'s' if options.workers > 1 else ''} at a time"
    )
    print(
        f"an epoch of an ensemble takes {duration(seconds)} in one process here, all at most"
        f" {duration(most)}; nothing is written"
    )


def finish(options: DosOptions, records: Records, ledger: pd.DataFrame, given: Input) -> None:
    """Writes predictions, scores and the report, the facts last."""
    folds = folds_of(ledger, records, given.densities)
    tested = whole(folds)
    if not tested:
        return
    sums.remove(options.run, FACTS)  # the facts of other models must not be left with new files
    predictions = [row for one in tested for row in one.predictions()]
    elements = [row for one in tested for row in one.elements()]
    scores = [one.facts() for one in folds]
    differences = differences_of(scores[: len(tested)])
    for line in [_of_fold(row, options.members) for row in scores[: len(tested)]]:
        print(line)
    for line in [_of_difference(one) for one in differences]:
        print(line)
    facts = {
        **_about(options, given),
        "folds": scores[: len(tested)],
        "curve": scores,
        "mean": mean_of(scores[: len(tested)]),
        "differences": differences,
        "seconds": float(ledger.loc[ledger["status"] == DONE, "seconds"].sum()),
        sums.MADE_FROM: {OF_LEDGER: digest_of(ledger)},
    }
    print(sums.write_rows(options.run, PREDICTIONS, predictions, PREDICTED))
    print(sums.write_rows(options.run, ELEMENTS, elements, OF_ELEMENTS))
    print(sums.write_json(options.run, FACTS, facts))
    print(write_report(options.run))


def _of_fold(row: dict[str, Any], members: int) -> str:
    """The printed line of a fold."""
    return (
        f"fold {row['fold']}: {row['members']} of {counted(members, 'network')};"
        f" MSE {significant(row['mse'])}, mean spectrum {significant(row['mean_spectrum_mse'])},"
        f" trees {significant(row['trees_mse'])}, look-up {significant(row['lookup_mse'])};"
        f" MAD:MAE {row['mad_mae']:.2f}; {row['seen']} of {counted(row['tested'], 'crystal')} have"
        " a formula that was learned from"
    )


def _of_difference(one: dict[str, Any]) -> str:
    """The printed line of an ensemble's difference from a baseline."""
    return (
        f"ensemble minus {BASELINES[one['baseline']]}, {one['crystals']} crystals:"
        f" {one['mean']:+.4f} ({one['low']:+.4f} to {one['high']:+.4f}), {one['pairs']} folds"
    )


def _about(options: DosOptions, given: Input) -> dict[str, Any]:
    densities = given.densities
    return {
        "data": {
            "name": given.source.name,
            "sha256": given.source.digest(),
            "crystals": len(densities),
            "quarantined": len(given.bad),
            "per_site": densities.per_site,
            "phonons": options.phonons,
        },
        "window": {
            "low": densities.window.low,
            "high": densities.window.high,
            "points": densities.window.points,
            "sigma": densities.window.sigma,
        },
        "recipe": options.recipe,
        "network": NETWORKS[options.recipe].title,
        "members": options.members,
        "workers": options.workers,
        "epochs": options.in_effect(NETWORKS[options.recipe].recipe).epochs,
        "seed": options.seed,
    }
