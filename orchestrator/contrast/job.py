"""Crystals and potentials in one space: slabs → pairs → encoders → retrieval and work functions.

elemgrid contrast --data generated --run runs/contrast
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.contrast.caveats import of_formulas, of_intervals, of_retrieval
from orchestrator.contrast.entries import LEARNS, SCHEMA, ContrastArray, arrays_of
from orchestrator.contrast.files import (
    EMBEDDED,
    EMBEDDINGS,
    FACTS,
    LEDGER,
    PREDICTED,
    PREDICTIONS,
)
from orchestrator.contrast.flags import ContrastJobOptions
from orchestrator.contrast.inputs import Input, open_source_of, read_pairs
from orchestrator.contrast.results import Learned, learned_of
from orchestrator.contrast.retrieval import CHANCE, COMPOSITION, ENSEMBLE, GEOMETRY, WAYS
from orchestrator.contrast.work_functions import METHODS
from orchestrator.data.featurise import keep_quarantine
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
from trainables.representations.pairs import Pairs, pair_split
from trainables.training.contrast_spec import CONTRAST_VERSION, NEAR, NETWORKS

JOB = "contrast"


def start(options: ContrastJobOptions) -> int:
    """Checks the options and runs the job; returns 0 if all models are done, 1 if some failed."""
    return begin(options, open_source_of, read_pairs, plan, run)


def run(options: ContrastJobOptions, lease: str, given: Input) -> int:
    """Pairs → models → ledger → retrieval, work functions and report."""
    source, pairs = given.source.name, given.pairs
    own_folder(options, JOB, _config(options, given), pairs.fingerprint, CONTRAST_VERSION)
    keep_quarantine(options.run, given.bad)
    print(_described(given))
    study = Study(
        arrays=arrays_of(options, source, pairs),
        data={source: pairs},
        naming=ContrastArray,
        make_fit=fit_pairs,
        # one worker an array leaves the others to other arrays
        together=options.workers if options.workers > 1 else 0,
    )
    return train_all(
        options,
        study,
        SCHEMA,
        lease,
        ledger=LEDGER,
        finish=lambda records, ledger: finish(options, records, ledger, given),
    )


def fit_pairs(spec: Any, pairs: Any, device: str, **group: Any) -> Fit:
    """Starts the training of an array; a worker imports torch here, the driver never."""
    from trainables.training.contrast import fit_contrast

    return fit_contrast(spec, pairs, device, **group)


def _config(options: ContrastJobOptions, given: Input) -> dict[str, Any]:
    return {
        "data": given.source.name,
        "grid": {"points": options.points, "span": options.span},
        "split": options.split,
        "split_seed": options.split_seed,
        "members": options.members,
        "curve": options.curve,
        "mask": options.mask,
    }


def _described(given: Input) -> str:
    """The printed line on what was read."""
    pairs = given.pairs
    steps = np.abs(np.diff(pairs.vacuum, axis=1))[:, 0]
    return (
        f"{counted(len(pairs), 'material')} of {counted(len(set(pairs.formulas)), 'formula')},"
        f" {len(given.bad)} quarantined; work functions {pairs.work_function.mean():.2f} ±"
        f" {pairs.work_function.std():.2f} eV, {int((steps > 0.1).sum())} with two vacuum levels;"
        f" {pairs.grid.points} points over {pairs.grid.span:g} Å"
    )


def plan(options: ContrastJobOptions, given: Input) -> None:
    """Prints what would be trained, and how long that takes by the time of one epoch."""
    arrays = arrays_of(options, given.source.name, given.pairs)
    print(_described(given))
    for row in given.bad:
        print(f"  {in_words(row)}")
    for line in _parts(options, given.pairs):
        print(line)
    recipe = arrays[0].first.recipe
    say_measuring()
    seconds = {kind: _seconds(arrays, kind, given.pairs, options) for kind in LEARNS.values()}
    cost = {array.id: array.cost(given.pairs) for array in arrays}
    whole = {array.kind: cost[array.id] for array in arrays if array.first.size is None}
    most = sum(
        seconds[array.kind] * recipe.epochs * cost[array.id] / whole[array.kind] for array in arrays
    )
    models = sum(len(array.models) for array in arrays)
    print(
        f"{NETWORKS[options.recipe].title}: {counted(models, 'model')} in"
        f" {counted(len(arrays), 'array')}, at most {counted(recipe.epochs, 'epoch')} each in"
        f" batches of {recipe.batch_size}"
    )
    print(
        f"an epoch of {arrays[0].id} takes {duration(seconds['contrast'])} in one process here, of"
        f" {arrays[1].id} {duration(seconds['regression'])}, all at most {duration(most)} of a"
        " process; nothing is written"
    )


def _parts(options: ContrastJobOptions, pairs: Pairs) -> list[str]:
    """What learns, validates and tests, and why results on so little would say little."""
    split = pair_split(pairs, options.split, options.split_seed)
    formulas = np.asarray(pairs.formulas)
    parts = {"learn": split.train, "validate": split.validation, "test": split.test}
    kinds = {does: len(set(formulas[rows])) for does, rows in parts.items()}
    told = [
        f"{counted(len(rows), 'material')} of {counted(kinds[does], 'formula')} {does}"
        for does, rows in parts.items()
    ]
    return [", ".join(told), *of_formulas(kinds["validate"], kinds["test"])]


def _seconds(
    arrays: list[ContrastArray], kind: str, pairs: Pairs, options: ContrastJobOptions
) -> float:
    """Of an epoch of the first array of a kind."""
    array = next(one for one in arrays if one.kind == kind)
    split = pair_split(pairs, options.split, options.split_seed)
    return seconds_of_an_epoch(fit_pairs, array.spec, pairs, split, options.worker)


def finish(
    options: ContrastJobOptions, records: Records, ledger: pd.DataFrame, given: Input
) -> None:
    """Writes embeddings, predictions, scores and the report, the facts last."""
    learned = learned_of(ledger, records, given.pairs, options.seed)
    if not learned or learned[0].size is not None:
        return
    sums.remove(options.run, FACTS)  # the facts of other models must not be left with new files
    whole = learned[0]
    facts = {
        **_about(options, given, whole),
        "retrieval": whole.retrieval.facts(),
        "retrieval_differences": whole.retrieval.differences(),
        "recall_curve": whole.retrieval.curve(),
        "work_function": whole.work_functions.summary(),
        "curve": [one.point() for one in learned] if len(learned) > 1 else [],
        "cost": whole.cost(),
        "seconds": float(ledger.loc[ledger["status"] == DONE, "seconds"].sum()),
        sums.MADE_FROM: {OF_LEDGER: digest_of(ledger)},
    }
    for line in _lines(facts):
        print(line)
    print(sums.write_rows(options.run, EMBEDDINGS, whole.embeddings(), EMBEDDED))
    print(sums.write_rows(options.run, PREDICTIONS, whole.predictions(), PREDICTED))
    print(sums.write_json(options.run, FACTS, facts))
    print(write_report(options.run))


def _lines(facts: Mapping[str, Any]) -> list[str]:
    """The printed lines on the results."""
    lines = []
    for way, title in WAYS.items():
        at = {row["method"]: row["recall"] for row in facts["retrieval"] if row["way"] == way}
        recalls = ", ".join(f"@{top} {share:.3f}" for top, share in at[ENSEMBLE].items())
        lines.append(
            f"{title}: recall {recalls}; @1 of chance {at[CHANCE]['1']:.4f}, of the nearest"
            f" composition {at[COMPOSITION]['1']:.3f}, of atoms as Gaussians"
            f" {at[GEOMETRY]['1']:.3f}"
        )
    methods = facts["work_function"]["methods"]
    errors = ", ".join(f"{METHODS[row['method']]} {significant(row['mae'])}" for row in methods)
    held = facts["work_function"]["interval"]
    return [
        *lines,
        f"work function, MAE in eV: {errors}; {held['covered']:.0%} within {held['level']:.0%}"
        " intervals",
        *of_retrieval(facts),
        *of_intervals(facts),
    ]


def _about(options: ContrastJobOptions, given: Input, whole: Learned) -> dict[str, Any]:
    pairs, split = given.pairs, whole.split
    formulas = np.asarray(pairs.formulas)
    learned = set(formulas[split.train])
    return {
        "data": {
            "name": given.source.name,
            "sha256": given.source.digest(),
            "materials": len(pairs),
            "formulas": len(set(pairs.formulas)),
            "quarantined": len(given.bad),
            "generated": options.data is None,
        },
        "grid": {"points": pairs.grid.points, "span": pairs.grid.span},
        "split": {
            "rule": options.split,
            "seed": options.split_seed,
            **{part: len(getattr(split, part)) for part in ("train", "validation", "test")},
            **{
                f"{part}_formulas": len(set(formulas[getattr(split, part)]))
                for part in ("validation", "test")
            },
            "seen": sum(one in learned for one in formulas[split.test]),
        },
        "recipe": options.recipe,
        "network": NETWORKS[options.recipe].title,
        "members": options.members,
        "members_done": len(whole.contrasts),
        "regressions_done": len(whole.regressions),
        "workers": options.workers,
        "epochs": options.in_effect(NETWORKS[options.recipe].recipe).epochs,
        "seed": options.seed,
        "mask": options.mask,
        "near": NEAR,
        "near_tested": whole.retrieval.duplicates(),
        "duplicates": whole.of_contrast("duplicates"),
        "temperature": whole.of_contrast("temperature"),
    }
