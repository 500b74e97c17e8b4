"""The report's sections on compared tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from analysis.figures.transfer import paired_differences
from orchestrator.interface.format import interval, significant, with_deviation
from orchestrator.report.part import MakePart, Part, Values, filled
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.runs.ledger import LEDGER, digest_of
from orchestrator.transfer import results
from orchestrator.transfer.files import FinishedTransfer
from orchestrator.transfer.published import LEADERBOARD, THESIS, thesis_name
from orchestrator.transfer.results import METRIC, by_fold, in_words

KINDS = {"mae": "MAE", "roc_auc": "area under the ROC curve"}


def scores(done: FinishedTransfer) -> Values:
    """Tables 4.2 and 4.3 of the thesis, with our results added."""
    facts = done.facts
    return {
        "facts": facts,
        "epochs": sorted(set(facts["epochs"].values())),
        "tasks": [
            {
                "name": task,
                "scores": _of_task(facts, str(task), rows),
                "formulas": facts["tasks"][task]["formulas"],
                "leaderboard": LEADERBOARD.get(str(task)),
            }
            for task, rows in done.compared.groupby("task", sort=False)
        ],
    }


def _of_task(facts: dict[str, Any], task: str, rows: pd.DataFrame) -> pd.DataFrame:
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
                "95 % interval": interval(row["low"], row["high"]) if bounded else "–",
                "p": f"{row['p']:.2g}" if bounded else "–",
                "smallest detectable": _smallest(row),
                "verdict": row["verdict"] if row["table"] != facts["reference"] else "reference",
                "thesis": significant(known[name]) if name else "–",
            }
        )
    ours, empty = {thesis_name(task, row) for row in rows["table"]}, dict.fromkeys(shown[0], "–")
    shown += [
        {**empty, "table": f"{name} (the thesis')", "thesis": significant(score)}
        for name, score in known.items()
        if name not in ours
    ]
    return pd.DataFrame(shown)


def _smallest(row: Mapping[str, Any]) -> str:
    """The smallest detectable difference, in the score's unit and as a share of the error."""
    size, share = row.get("detectable"), row.get("detectable_share")
    if size is None or pd.isna(size):
        return "–"
    return significant(size) + ("" if share is None or pd.isna(share) else f" ({share:.1%})")


def _or_dash(value: float | None) -> str:
    return significant(value) if value is not None and pd.notna(value) else "–"


def differences(done: FinishedTransfer) -> Values | None:
    """The paired differences, and their meaning in words."""
    facts = done.facts
    reference = facts["reference"]
    told = [row for row in facts["compared"] if "verdict" in row]
    rivals = [row for row in told if "difference" in row]
    if not told:
        return None
    folds = {
        task: results.differences(done.scores, task, METRIC[about["classes"]], reference)
        for task, about in facts["tasks"].items()
    }
    units = {task: about["unit"] or "" for task, about in facts["tasks"].items()}
    return {
        "drawn": paired_differences(rivals, folds, reference, units) if rivals else None,
        "verdicts": [in_words(row, reference) for row in told],
        "designs": facts.get("designs", []),
    }


def labels(done: FinishedTransfer) -> Values | None:
    """The two areas under a ROC curve, explained."""
    classes = [task for task, about in done.facts["tasks"].items() if about["classes"]]
    if not classes:
        return None
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
    return {"areas": pd.DataFrame(rows)}


def leaks(done: FinishedTransfer) -> Values | None:
    """What distilled tables have seen of the test folds."""
    seen, unknown = pd.DataFrame(done.facts["overlap"]), done.facts.get("unknown", [])
    if seen.empty and not unknown:
        return None
    return {
        "seen": None if seen.empty else _seen(seen),
        "strict": done.facts["strict"],
        "unknown": unknown,
    }


def _seen(overlap: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "table": name,
            "data set": task,
            "test formulas": str(part["formulas"].sum()),
            "seen": f"{part['seen'].sum()} ({part['seen'].sum() / part['formulas'].sum():.1%})",
            **{f"fold {one.fold}": f"{one.seen} of {one.formulas}" for one in part.itertuples()},
        }
        for (name, task), part in overlap.groupby(["table", "task"], sort=False)
    )


def cost(done: FinishedTransfer) -> Values:
    """Hardware, time and settings of the comparison."""
    models = len(done.scores[["table", "task", "fold", "seed"]].drop_duplicates())
    return {"models": models, "seconds": done.facts["seconds"]}


TRANSFER_SECTIONS: tuple[tuple[str, Callable[[FinishedTransfer], Values | None]], ...] = (
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
        filled(done.job, TRANSFER_SECTIONS, done),
        f"Element tables in CrabNet: {', '.join(done.facts['tasks'])}",
        " · ".join(names),
    )
