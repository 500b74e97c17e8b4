"""The report's sections on a run's results, each as HTML."""

from __future__ import annotations

import html
from collections.abc import Callable
from datetime import datetime

import pandas as pd

from analysis import cosine, leaderboard
from analysis.elements import SYMBOLS
from analysis.figures import style
from analysis.figures.dimension import dimension_effect
from analysis.figures.heatmap import cosine_heatmap
from analysis.figures.mixing import mae_vs_gamma
from analysis.figures.parity import parity
from analysis.figures.periodic import periodic_table
from analysis.figures.winners import winners
from orchestrator.hybrid_grid.training_sections import cost, curves, how_they_ended
from orchestrator.interface.errors import UsageError
from orchestrator.interface.format import as_share, counted, significant, why, with_deviation
from orchestrator.interface.page import figure, table
from orchestrator.report.part import MakePart, Part, filled
from orchestrator.runs.finished_files import reading
from orchestrator.runs.finished_run import FILES, JOB, FinishedRun
from orchestrator.runs.records import DONE
from trainables.models.backbones import BACKBONES

TABLE_NAMES = {
    "S": "best mixing of each task, fold, backbone and dimension",
    "H": "handcrafted only",
    "L": "learned only",
}


def _reference(run: FinishedRun, name: str) -> dict[str, float]:
    task = run.matbench_task(name)
    return {
        BACKBONES[name].title: score for name, score in (task.published if task else {}).items()
    }


def overview(run: FinishedRun) -> str:
    """What was requested, and the best configuration of each task and backbone."""
    notes = "".join(
        f'<p class="note"><b>{html.escape(name)}</b>: {html.escape(data["description"])}</p>'
        for name, data in run.manifest["datasets"].items()
        if data.get("description")
    )
    nested = leaderboard.picked_in_each_fold(run.ledger).set_index(["task", "backbone"])
    scores = _mean_scores(run)
    rows = []
    for row in run.best.itertuples():
        reference = _reference(run, row.task)
        unit = run.manifest["datasets"].get(row.task, {}).get("unit") or ""
        rmse, r2 = scores.loc[tuple(getattr(row, name) for name in leaderboard.CONFIGURATION)]
        rows.append(
            {
                "data set": row.task,
                "unit": unit,
                "backbone": row.backbone,
                "dim": row.dim,
                "mixing": row.mixing,
                "folds": row.folds,
                "validation MAE": significant(row.val_mae),
                "test MAE": with_deviation(row.test_mae, row.test_std),
                "nested": significant(nested.loc[(row.task, row.backbone), "test_mae"]),
                "the mean": significant(row.dummy_mae),
                "test RMSE": significant(rmse),
                "test R²": as_share(r2),
                **{f"{name} †": significant(mae) for name, mae in reference.items()},
            }
        )
    frame = pd.DataFrame(rows).fillna("–")
    failed = run.ledger[run.ledger["status"] != DONE]
    warning = (
        f'<p class="note">{len(failed)} models are not done; they are listed at the end.</p>'
        if len(failed)
        else ""
    )
    known = any(name.endswith("†") for name in frame)
    source = " †: MatBench v0.1 leaderboard." if known else ""
    return (
        f"{notes}{warning}<p>For each data set and backbone, the configuration with the lowest mean"
        " validation MAE, and its MAE on the test folds (mean ± deviation over folds)."
        " <b>Nested</b>: the test MAE when each fold picks a configuration on its own validation"
        " part, as leaderboards score. <b>The mean</b>: the test MAE of predicting"
        " the mean of the training part. All of these, and RMSE, are in the unit of the target; R²"
        f" is 1 for a perfect model and 0 for the mean of the test part.{source}</p>{table(frame)}"
    )


def _mean_scores(run: FinishedRun) -> pd.DataFrame:
    """RMSE and R² of each configuration, averaged over its models as its MAE is."""
    scored = run.done.set_index("key").join(run.test_scores)
    return scored.groupby(list(leaderboard.CONFIGURATION))[["test_rmse", "test_r2"]].mean()


def mixing(run: FinishedRun) -> str:
    """Fig. 4.2a of the thesis."""
    references = {task: _reference(run, task) for task in run.done["task"].unique()}
    there = style.explain_mixings(run.done["mixing"].tolist())
    return (
        "<p>Mean absolute error on the test parts against the mixing ratio γ ="
        f" log₁₀(learned / handcrafted); in this run {there}.</p>"
        + figure(mae_vs_gamma(run.ledger, references))
    )


def winning(run: FinishedRun) -> str:
    """Figs 4.2b and 4.3 of the thesis."""
    if run.done["mixing"].nunique() < 2:
        return ""
    text = (
        "<p>In every cell (data set, fold, backbone, dimension) the mixings compete on validation"
        " MAE; this is how often each one wins.</p>"
    )
    text += figure(winners(run.ledger, by="backbone"))
    if run.done["task"].nunique() > 1:
        text += figure(winners(run.ledger, by="task"))
    return text


def dimension(run: FinishedRun) -> str:
    """Fig. 4.4 of the thesis."""
    if run.done["dim"].nunique() < 2:
        return ""
    return figure(dimension_effect(run.ledger))


def heatmap(run: FinishedRun) -> str:
    """Fig. 4.7 of the thesis."""
    parts = []
    for name in run.distances["table"].unique():
        numbers, matrix = cosine.to_matrix(run.distances, name)
        models = run.distances.loc[run.distances["table"] == name, "models"].max()
        title = f"Mat2Vec-{name}: {TABLE_NAMES[name]} ({counted(int(models), 'model')})"
        shown = figure(cosine_heatmap(matrix, [SYMBOLS[z] for z in numbers], title=title))
        parts.append(
            shown if name == "S" else f"<details><summary>{title}</summary>{shown}</details>"
        )
    if not parts:
        return ""
    leak = (
        '<p class="note">This run chose the best mixings on the <b>test</b> MAE, as the thesis did:'
        " the test parts have had a say in Mat2Vec-S, and nothing that uses it can be tested on"
        " them.</p>"
        if run.manifest["config"]["select_on"] == "test"
        else ""
    )
    return (
        f"{leak}<p>Cosine distances between the elements' vectors, each model's scaled to a median"
        " of 1, averaged over the models behind a table. Elements stand in the order of atomic"
        " number. Above the diagonal only the near neighbours are shown.</p>" + "".join(parts)
    )


def coverage(run: FinishedRun) -> str:
    """The elements that the models have trained on, and how often."""
    with reading(run.embeddings, JOB):
        embeddings = pd.read_parquet(
            run.embeddings,
            columns=["key", "numbers", "counts"],
            filters=[("channel", "=", "mixed")],
        )
    crystals: dict[int, int] = {}
    for row in embeddings.itertuples():
        for z, count in zip(row.numbers, row.counts, strict=True):
            crystals[int(z)] = max(crystals.get(int(z), 0), int(count))
    elements = periodic_table(
        dict(crystals),
        text={z: str(count) for z, count in crystals.items()},
        title="Training crystals that contain the element",
        unit="crystals",
        logarithmic=True,
        subtitle="of the fold with the most; grey elements get a fallback row in the tables",
    )
    return (
        f"<p>{len(crystals)} of 118 elements are in some training part. The tables have a row for"
        " every element all the same: <code>tables/*.meta.json</code> says which rows were filled"
        f" in, and from which elements.</p>{figure(elements)}"
    )


def predictions(run: FinishedRun) -> str:
    """Predicted against true values."""
    chosen = run.done.merge(
        run.best[["task", "backbone", "dim", "mixing"]], on=["task", "backbone", "dim", "mixing"]
    )
    return figure(parity(run.test_predictions(chosen["key"].tolist()), run.ledger))


def all_results(run: FinishedRun) -> str:
    """Every configuration."""
    summary = leaderboard.summary(run.ledger).join(
        _mean_scores(run), on=list(leaderboard.CONFIGURATION)
    )
    unit = summary["unit"].fillna("") if "unit" in summary else ""
    frame = pd.DataFrame(
        {
            "data set": summary["task"],
            "unit": unit,
            "backbone": summary["backbone"],
            "dim": summary["dim"],
            "mixing": summary["mixing"],
            "models": summary["models"],
            "validation MAE": summary["val_mae"].map(significant),
            "test MAE": summary["test_mae"].map(significant),
            "± over folds": summary["test_std"].map(significant),
            "test RMSE": summary["test_rmse"].map(significant),
            "test R²": summary["test_r2"].map(as_share),
            "training ended": how_they_ended(run, summary),
        }
    )
    return f"<details><summary>all {len(frame)} configurations</summary>{table(frame)}</details>"


def failures(run: FinishedRun) -> str:
    """Models that are not done."""
    failed = run.ledger[run.ledger["status"] != DONE]
    if failed.empty:
        return ""
    frame = pd.DataFrame(
        {
            "array": failed["array"],
            "mixing": failed["mixing"],
            "status": failed["status"],
            "why": [why(text) for text in failed["error"]],
        }
    )
    return table(frame)


SECTIONS: tuple[tuple[str, Callable[[FinishedRun], str]], ...] = (
    ("Overview", overview),
    ("Error against mixing", mixing),
    ("Which mixing wins", winning),
    ("Effect of the dimension", dimension),
    ("Distances between the elements", heatmap),
    ("Coverage", coverage),
    ("Learning curves", curves),
    ("Predictions", predictions),
    ("All configurations", all_results),
    ("Cost", cost),
    ("Not done", failures),
)


def part(run: FinishedRun) -> MakePart | None:
    """The function that makes a grid's part of the report; None if there is no grid.

    Raises:
        UsageError: one of its files is missing or damaged.
    """
    if not any((run.folder / name).exists() for name in FILES[1:]):
        return None
    run.demand_files()
    return lambda: _part(run)


def _part(run: FinishedRun) -> Part:
    if run.done.empty:
        raise UsageError(f"{run.folder}: no model is done; there is nothing to report")
    _ = run.distances, run.embeddings, run.predictions  # fails before a minute of drawing figures
    begun = datetime.fromisoformat(run.manifest["created"]).strftime("%Y-%m-%d %H:%M UTC")
    models, recipe = run.manifest["models"], run.manifest["config"]["recipe"]
    return Part(
        filled(SECTIONS, run),
        f"Element embeddings on {', '.join(run.manifest['datasets'])}",
        f"{len(run.done)} models done of {models}, recipe {recipe}; begun {begun}",
    )
