"""Predictions in the format of MatBench's leaderboard: `results.json.gz` and `info.json`.

The format is that of version 0.6 of the benchmark's own package, which cannot be installed with
current libraries: every fold of a task with a prediction for each crystal of its official test
part, scores, and a SHA-256 of all of it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any

import pandas as pd

from analysis.scores import classification_scores, regression_scores
from orchestrator.interface.format import counted
from trainables.crystals.registry import FOLDS, LEADERBOARD, Fold, Task, official_folds
from trainables.models.backbones import BACKBONES

VERSION = "0.6"
BENCHMARK = "matbench_v0.1"
CLASS_SCORES = ("accuracy", "balanced_accuracy", "f1", "rocauc")
METHOD = (
    "Predictions of {models} graph networks ({backbones}; element embeddings of {dims} dimensions,"
    " handcrafted, learned or a mix of both), trained on {trained} of the training part of"
    " each official fold. Members and weights were chosen on {held}, one of four"
    " ways (best single model, mean, greedy selection, non-negative weights of least absolute"
    " error; of classes only the first three, by the area under the ROC curve) by cross-validation"
    " within it; intervals of numbers are quantiles of the errors there."
)


def method(models: pd.DataFrame) -> str:
    """What an ensemble of these models, rows of the ledger, is."""
    of = int(models["inner_folds"].max())
    trained, held = "three quarters", "the remaining quarter"
    if of:
        trained = f"all but one of {of} parts"
        held = "that whole, each crystal predicted by the models that held back its part"
    return METHOD.format(
        models=len(models),
        backbones=", ".join(sorted(set(models["backbone"]))),
        dims=", ".join(map(str, sorted(set(models["dim"])))),
        trained=trained,
        held=held,
    )


def references(backbones: Iterable[str]) -> list[str]:
    """The publications of an ensemble's networks, in BibTeX."""
    return [BACKBONES[name].reference for name in sorted(set(backbones))]


def material_ids(task: str) -> list[str]:
    """The leaderboard's ids of a task's crystals, in the order of its file."""
    size = LEADERBOARD[task].n
    prefix = f"mb-{task.replace('_', '-')}"
    return [f"{prefix}-{row + 1:0{math.floor(math.log10(size)) + 1}d}" for row in range(size)]


def why_not(task: str, predicted: pd.DataFrame) -> str | None:
    """Why a task's predictions [fold, id, …] cannot be submitted; None if they can."""
    known = LEADERBOARD.get(task)
    if known is None:
        return "no task of the leaderboard"
    ids = material_ids(task)
    try:
        folds = _folds(known, ids, predicted)
    except ValueError as error:
        return str(error)
    for number in range(FOLDS):
        wanted = {ids[row] for row in folds[number][1]}
        given = set(predicted.loc[predicted["fold"] == number, "id"])
        if not given:
            return f"fold {number} is missing"
        if given != wanted:
            odd = sorted(wanted ^ given)
            return f"fold {number}: {len(odd)} crystals are missing or unknown, as {odd[0]}"
    return None


def _folds(task: Task, ids: Sequence[str], predicted: pd.DataFrame) -> list[Fold]:
    """The official folds; those of classes need the class of every crystal.

    Raises:
        ValueError: a crystal is tested in no fold; in a few words.
    """
    if task.problem == "regression":
        return official_folds(task.n)
    known = predicted.drop_duplicates("id").set_index("id")["target"].reindex(ids)
    if known.isna().any():
        raise ValueError(f"{counted(int(known.isna().sum()), 'crystal')} in no fold")
    return official_folds(classes=known.to_numpy(bool))


def results(
    predicted: pd.DataFrame,
    parameters: Mapping[tuple[str, int], Mapping[str, Any]],
    *,
    algorithm: str,
    stamp: datetime,
) -> dict[str, Any]:
    """The content of `results.json.gz`.

    Args:
        predicted: task, fold, id, target, prediction, std, ci_lower, ci_upper (95 %); only tasks
            for which `why_not` returns None.
        parameters: of the models, by (task, fold).
        stamp: when the predictions were made, UTC.
    """
    tasks = {
        f"matbench_{task}": _task(str(task), rows, parameters)
        for task, rows in predicted.groupby("task", sort=True)
    }
    content = {
        "@module": "matbench.bench",
        "@class": "MatbenchBenchmark",
        "version": VERSION,
        "benchmark_name": BENCHMARK,
        "tasks": tasks,
        "user_metadata": {"algorithm": algorithm, "elemgrid": version("elemgrid")},
        "datestamp": stamp.strftime("%Y.%m.%d %H:%M.%S"),
    }
    return content | {"hash": digest(content)}


def digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of the JSON text, with sorted keys, of everything but the hash itself."""
    without = {name: value for name, value in content.items() if name != "hash"}
    return hashlib.sha256(json.dumps(without, sort_keys=True).encode()).hexdigest()


def _task(
    task: str, rows: pd.DataFrame, parameters: Mapping[tuple[str, int], Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "@module": "matbench.task",
        "@class": "MatbenchTask",
        "benchmark_name": BENCHMARK,
        "dataset_name": f"matbench_{task}",
        "results": {
            f"fold_{fold}": _fold(
                part,
                dict(parameters.get((task, int(fold)), {})),
                LEADERBOARD[task].problem == "classification",
            )
            for fold, part in rows.groupby("fold", sort=True)
        },
    }


def _fold(rows: pd.DataFrame, parameters: dict[str, Any], classes: bool) -> dict[str, Any]:
    target, prediction = rows["target"].to_numpy(), rows["prediction"].to_numpy()
    data = dict(zip(rows["id"], map(float, prediction), strict=True))
    if classes:  # probabilities, which the leaderboard scores by labels and gives no uncertainty
        scores = classification_scores(target, prediction)
        scores["rocauc"] = scores["rocauc_labels"]
        named = {name: scores[name] for name in CLASS_SCORES}
        return {"data": data, "uncertainty": None, "parameters": parameters, "scores": named}
    names = ["id", "prediction", "ci_lower", "ci_upper", "std"]
    records = rows[names].itertuples(index=False)
    scores = regression_scores(target, prediction)
    return {
        "data": data,
        "uncertainty": {
            row.id: {
                "ci_lower": float(row.ci_lower),
                "ci_upper": float(row.ci_upper),
                "std": float(row.std),
            }
            for row in records
        },
        "parameters": parameters,
        "scores": scores,
    }


def info(
    *, authors: str, algorithm: str, description: str, references: Sequence[str], notes: str
) -> dict[str, Any]:
    """The content of `info.json`."""
    packages = ("elemgrid", "torch", "numpy", "scipy", "scikit-learn", "ray")
    return {
        "authors": authors,
        "algorithm": algorithm,
        "algorithm_long": description,
        "bibtex_refs": list(references),
        "notes": notes,
        "requirements": {"python": [f"{name}=={version(name)}" for name in packages]},
    }


def compress(content: Mapping[str, Any]) -> bytes:
    """JSON, gzipped; the same bytes for the same content."""
    return gzip.compress(json.dumps(content).encode(), mtime=0)
