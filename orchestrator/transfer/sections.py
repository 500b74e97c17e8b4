"""The report's sections on compared tables."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import pandas as pd

from analysis.figures.transfer import paired_differences
from orchestrator.interface.format import counted, duration, significant, with_deviation
from orchestrator.interface.page import figure, table
from orchestrator.report.part import MakePart, Part, filled
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.runs.ledger import LEDGER, digest_of
from orchestrator.transfer import results
from orchestrator.transfer.files import FinishedTransfer
from orchestrator.transfer.published import LEADERBOARD, THESIS, thesis_name
from orchestrator.transfer.results import METRIC, by_fold, in_words

KINDS = {"mae": "MAE", "roc_auc": "area under the ROC curve"}


def scores(done: FinishedTransfer) -> str:
    """Tables 4.2 and 4.3 of the thesis, with our results added."""
    facts = done.facts
    parts = [
        "<p>CrabNet, which knows a material by its formula alone, with each table of element"
        f" vectors in turn{'' if facts['trainable'] else ', frozen'}; recipe {facts['recipe']}, at"
        f" most {_epochs(facts)} epochs, {_count(facts['seeds'], 'seed')}, folds"
        f" {' '.join(map(str, facts['folds']))}. Score: mean ± deviation over the folds, on test"
        f" parts that nothing was chosen on.{_together(facts)}{_difference(facts)}</p>"
    ]
    for task, rows in done.compared.groupby("task", sort=False):
        parts.append(f"<h3>{html.escape(str(task))}</h3>{_of_task(facts, str(task), rows)}")
    return "".join(parts)


def _of_task(facts: dict[str, Any], task: str, rows: pd.DataFrame) -> str:
    about = facts["tasks"][task]
    controls = {one["name"]: one["control"] for one in facts["tables"]}
    columns = {one["name"]: one["columns"] for one in facts["tables"]}
    kind = KINDS[METRIC[about["classes"]]]
    unit = f" ({about['unit']})" if about["unit"] and not about["classes"] else ""
    known = THESIS.get(task, {})
    shown = []
    for row in rows.to_dict("records"):
        name = thesis_name(task, row["table"])
        rival = pd.notna(row.get("difference"))
        bounded = rival and pd.notna(row["low"])
        shown.append(
            {
                "table": row["table"] + (" (control)" if controls[row["table"]] else ""),
                "columns": str(columns[row["table"]]),
                f"{kind}{unit}": with_deviation(row["score"], row["deviation"]),
                **(
                    {"seeds together": _or_dash(row.get("together"))}
                    if len(facts["seeds"]) > 1
                    else {}
                ),
                "difference": significant(row["difference"]) if rival else "–",
                "95 % interval": f"{significant(row['low'])} … {significant(row['high'])}"
                if bounded
                else "–",
                "p": f"{row['p']:.2g}" if bounded else "–",
                "established": row["verdict"]
                if row["table"] != facts["reference"]
                else "reference",
                "thesis": significant(known[name]) if name else "–",
            }
        )
    ours, empty = {thesis_name(task, row) for row in rows["table"]}, dict.fromkeys(shown[0], "–")
    shown += [
        {**empty, "table": f"{name} (the thesis')", "thesis": significant(score)}
        for name, score in known.items()
        if name not in ours
    ]
    listed = LEADERBOARD.get(task)
    note = f" Leaderboard, CrabNet with Mat2Vec: {significant(listed)}." if listed else ""
    return f"{table(pd.DataFrame(shown))}<p>{about['formulas']} formulas.{note}</p>"


def _together(facts: dict[str, Any]) -> str:
    if len(facts["seeds"]) < 2:
        return ""
    return " Seeds together: the score of the mean of the seeds' predictions."


def _difference(facts: dict[str, Any]) -> str:
    if len(facts["tables"]) < 2:
        return ""
    return (
        f" Difference: from {html.escape(facts['reference'])}, between models of the same fold and"
        " seed, fold by fold, with a 95 % interval that counts in how much training data the folds"
        " share. The interval is of this one difference; p is Holm's over the tables of a data set,"
        " and decides what is established."
    )


def _or_dash(value: float | None) -> str:
    return significant(value) if value is not None and pd.notna(value) else "–"


def _epochs(facts: dict[str, Any]) -> str:
    return " or ".join(str(number) for number in sorted(set(facts["epochs"].values())))


def _count(values: list[int], what: str) -> str:
    return f"{len(values)} {what}{'s' if len(values) > 1 else ''}"


def differences(done: FinishedTransfer) -> str:
    """The paired differences, and their meaning in words."""
    facts = done.facts
    reference = facts["reference"]
    told = [row for row in facts["compared"] if "verdict" in row]
    rivals = [row for row in told if "difference" in row]
    if not told:
        return ""
    folds = {
        task: results.differences(done.scores, task, METRIC[about["classes"]], reference)
        for task, about in facts["tasks"].items()
    }
    units = {task: about["unit"] or "" for task, about in facts["tasks"].items()}
    words = "".join(f"<li>{html.escape(in_words(row, reference))}</li>" for row in told)
    shown = figure(paired_differences(rivals, folds, reference, units)) if rivals else ""
    return f"{shown}<details><summary>in words</summary><ul>{words}</ul></details>"


def labels(done: FinishedTransfer) -> str:
    """The two areas under a ROC curve, explained."""
    classes = [task for task, about in done.facts["tasks"].items() if about["classes"]]
    if not classes:
        return ""
    rows = []
    for task in classes:
        names = ("roc_auc", "rocauc_labels", "balanced_accuracy", "accuracy", "f1")
        means = {name: by_fold(done.scores, task, name).mean() for name in names}
        for name in means["roc_auc"].index:
            rows.append(
                {
                    "data set": task,
                    "table": name,
                    "area under the ROC curve": significant(means["roc_auc"][name]),
                    "of labels (leaderboard's rocauc)": significant(means["rocauc_labels"][name]),
                    "accuracy": significant(means["accuracy"][name]),
                    "F1": significant(means["f1"][name]),
                }
            )
    return (
        "<p>The leaderboard computes its rocauc from labels cut at 0.5, which makes it the balanced"
        " accuracy. It is no area under a curve, and stands here beside the true one.</p>"
        + table(pd.DataFrame(rows))
    )


def leaks(done: FinishedTransfer) -> str:
    """What distilled tables have seen of the test folds."""
    seen = pd.DataFrame(done.facts["overlap"])
    unknown = done.facts.get("unknown", [])
    outside = (
        f"<p>What {html.escape(', '.join(unknown))} has seen is not known: a grid distilled it, but"
        " the file lay outside that grid's run.</p>"
        if unknown
        else ""
    )
    if seen.empty:
        return outside
    rows = [
        {
            "table": name,
            "data set": task,
            "test formulas": str(part["formulas"].sum()),
            "seen": f"{part['seen'].sum()} ({part['seen'].sum() / part['formulas'].sum():.1%})",
            **{f"fold {one.fold}": f"{one.seen} of {one.formulas}" for one in part.itertuples()},
        }
        for (name, task), part in seen.groupby(["table", "task"], sort=False)
    ]
    strict = (
        " Under <code>--strict</code>, where a fold has such formulas, the table was distilled"
        " again for it from models that had seen none of them."
        if done.facts["strict"]
        else " <code>--strict</code> distils a table for each fold without the models that had."
    )
    return (
        "<p>A table that a grid has distilled knows what its models learned from, by their training"
        " and validation parts. So many of the test formulas were among that, whatever property of"
        " them the grid learned:</p>"
        f"{table(pd.DataFrame(rows))}<p>{strict}</p>{outside}"
    )


def cost(done: FinishedTransfer) -> str:
    """Hardware, time and settings of the comparison."""
    models = len(done.scores[["table", "task", "fold", "seed"]].drop_duplicates())
    return f"<p>{counted(models, 'model')}, {duration(done.facts['seconds'])} of training.</p>"


TRANSFER_SECTIONS: tuple[tuple[str, Callable[[FinishedTransfer], str]], ...] = (
    ("Tables in CrabNet", scores),
    ("Paired differences", differences),
    ("Two areas under a curve", labels),
    ("What the tables have seen", leaks),
    ("Cost", cost),
)


def part(run: FinishedRun) -> MakePart | None:
    """The function that makes the comparison's part of the report; None if there is none."""
    done = FinishedTransfer(run.folder)
    return (lambda: _part(done)) if done.exists else None


def _part(done: FinishedTransfer) -> Part:
    if done.ledger is not None:
        done.demand_made_from(LEDGER, digest_of(done.ledger))
    names = [one["name"] for one in done.facts["tables"]]
    names.sort(key=lambda name: name != done.facts["reference"])
    return Part(
        filled(TRANSFER_SECTIONS, done),
        f"Element tables in CrabNet: {', '.join(done.facts['tasks'])}",
        " · ".join(names),
    )
