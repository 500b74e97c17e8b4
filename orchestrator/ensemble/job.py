"""Combines a grid's models: weights from validation, calibrated uncertainties, a submission.

elemgrid ensemble runs/hybrid_grid
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.ensemble.combining import combine, combine_inner
from analysis.ensemble.spread import calibrate, coverage, widths
from analysis.ensemble.weights import Blend, blend, ways_for
from analysis.metrics import ABSOLUTE
from analysis.scores import classification_scores
from orchestrator.ensemble import submission
from orchestrator.ensemble.files import FACTS, INFO, LEVEL, RESULTS, forget, write_predictions
from orchestrator.ensemble.flags import EnsembleOptions
from orchestrator.ensemble.predictions import FoldPredictions, columns_of, read_fold
from orchestrator.ensemble.published import compare_all, read_published
from orchestrator.ensemble.summary import say
from orchestrator.interface.errors import UsageError
from orchestrator.interface.format import are, counted
from orchestrator.report.job import write_report
from orchestrator.runs import sums
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.runs.ledger import LEDGER
from orchestrator.runs.run_directory import look_then_work

COMBINED = ("scalar", "binary")  # kinds of targets


def start(options: EnsembleOptions) -> int:
    """Checks the options and runs the job."""
    return look_then_work(options, choose_models, run)


def choose_models(options: EnsembleOptions) -> tuple[FinishedRun, pd.DataFrame]:
    """Selects the rows of the grid's ledger whose models take part; returns them with the run.

    All that can be wrong with the options is found here.
    """
    finished = FinishedRun(options.run)
    finished.demand_files()
    _ = finished.predictions
    if options.published is not None:
        read_published(options.published)
    models = finished.done
    for flag, column in (("tasks", "task"), ("backbones", "backbone")):
        asked = getattr(options, flag)
        known = set(finished.done[column])
        for name in asked:
            if name not in known:
                there = ", ".join(sorted(known)) or "none"
                raise UsageError(f"--{flag} {name}: no model of it is done; there are: {there}")
        if asked:
            models = models[models[column].isin(asked)]
    if models.empty:
        raise UsageError(f"{options.run}: no such model is done; there is nothing to combine")
    models = _of_whole_folds(finished, _combinable(finished, models))
    folds = models.groupby("task", sort=False)["fold"].nunique()
    for task, number in folds.items():
        count = int((models["task"] == task).sum())
        print(f"{task}: {counted(count, 'model')} of {counted(number, 'fold')}")
    return finished, models


def _combinable(finished: FinishedRun, models: pd.DataFrame) -> pd.DataFrame:
    """The models of numbers and classes; data sets with other targets are left out, in one line."""
    left = [task for task in models["task"].unique() if finished.kind_of(task) not in COMBINED]
    kept = models[~models["task"].isin(left)]
    told = f"{', '.join(left)}: ensembles are of one number or class a crystal"
    if kept.empty:
        raise UsageError(f"{finished.folder}: {told}; there is nothing to combine")
    if left:
        print(f"{told}; left out", file=sys.stderr)
    return kept


def _of_whole_folds(finished: FinishedRun, models: pd.DataFrame) -> pd.DataFrame:
    """The models that learned from all of their fold; others are left out, in one line."""
    kept = models[models["condition"] == ""]
    if kept.empty:
        raise UsageError(
            f"{finished.folder}: all its models are under conditions, as"
            f" {models['condition'].iloc[0]}; ensembles are of models that learned from whole folds"
        )
    if left := len(models) - len(kept):
        told = f"{counted(left, 'model')} under conditions {are(left)} left out"
        print(f"{told}; ensembles are of models that learned from whole folds", file=sys.stderr)
    return kept


def run(options: EnsembleOptions, chosen: tuple[FinishedRun, pd.DataFrame]) -> None:
    """Combines the models, and writes the report."""
    combine_folds(options, chosen)
    print(write_report(options.run))


def combine_folds(options: EnsembleOptions, chosen: tuple[FinishedRun, pd.DataFrame]) -> None:
    """Each fold's predictions → weights and spread from validation → test, once → files."""
    folder, (finished, models) = options.run, chosen
    tables, facts = [], []
    for (task, fold), rows in models.groupby(["task", "fold"], sort=True):
        given = read(finished, f"{task}, fold {fold}", rows)
        classes = finished.kind_of(str(task)) == "binary"
        weighed = blend(given.validation, given.validation_target, options.seed, classes=classes)
        predicted, found = (finish_classes if classes else finish)(given, weighed)
        tables.append(predicted.assign(task=task, fold=fold))
        facts.append({"task": task, "fold": int(fold), **found})
    predicted = pd.concat(tables, ignore_index=True)
    forget(folder)
    written = [write_predictions(folder, predicted)]
    beside = compare_all(options.published, finished, facts)
    for task, rows in predicted.groupby("task", sort=False):
        say(str(task), rows, facts, models, beside)
    written += submit(options, finished, models, predicted, facts)
    content = {
        "tasks": list(options.tasks),
        "backbones": list(options.backbones),
        "seed": options.seed,
        "level": LEVEL,
        "folds": facts,
        "published": beside,
        sums.MADE_FROM: {LEDGER: finished.digest},
    }
    # the facts last: the ensemble exists once they do
    for path in [*written, sums.write_json(folder, FACTS, content)]:
        print(path)


def read(finished: FinishedRun, name: str, models: pd.DataFrame) -> FoldPredictions:
    """Reads the predictions of the models of one fold, rows of the ledger."""
    try:
        given = read_fold(finished.predictions, columns_of(models))
    except ValueError as error:
        raise UsageError(f"{finished.folder}: {name}: {error}") from None
    if given.left_out:
        number = len(given.left_out)
        others = f"{counted(number, 'model')} with predictions of other crystals {are(number)}"
        print(f"{name}: {others} left out, as {given.left_out[0]}", file=sys.stderr)
    return given


def finish(given: FoldPredictions, weighed: Blend) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Predicts the test part, which is used here for the first time, with calibrated intervals."""
    spread = calibrate(weighed.crossed - given.validation_target, weighed.crossed_spread)
    prediction, deviation = combine_inner(weighed.weights, given.each)
    half = spread.half_width(deviation, LEVEL)
    predicted = pd.DataFrame(
        {
            "id": given.ids,
            "target": given.target,
            "prediction": prediction,
            "std": spread.standard(deviation),
            "ci_lower": prediction - half,
            "ci_upper": prediction + half,
            "deviation": deviation,
        }
    )
    found = facts_of(given, weighed, classes=False)
    calibrated = {
        "validation_mae": found["validation_error"],
        "test_mae": found["test_error"],
        "coverage": coverage(prediction - given.target, deviation, spread),
        "width": widths(deviation, spread),
        "floor": spread.floor,
        "scale": spread.scale,
    }
    return predicted, found | calibrated


def finish_classes(given: FoldPredictions, weighed: Blend) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The same for probabilities of class 1, which say by themselves how certain they are."""
    prediction, deviation = combine_inner(weighed.weights, given.each)
    predicted = pd.DataFrame(
        {
            "id": given.ids,
            "target": given.target,
            "prediction": prediction,
            **dict.fromkeys(("std", "ci_lower", "ci_upper"), np.nan),
            "deviation": deviation,
        }
    )
    scores = classification_scores(given.target, prediction)
    return predicted, facts_of(given, weighed, classes=True) | {
        "scores": scores,
        "coverage": {},
        "width": {},
    }


def facts_of(given: FoldPredictions, weighed: Blend, *, classes: bool) -> dict[str, Any]:
    """Members, weights and errors of a fold.

    The test error of the ways that validation did not choose is reported too; it decides nothing.
    """
    error, ways = ways_for(classes)
    tested = {
        name: combine(way(given.validation, given.validation_target), given.test)[0]
        for name, way in ways.items()
    }
    weights = {
        key: float(weight) / len(column)
        for column, weight in zip(given.columns, weighed.weights, strict=True)
        for key in column
        if weight > 0
    }
    return {
        "models": given.models,
        "members": len(weights),
        "inner_folds": len(given.each),
        "validated": len(given.validation_target),
        "way": weighed.way,
        "metric": "1-roc_auc" if classes else ABSOLUTE,
        "validation_error": weighed.errors,
        "test_error": {
            name: float(error(guess[None], given.target)[0]) for name, guess in tested.items()
        },
        "weights": weights,
        "left_out": given.left_out,
    }


def submit(
    options: EnsembleOptions,
    finished: FinishedRun,
    models: pd.DataFrame,
    predicted: pd.DataFrame,
    facts: list[dict[str, Any]],
) -> list[Path]:
    """Writes the leaderboard's files; prints for each other data set why it cannot be submitted."""
    refused = {
        str(task): reason
        for task, rows in predicted.groupby("task", sort=False)
        if (reason := submission.why_not(str(task), rows))
    }
    for task, reason in refused.items():
        print(f"{task}: not in the submission ({reason})")
    chosen = predicted[~predicted["task"].isin(refused)]
    if chosen.empty:
        return []
    taken = models[models["task"].isin(set(chosen["task"]))]
    parameters = {
        (fact["task"], fact["fold"]): {
            "way": fact["way"],
            "models": fact["models"],
            "members": fact["members"],
            "recipe": str(finished.manifest["config"]["recipe"]),
        }
        for fact in facts
    }
    content = submission.results(
        chosen,
        parameters,
        algorithm=options.algorithm,
        stamp=datetime.fromisoformat(finished.manifest["created"]),
    )
    about = submission.info(
        authors=options.authors,
        algorithm=options.algorithm,
        description=submission.method(taken),
        references=submission.references(taken["backbone"]),
        notes="" if options.authors else "authors are to be named: ensemble --authors NAMES",
    )
    return [
        sums.write_json(options.run, INFO, about),
        sums.write_bytes(options.run, RESULTS, submission.compress(content)),
    ]
