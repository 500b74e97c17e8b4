"""The report's sections on a run's results."""

from __future__ import annotations

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
from analysis.metrics import metrics_of, name_errors
from orchestrator.grid import columns as axes
from orchestrator.hybrid_grid.condition_sections import of_principal, training_size
from orchestrator.hybrid_grid.embedding_sections import ablated, learned
from orchestrator.hybrid_grid.holdout_sections import held_out
from orchestrator.hybrid_grid.scores import FROBENIUS, mean_scores, shown_scores
from orchestrator.hybrid_grid.tensor_sections import tensors
from orchestrator.hybrid_grid.training_sections import cost, curves, how_they_ended
from orchestrator.hybrid_grid.winning_section import winning
from orchestrator.interface.errors import UsageError
from orchestrator.interface.format import counted, significant, why, with_deviation
from orchestrator.report.part import MakePart, Part, Values, filled
from orchestrator.runs.finished_files import reading
from orchestrator.runs.finished_run import FILES, JOB, FinishedRun
from orchestrator.runs.records import DONE
from trainables.models.backbones import BACKBONES

TABLE_NAMES = {
    "S": "best configuration of each task, fold, backbone and dimension",
    "H": "handcrafted only",
    "L": "learned only",
}


def _reference(run: FinishedRun, name: str) -> dict[str, float]:
    task = run.matbench_task(name)
    return {
        BACKBONES[name].title: score for name, score in (task.published if task else {}).items()
    }


def overview(run: FinishedRun) -> Values:
    """What was requested, and the best configuration of each task and backbone."""
    nested = leaderboard.picked_in_each_fold(run.ledger).set_index(["task", "backbone"])
    scores, shown = mean_scores(run), shown_scores(run)
    metrics = set(metrics_of(run.done).values())
    error = name_errors(metrics)
    rows = []
    for row in run.best.itertuples():
        reference = _reference(run, row.task)
        unit = run.manifest["datasets"].get(row.task, {}).get("unit") or ""
        own = scores.loc[tuple(getattr(row, name) for name in leaderboard.CONFIGURATION)]
        rows.append(
            {
                "data set": row.task,
                "unit": unit,
                "backbone": row.backbone,
                "dim": row.dim,
                "mixing": row.mixing,
                **({"setting": row.setting} if axes.varying(run.done) else {}),
                "folds": row.folds,
                **({} if len(metrics) == 1 else {"error": name_errors([row.metric])}),
                f"validation {error}": significant(row.val_error),
                f"test {error}": with_deviation(row.test_error, row.test_std),
                "nested": significant(nested.loc[(row.task, row.backbone), "test_error"]),
                "trivial": significant(row.dummy_error),
                **{f"test {name}": form(own[column]) for name, (column, form) in shown.items()},
                **{f"{name} †": significant(mae) for name, mae in reference.items()},
            }
        )
    frame = pd.DataFrame(rows).fillna("–")
    return {
        "descriptions": {
            name: data["description"]
            for name, data in run.manifest["datasets"].items()
            if data.get("description")
        },
        "not_done": int((run.ledger["status"] != DONE).sum()),
        "on_leaderboard": any(name.endswith("†") for name in frame),
        "numbers": "mae" in metrics,
        "tensors": FROBENIUS in metrics,
        "classes": "1-roc_auc" in metrics,
        "predicted": {
            name: data["classes"][1]
            for name, data in run.manifest["datasets"].items()
            if data.get("classes")
        },
        "properties": "mae_standardised" in metrics,
        "conditions": sorted({*run.done["condition"]} - {""}),
        "inner": int(run.done["inner_folds"].max()),
        "best": frame,
    }


def mixing(run: FinishedRun) -> Values | None:
    """Fig. 4.2a of the thesis."""
    if not _compares_mixings(run):
        return None
    references = {task: _reference(run, task) for task in run.done["task"].unique()}
    return {
        "mixings": style.explain_mixings(run.done),
        "drawn": mae_vs_gamma(run.ledger, references),
    }


def _compares_mixings(run: FinishedRun) -> bool:
    return bool(run.done["mixing"].nunique() > 1)


def dimension(run: FinishedRun) -> Values | None:
    """Fig. 4.4 of the thesis."""
    if run.done["dim"].nunique() < 2:
        return None
    return {"drawn": dimension_effect(run.ledger)}


def further_axes(run: FinishedRun) -> Values | None:
    """The best configuration with each value of an axis beyond backbone, dimension and mixing."""
    error = name_errors(metrics_of(run.done).values())
    found = [
        pd.DataFrame(
            {
                "data set": best["task"],
                "backbone": best["backbone"],
                "axis": axis,
                "value": best[axis].map(
                    lambda value: value if isinstance(value, str) else f"{value:g}"
                ),
                "configurations": best["configurations"],
                f"validation {error}": best["val_error"].map(significant),
                "dim": best["dim"],
                "mixing": best["mixing"],
                "setting": best["setting"],
            }
        )
        for axis in axes.varying(run.done)
        for best in [leaderboard.by_value(run.ledger, axis)]
    ]
    if not found:
        return None
    return {"values": pd.concat(found, ignore_index=True)}


def heatmap(run: FinishedRun) -> Values | None:
    """Fig. 4.7 of the thesis."""
    maps = []
    for name in run.distances["table"].unique():
        numbers, matrix = cosine.to_matrix(run.distances, name)
        models = run.distances.loc[run.distances["table"] == name, "models"].max()
        title = f"Mat2Vec-{name}: {TABLE_NAMES[name]} ({counted(int(models), 'model')})"
        drawn = cosine_heatmap(matrix, [SYMBOLS[z] for z in numbers], title=title)
        maps.append({"title": title, "open": name == "S", "drawn": drawn})
    if not maps:
        return None
    return {"on_test": run.manifest["config"]["select_on"] == "test", "maps": maps}


def coverage(run: FinishedRun) -> Values:
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
    drawn = periodic_table(
        dict(crystals),
        text={z: str(count) for z, count in crystals.items()},
        title="Training crystals that contain the element",
        unit="crystals",
        logarithmic=True,
        subtitle="of the fold with the most; grey elements get a fallback row in the tables",
    )
    return {"elements": len(crystals), "drawn": drawn}


def predictions(run: FinishedRun) -> Values | None:
    """Predicted against true values, of the data sets with one number a crystal."""
    names = list(leaderboard.CONFIGURATION)
    chosen = run.scalars.merge(run.best[names], on=names)
    if chosen.empty:
        return None
    return {"drawn": parity(run.test_predictions(chosen["key"].tolist()), run.scalars)}


def all_results(run: FinishedRun) -> Values:
    """Every configuration."""
    summary = leaderboard.summary(run.ledger).join(
        mean_scores(run), on=list(leaderboard.CONFIGURATION)
    )
    unit = summary["unit"].fillna("") if "unit" in summary else ""
    metrics = metrics_of(run.done)
    error = name_errors(metrics.values())
    several = len(set(metrics.values())) > 1
    frame = pd.DataFrame(
        {
            "data set": summary["task"],
            "unit": unit,
            "backbone": summary["backbone"],
            "dim": summary["dim"],
            "mixing": summary["mixing"],
            **({"condition": summary["condition"]} if summary["condition"].any() else {}),
            **({"setting": summary["setting"]} if axes.varying(run.done) else {}),
            "models": summary["models"],
            **({"error": [name_errors([one]) for one in summary["metric"]]} if several else {}),
            f"validation {error}": summary["val_error"].map(significant),
            f"test {error}": summary["test_error"].map(significant),
            "± over models": summary["test_std"].map(significant),
            **{
                f"test {name}": summary[column].map(form)
                for name, (column, form) in shown_scores(run).items()
            },
            "training ended": how_they_ended(run, summary),
        }
    )
    return {"configurations": frame}


def failures(run: FinishedRun) -> Values | None:
    """Models that are not done."""
    failed = run.ledger[run.ledger["status"] != DONE]
    if failed.empty:
        return None
    frame = pd.DataFrame(
        {
            "array": failed["array"],
            "mixing": failed["mixing"],
            "status": failed["status"],
            "why": [why(text) for text in failed["error"]],
        }
    )
    return {"models": frame}


SECTIONS: tuple[tuple[str, Callable[[FinishedRun], Values | None]], ...] = (
    ("Overview", of_principal(overview)),
    ("Error against mixing", of_principal(mixing)),
    ("Which mixing wins", of_principal(winning)),
    ("How much is learned", of_principal(learned)),
    ("What each channel is worth", of_principal(ablated)),
    ("Effect of the dimension", of_principal(dimension)),
    ("Further axes", of_principal(further_axes)),
    ("Number of training crystals", training_size),
    ("Elements held out", held_out),
    ("Distances between the elements", heatmap),
    ("Coverage", coverage),
    ("Learning curves", of_principal(curves)),
    ("Predictions", of_principal(predictions)),
    ("Tensors", of_principal(tensors)),
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
    models, recipe = len(run.ledger), run.manifest["config"]["recipe"]
    return Part(
        filled(JOB, SECTIONS, run),
        f"{'Element embeddings on' if _compares_mixings(run) else 'Models of'}"
        f" {', '.join(run.manifest['datasets'])}",
        f"{len(run.done)} models done of {models}, recipe {recipe}; begun {begun}",
    )
