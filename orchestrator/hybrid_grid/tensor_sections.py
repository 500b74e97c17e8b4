"""The report's section on tensors: scores, what directions bring, principal values, a surface."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from analysis.figures.tensors import principal, surfaces
from analysis.leaderboard import CONFIGURATION
from analysis.paired import FIVE_FOLDS, paired
from orchestrator.hybrid_grid.scores import FROBENIUS
from orchestrator.hybrid_grid.tensors import tensor_kind
from orchestrator.interface.format import as_share, duration, interval, significant
from orchestrator.report.part import Values
from orchestrator.runs import layout, sums
from orchestrator.runs.finished_files import read_parquet, reading
from orchestrator.runs.finished_run import JOB, FinishedRun
from orchestrator.runs.ledger import LEDGER
from trainables.models.backbones import BACKBONES
from trainables.targets.tensor import Elastic, TensorKind
from trainables.tensors.scalars import youngs_modulus

TURNS = np.linspace(0, 2 * np.pi, 49)  # of the grid of directions on the sphere
TILTS = np.linspace(0, np.pi, 25)


def tensors(run: FinishedRun) -> Values | None:
    """Scores of the best configuration of each backbone, and figures of the best of each task."""
    done = run.done[run.done["metric"] == FROBENIUS]
    if done.empty:
        return None
    best = _best(done)
    chosen = done.merge(best, on=list(CONFIGURATION))
    winners = best.drop_duplicates("task")[list(CONFIGURATION)]
    said = _predicted(run)
    about = chosen.merge(winners)[["key", "task", "backbone", "spec", "unit"]]
    shown = said[said["part"] == "test"].merge(about, on="key")
    return {
        "scores": _scores(chosen),
        "differences": _differences(chosen),
        "unstable": {
            task: int((~own["stable"].dropna().astype(bool)).sum())
            for task, own in shown.groupby("task")
            if own["stable"].notna().any()
        },
        "drawn": principal(_principal_values(shown)),
        "stiff": _stiff(shown),
    }


def _best(done: pd.DataFrame) -> pd.DataFrame:
    """The configurations with the lowest mean validation error, the best first.

    One of each data set and backbone; two of a backbone that knows directions, or none (`l_max 0`).
    """
    means = done.groupby(list(CONFIGURATION))["val_error"].mean().reset_index()
    means["directed"] = [
        BACKBONES[str(one.backbone)].oriented and "l_max 0" not in str(one.setting)
        for one in means.itertuples()
    ]
    ordered = means.sort_values(["task", "val_error"], kind="stable")
    return ordered.drop_duplicates(["task", "backbone", "directed"]).drop(columns="val_error")


def _predicted(run: FinishedRun) -> pd.DataFrame:
    """The tensors of a run.

    Raises:
        UsageError: the file is missing, damaged, or of another ledger.
    """
    path = run.folder / layout.TENSORS
    with reading(path, JOB):
        of = sums.made_from(pq.read_schema(path)).get(LEDGER, run.digest)
    if of != run.digest:
        raise run.of_another_ledger(path)
    return read_parquet(run.folder, layout.TENSORS, JOB)


def _scores(chosen: pd.DataFrame) -> pd.DataFrame:
    """A row a task and backbone; means over its models."""
    rows = []
    named = ["task", "backbone", "directed"]
    for (task, backbone, _), own in chosen.groupby(named, sort=False):
        each = pd.DataFrame([json.loads(text) for text in own["scores"]]).mean()
        error, trivial = own["test_error"].mean(), own["dummy_error"].mean()
        learned = own["n_train"] * own["epochs"] / own["seconds"]
        first = own.iloc[0]
        rows.append(
            {
                "data set": task,
                "backbone": backbone,
                "dim": first["dim"],
                "mixing": first["mixing"],
                "setting": first["setting"],
                "models": len(own),
                "Frobenius error": significant(error),
                "median": significant(each["median_frobenius"]),
                "within 25 %": as_share(each["within_25"]),
                "trivial": significant(trivial),
                "trivial ÷ error": f"{trivial / error:.2f}" if error else "–",
                **{
                    f"MAE of {name.removeprefix('mae ')}": significant(each[name])
                    for name in each.index
                    if name.startswith("mae ")
                },
                "parameters": f"{first['parameters']:,}",
                "time of a model": duration(own["seconds"].mean()),
                "crystals a second": significant(learned.mean()),
            }
        )
    return pd.DataFrame(rows).fillna("–")


def _differences(chosen: pd.DataFrame) -> pd.DataFrame | None:
    """Test errors of networks with directions minus those of networks without, fold by fold."""
    rows = []
    for task, own in chosen.groupby("task", sort=False):
        names = own["backbone"].str.cat(own["setting"], sep=" ").str.strip()
        errors = own.pivot_table(index="fold", columns=names, values="test_error")
        directed = list(dict.fromkeys(names[own["directed"]]))
        for name in directed:
            for other in (one for one in errors if one not in directed):
                gaps = (errors[name] - errors[other]).dropna()
                if gaps.empty:
                    continue
                found = paired(gaps, FIVE_FOLDS)
                share = found.mean / errors.loc[gaps.index, other].mean()
                rows.append(
                    {
                        "data set": task,
                        "with directions": name,
                        "without": other,
                        "folds": str(found.pairs),
                        "difference": f"{significant(found.mean)} ({share:+.1%})",
                        "95 % interval": interval(found.low, found.high),
                        "p": "–" if np.isnan(found.p) else f"{found.p:.2g}",
                    }
                )
    return pd.DataFrame(rows) if rows else None


def _kind_of(rows: pd.DataFrame) -> TensorKind:
    kind = tensor_kind(rows["spec"].iloc[0])
    assert kind is not None
    return kind


def _cartesian(kind: TensorKind, cells: pd.Series) -> np.ndarray:
    """[B, 3, …] from the lists of a table."""
    return np.stack([kind.cartesian(np.asarray(cell)) for cell in cells])


def _principal_values(shown: pd.DataFrame) -> pd.DataFrame:
    """A row a crystal and principal value, ascending: true and predicted."""
    frames = []
    for task, own in shown.groupby("task", sort=False):
        kind = _kind_of(own)
        true, said = (kind.principal(_cartesian(kind, own[name])) for name in _BOTH)
        ids = np.repeat(own["id"].to_numpy(), true.shape[1])
        about: dict[str, Any] = {"task": task, "backbone": own["backbone"].iloc[0], "id": ids}
        unit = own["unit"].iloc[0]
        frames.append(
            pd.DataFrame(
                {**about, "true": true.ravel(), "predicted": said.ravel(),
                 "unit": unit if isinstance(unit, str) else "", "name": kind.principal_name}
            )
        )  # fmt: skip
    return pd.concat(frames, ignore_index=True)


_BOTH = ("target", "prediction")


def _stiff(shown: pd.DataFrame) -> list[dict[str, Any]]:
    """Young's modulus in all directions, of the crystal with the median relative error."""
    found = []
    for task, own in shown.groupby("task", sort=False):
        kind = _kind_of(own)
        sound = own[own["stable"].fillna(value=False).astype(bool)]
        if not isinstance(kind, Elastic) or sound.empty:
            continue
        true, said = (_cartesian(kind, sound[name]) for name in _BOTH)
        axes = (1, 2, 3, 4)
        error = np.sqrt(((said - true) ** 2).sum(axis=axes) / (true**2).sum(axis=axes))
        place = int(np.argsort(error, kind="stable")[(len(error) - 1) // 2])
        points = _sphere()
        moduli = [
            youngs_modulus(one[place], points.reshape(-1, 3)).reshape(points.shape[:2])
            for one in (true, said)
        ]
        name = str(sound["id"].iloc[place])
        drawn = surfaces(points, dict(zip(("computed", "predicted"), moduli, strict=True)), name)
        found.append({"task": task, "id": name, "error": float(error[place]), "drawn": drawn})
    return found


def _sphere() -> np.ndarray:
    """[tilts, turns, 3] unit vectors."""
    tilt, turn = np.meshgrid(TILTS, TURNS, indexing="ij")
    return np.stack(
        [np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), np.cos(tilt)], axis=-1
    )
