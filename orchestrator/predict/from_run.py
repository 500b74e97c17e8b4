"""A predictor from a run directory: which models, with which weights, and what they have seen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.ensemble.spread import calibrate
from analysis.ensemble.weights import blend
from analysis.leaderboard import CONFIGURATION
from analysis.novelty import Reference
from orchestrator.data.featurise import folder_of
from orchestrator.ensemble.job import COMBINED, read
from orchestrator.ensemble.predictions import FoldPredictions
from orchestrator.interface.errors import UsageError
from orchestrator.interface.format import counted
from orchestrator.predict.predictor import FoldEnsemble, Predictor, fewest_neighbours
from orchestrator.predict.tensors import TensorPredictor
from orchestrator.runs import layout
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.runs.ledger import LEDGER
from trainables.crystals.targets import TENSORS
from trainables.representations import shards
from trainables.representations.columns import Columns
from trainables.representations.graph import CrystalGraph
from trainables.training.checkpoint import CheckpointError, read_record
from trainables.training.panel import Panel

ENSEMBLE, BEST = "ensemble", "best"
LOOKED_AT = 2048  # crystals of a part, at most, by which distances are judged
MIXING_SEED = 0  # of the cross-validation that chooses the weights, as of `ensemble`


class _Parts(NamedTuple):
    """Positions of crystals in the data set, by what one model did with them."""

    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def predictor_of(run: Path, task: str | None, model: str) -> Predictor:
    """The predictor of a run's models.

    Args:
        task: the data set; None if the run has only one.
        model: `ENSEMBLE`, `BEST` for the configuration with the least validation error, or the key
            of a model, or its beginning.

    Raises:
        UsageError: the run has no such models, or is damaged.
    """
    finished = FinishedRun(run)
    finished.demand_files()
    name = _task_of(finished, task)
    tensors = finished.kind_of(name) in TENSORS
    # Weights are chosen by numbers; of tensors the models of one configuration count alike.
    models = _chosen(finished, name, BEST if tensors and model == ENSEMBLE else model)
    if tensors:
        return _of_tensors(finished, name, model, models)
    binary = finished.kind_of(name) == "binary"
    given = {
        int(fold): read(finished, f"{name}, fold {fold}", rows)
        for fold, rows in models.groupby("fold", sort=True)
    }
    folds = [_fold(fold, found, binary=binary) for fold, found in given.items()]
    keys = sorted({key for fold in folds for column in fold.columns for key in column})
    panel = _panel(run, keys)
    facts = _facts(finished, name, model, panel)
    bare = Predictor(facts, panel, tuple(folds), _max_atoms(finished))
    return _acquainted(bare, folder_of(run, name), run / layout.RECORDS, given)


def _of_tensors(
    finished: FinishedRun, name: str, model: str, models: pd.DataFrame
) -> TensorPredictor:
    """The predictor of tensors, by the mean of some models, rows of the ledger."""
    panel = _panel(finished.folder, sorted(models["key"]))
    folds = []
    for fold, rows in models.groupby("fold", sort=True):
        columns = tuple((key,) for key in sorted(rows["key"]))
        weights = np.full(len(columns), 1 / len(columns))
        folds.append(
            FoldEnsemble(
                fold=int(str(fold)),
                columns=columns,
                weights=weights,
                spread=None,
                familiar=None,
                reference=columns[0][0],
            )
        )
    facts = {**_facts(finished, name, model, panel), "held_out": None}
    return TensorPredictor(facts, panel, tuple(folds), _max_atoms(finished))


def _panel(run: Path, keys: Sequence[str]) -> Panel:
    try:
        return Panel.load(run / layout.RECORDS / f"{key}.safetensors" for key in keys)
    except CheckpointError as error:
        raise UsageError(f"{error}; or run hybrid_grid again") from None


def _facts(finished: FinishedRun, name: str, model: str, panel: Panel) -> dict[str, Any]:
    return {
        "task": name,
        "target": panel.target.name,
        "unit": panel.target.unit,
        "kind": panel.target.kind,
        "classes": finished.manifest["datasets"].get(name, {}).get("classes"),
        "model": model,
        "models": len(panel.rows),
        "made_from": {LEDGER: finished.digest},
    }


def _max_atoms(finished: FinishedRun) -> int:
    return int(finished.manifest["config"].get("max_atoms", 1000))


def _task_of(finished: FinishedRun, task: str | None) -> str:
    known = sorted(finished.done["task"].unique())
    if not known:
        raise UsageError(f"{finished.folder}: no model is done; there is nothing to predict with")
    if task is None and len(known) > 1:
        raise UsageError(f"{finished.folder}: which data set? --task {' or '.join(known)}")
    if task is not None and task not in known:
        raise UsageError(f"--task {task}: no model of it is done; there are: {', '.join(known)}")
    found = str(task or known[0])
    if finished.kind_of(found) not in (*COMBINED, *TENSORS):
        raise UsageError(f"{found}: predictions are of one number, class or tensor a crystal")
    return found


def _chosen(finished: FinishedRun, task: str, model: str) -> pd.DataFrame:
    """Rows of the ledger."""
    rows = finished.done[(finished.done["task"] == task) & (finished.done["condition"] == "")]
    if model == ENSEMBLE:
        chosen = rows
    elif model == BEST:
        best = finished.best
        best = best[(best["task"] == task) & (best["condition"] == "")]
        first = best.sort_values("val_error", kind="stable")[list(CONFIGURATION)].head(1)
        chosen = rows.merge(first, on=list(CONFIGURATION))
    else:
        chosen = finished.done[finished.done["key"].str.startswith(model)]
        if len(chosen) > 1:
            raise UsageError(f"--model {model}: begins the keys of {counted(len(chosen), 'model')}")
        if len(chosen) and chosen["task"].iloc[0] != task:
            raise UsageError(f"--model {model}: a model of {chosen['task'].iloc[0]}, not of {task}")
    if chosen.empty:
        known = f"{ENSEMBLE}, {BEST}, or a key of {finished.folder / layout.LEDGER}"
        raise UsageError(f"--model {model}: no such model is done; give {known}")
    return chosen


def _fold(fold: int, given: FoldPredictions, *, binary: bool) -> FoldEnsemble:
    """The ensemble of a fold, by its validation part; without what it is familiar with."""
    weighed = blend(given.validation, given.validation_target, MIXING_SEED, classes=binary)
    spread = None
    if not binary:
        spread = calibrate(weighed.crossed - given.validation_target, weighed.crossed_spread)
    kept = np.flatnonzero(weighed.weights > 0)
    columns = tuple(given.columns[place] for place in kept)
    weights = weighed.weights[kept]
    return FoldEnsemble(
        fold=fold,
        columns=columns,
        weights=weights / weights.sum(),
        spread=spread,
        familiar=None,
        reference=columns[int(weights.argmax())][0],
    )


def _acquainted(
    bare: Predictor, folder: Path, records: Path, given: dict[int, FoldPredictions]
) -> Predictor:
    """The predictor with what its models have seen, and what its flag says of the test parts."""
    try:
        ids = shards.ids(folder / bare.representations[0].name)
        parts = {fold.fold: _parts(records, fold.reference, len(ids)) for fold in bare.folds}
        wanted = np.unique(np.concatenate([np.concatenate(part) for part in parts.values()]))
        graphs = {kind.name: _read(folder, kind, wanted) for kind in bare.representations}
    except shards.ShardError as error:
        raise UsageError(str(error)) from None
    folds = []
    for fold in bare.folds:
        part = parts[fold.fold]
        if not len(part.training) or not len(part.validation):
            folds.append(fold)
            continue
        seen = [
            {name: own.take(np.searchsorted(wanted, rows)) for name, own in graphs.items()}
            for rows in (part.training, part.validation)
        ]
        features = [bare.panel.features(both, [fold.reference])[fold.reference] for both in seen]
        fewest = {
            name: min(int(fewest_neighbours(both[name]).min()) for both in seen) for name in graphs
        }
        folds.append(replace(fold, familiar=Reference.of(*features), fewest=fewest))
    made = replace(bare, folds=tuple(folds))
    held = _held_out(
        made, given, {fold: part.test for fold, part in parts.items()}, ids, graphs, wanted
    )
    return replace(made, facts={**made.facts, "held_out": held})


def _parts(records: Path, key: str, total: int) -> _Parts:
    """What a model did with the crystals of its data set; a sample of large parts."""
    row, arrays = read_record(records / f"{key}.safetensors")
    held = [arrays[f"predictions/{part}/row"].numpy() for part in ("validation", "test")]
    rest = np.setdiff1d(np.arange(total), np.concatenate(held))
    # Where crystals are withheld or unused, the rest is not what was learned from.
    training = rest if len(rest) == row["n_train"] else rest[:0]
    digits = hashlib.sha256(key.encode()).digest()[:4]
    random = np.random.default_rng(int.from_bytes(digits, "little"))
    return _Parts(*(_sample(rows, random) for rows in (training, *held)))


def _sample(rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
    if len(rows) <= LOOKED_AT:
        return np.sort(rows)
    return np.sort(random.choice(rows, LOOKED_AT, replace=False))


def _read(folder: Path, kind: CrystalGraph, wanted: np.ndarray) -> Columns:
    """The graphs of some crystals, ascending positions in the data set; a shard at a time."""
    parts, start = [], 0
    for shard in shards.listing(folder / kind.name, kind.columns):
        chosen = wanted[(wanted >= start) & (wanted < start + shard.crystals)] - start
        start += shard.crystals
        if len(chosen):
            parts.append(shards.graphs_of(shards.read_graphs(shard, chosen), kind.columns))
    return kind.columns.join(parts)


def _held_out(
    made: Predictor,
    given: dict[int, FoldPredictions],
    tested: dict[int, np.ndarray],
    ids: np.ndarray,
    graphs: dict[str, Columns],
    wanted: np.ndarray,
) -> dict[str, Any]:
    """What the flag is worth: errors on the test parts, each by its own fold, with and without."""
    flags, errors = [], []
    for fold in made.folds:
        rows = tested[fold.fold]
        own = {name: part.take(np.searchsorted(wanted, rows)) for name, part in graphs.items()}
        found = given[fold.fold]
        place = {name: at for at, name in enumerate(found.ids.tolist())}
        at = np.array([place.get(name, -1) for name in ids[rows].tolist()])
        each = found.each[:, [found.columns.index(column) for column in fold.columns]]
        prediction = np.einsum("m,kmt->t", fold.weights, each) / len(each)
        kept = at >= 0
        errors.append(np.abs(prediction - found.target)[at[kept]])
        flags.append(np.array(made.unfamiliar(own, [fold]), object)[kept] != "")
    flagged, error = np.concatenate(flags), np.concatenate(errors)
    return {
        "crystals": len(error),
        "outside": int(flagged.sum()),
        "error_inside": _mean(error[~flagged]),
        "error_outside": _mean(error[flagged]),
    }


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def members(folds: Sequence[FoldEnsemble]) -> Iterator[str]:
    """Keys of all models, each once, ascending."""
    yield from sorted({key for fold in folds for column in fold.columns for key in column})
