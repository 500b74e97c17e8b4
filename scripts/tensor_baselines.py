"""Print the scores of a run's tensors beside baselines on the same folds, for docs/tensors.md.

    python scripts/tensor_baselines.py RUN

Baselines learn from a fold's training and validation part: the mean isotropic tensor, and
ExtraTrees on the shares of the elements, whose isotropic tensor stands on the diagonal. Of the
run's models, those of the configuration with the lowest validation error stand for a backbone; one
that knows no directions has its scalar on the diagonal too. Means over folds; differences of the
mean Frobenius error are paired by fold, with intervals and p as of analysis/paired.py (p: Holm's).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.leaderboard import CONFIGURATION
from analysis.paired import FIVE_FOLDS, holm, paired
from orchestrator.element_groups.screening import Formulas, of_run
from orchestrator.hybrid_grid.scores import FROBENIUS
from orchestrator.hybrid_grid.tensors import tensor_kind
from orchestrator.runs import layout
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.runs.records import Records
from trainables.targets.tensor import TensorKind

TREES = 300
Scores = dict[str, float]


def mean_isotropic(kind: TensorKind, data: Formulas, train: np.ndarray) -> np.ndarray:
    """[B, C] the same tensor for all crystals."""
    return np.broadcast_to(kind.trivial(data.target[train]), data.target.shape)


def trees(kind: TensorKind, data: Formulas, train: np.ndarray) -> np.ndarray:
    """[B, C] isotropic tensors by composition."""
    from sklearn.ensemble import ExtraTreesRegressor

    said = np.zeros_like(data.target)
    if isotropic := kind.form.isotropic:
        forest = ExtraTreesRegressor(TREES, n_jobs=1, random_state=0)
        known = data.target[train, :isotropic]
        forest.fit(data.fractions[train], known.ravel() if isotropic == 1 else known)
        said[:, :isotropic] = forest.predict(data.fractions).reshape(-1, isotropic)
    return said


BASELINES: Mapping[str, Callable[[TensorKind, Formulas, np.ndarray], np.ndarray]] = {
    "mean isotropic tensor": mean_isotropic,
    "ExtraTrees on composition, on the diagonal": trees,
}


def of_baselines(kind: TensorKind, data: Formulas, fold: int) -> dict[str, Scores]:
    """Scores of each baseline on a fold."""
    train, test = data.fold(fold)
    found = {}
    for name, predict in BASELINES.items():
        begun = time.perf_counter()
        said = predict(kind, data, train)[test]
        seconds = time.perf_counter() - begun
        scores = kind.metrics(said, data.target[test], kind.scaler(data.target[train]))
        found[name] = {**scores, "parameters": float("nan"), "seconds": seconds}
    return found


def of_models(run: FinishedRun, models: pd.DataFrame, kind: TensorKind) -> dict[str, Scores]:
    """Scores of each backbone on a fold, means over seeds and inner folds."""
    found: dict[str, list[Scores]] = {}
    records = Records(run.folder / layout.RECORDS)
    for model in models.itertuples():
        arrays = records.arrays(model.key)
        true = of_run(run.folder, model.task).target[arrays["predictions/test/row"]]
        scores = kind.metrics(arrays["predictions/test/value"], true, kind.scaler(true))
        about = {"parameters": float(model.parameters), "seconds": float(model.seconds)}
        found.setdefault(model.backbone, []).append({**scores, **about})
    return {name: pd.DataFrame(each).mean().to_dict() for name, each in found.items()}


def tables(run: FinishedRun, task: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean scores by method, and Frobenius errors by fold and method."""
    best = run.best.loc[run.best["task"] == task, list(CONFIGURATION)]
    models = run.done.merge(best, on=list(CONFIGURATION))
    kind = tensor_kind(models["spec"].iloc[0])
    assert kind is not None
    data, rows = of_run(run.folder, task), []
    for fold, own in models.groupby("fold", sort=True):
        scored = of_baselines(kind, data, int(str(fold))) | of_models(run, own, kind)
        rows += [{"method": name, "fold": fold, **scores} for name, scores in scored.items()]
    each = pd.DataFrame(rows)
    means = each.groupby("method", sort=False).mean().drop(columns="fold")
    means.insert(0, "trivial ÷ error", means[FROBENIUS].iloc[0] / means[FROBENIUS])
    return means, each.pivot_table(index="fold", columns="method", values=FROBENIUS)


def print_scores(task: str, means: pd.DataFrame, folds: int) -> None:
    """One row a method."""
    print(f"\n{task}, {folds} {'fold' if folds == 1 else 'folds'}\n")
    print("| method |", " | ".join(means.columns), "|")
    print("|---|" + "--:|" * len(means.columns))
    for name, row in means.iterrows():
        cells = ("–" if np.isnan(value) else f"{value:.4g}" for value in row)
        print("|", name, "|", " | ".join(cells), "|")


def print_differences(errors: pd.DataFrame) -> None:
    """One row a pair of methods, of which the first has the lowest error."""
    first = errors.mean().idxmin()
    others = [name for name in errors if name != first]
    found = [paired(errors[first] - errors[name], FIVE_FOLDS) for name in others]
    print(f"\n| {first} minus | difference | 95 % interval | p |")
    print("|---|--:|--:|--:|")
    for name, one, p in zip(others, found, holm([one.p for one in found]), strict=True):
        said = "–" if np.isnan(p) else f"{p:.2g}"
        print(f"| {name} | {one.mean:+.4g} | {one.low:+.4g} … {one.high:+.4g} | {said} |")


def main() -> None:
    """Two tables a data set of tensors."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory of hybrid_grid")
    run = FinishedRun(parser.parse_args().run).principal
    for task in run.done.loc[run.done["metric"] == FROBENIUS, "task"].unique():
        means, errors = tables(run, task)
        print_scores(task, means, len(errors))
        print_differences(errors)


if __name__ == "__main__":
    main()
