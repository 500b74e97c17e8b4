"""The report's sections on crystals and potentials in one space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.figures.contrast import (
    learning_curves,
    recall_curves,
    retrieved_profiles,
    similarity_matrix,
    spaces,
    work_functions,
)
from analysis.retrieval import TOPS, similarity
from orchestrator.contrast import retrieval
from orchestrator.contrast import work_functions as by
from orchestrator.contrast.caveats import FEW, of_intervals, of_retrieval
from orchestrator.contrast.files import FinishedContrast
from orchestrator.interface.format import duration, significant
from orchestrator.report.part import MakePart, Part, Values, filled
from orchestrator.runs.finished_run import FinishedRun
from trainables.crystals.potentials import Grid

MOST_IN_MATRIX, MOST_POINTS, SHOWN = 100, 400, 3
FIRST = TOPS[0]  # whose differences are shown; contrast.json has all


def found(run: FinishedContrast) -> Values:
    """Recalls and errors beside chance and baselines."""
    facts = run.facts
    return {
        "facts": facts,
        "caveats": of_retrieval(facts),
        "recalls": pd.DataFrame(
            [_recall(row, facts["split"]["test_formulas"]) for row in facts["retrieval"]]
        ),
        "differences": pd.DataFrame(
            [_of_hits(row) for row in facts["retrieval_differences"] if row["top"] == FIRST]
        ),
    }


def _recall(row: Mapping[str, Any], formulas: int) -> dict[str, str]:
    return {
        "from → to": retrieval.WAYS[row["way"]],
        "by": retrieval.METHODS[row["method"]],
        **{f"recall@{top}": f"{row['recall'][str(top)]:.3f}" for top in TOPS},
        "95 % of recall@1": _ends(row["recall_1_interval"], formulas),
        **{f"near@{top}": f"{row['near_recall'][str(top)]:.3f}" for top in TOPS},
        "mean rank": f"{row['mean_rank']:.1f}",
    }


def _ends(ends: Sequence[float] | None, formulas: int, sign: str = "") -> str:
    """An interval over formulas, which says so where these are few; a dash if there is none."""
    if ends is None or ends[0] == ends[1]:  # of values that do not scatter
        return "–"
    few = " (few formulas)" if formulas < FEW else ""
    return f"{ends[0]:{sign}.3f} … {ends[1]:{sign}.3f}{few}"


def _of_hits(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "ensemble minus": retrieval.METHODS[row["against"]],
        "from → to": retrieval.WAYS[row["way"]],
        "of": f"recall@{row['top']}",
        **_difference(row),
    }


def _difference(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "difference": f"{row['mean']:+.3f}",
        "95 %": _ends((row["low"], row["high"]), row["pairs"], "+"),
        "p": f"{row['p']:.2g}",
        "formulas": str(row["pairs"]),
    }


def recalls(run: FinishedContrast) -> Values:
    """Recall@k against k."""
    rows = pd.DataFrame(run.facts["recall_curve"])
    rows["method"] = rows["method"].map(retrieval.METHODS)
    ranks = {(row["way"], row["method"]): row["mean_rank"] for row in run.facts["retrieval"]}
    own = ", ".join(
        f"{ranks[way, retrieval.ENSEMBLE]:.1f} on average ({title}, chance"
        f" {ranks[way, retrieval.CHANCE]:.1f})"
        for way, title in retrieval.WAYS.items()
    )
    return {
        "drawn": recall_curves(rows, retrieval.WAYS),
        "tested": run.facts["split"]["test"],
        "ranks": own,
    }


def matrix(run: FinishedContrast) -> Values:
    """Similarity of test materials."""
    tested = run.embeddings[run.embeddings["part"] == "test"]
    members = [_vectors(own) for _, own in tested.groupby("member")]
    names = tested.loc[tested["member"] == tested["member"].iloc[0], "id"]
    true = run.tested.set_index("id")["work_function"].loc[names].to_numpy()
    order = np.argsort(true, kind="stable")
    places = np.linspace(0, len(order) - 1, min(len(order), MOST_IN_MATRIX))
    chosen = order[places.round().astype(int)]
    cosines = similarity([(crystal[chosen], profile[chosen]) for crystal, profile in members])
    return {"drawn": similarity_matrix(cosines, true[chosen]), "shown": len(chosen)}


def _vectors(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Of crystals and of profiles."""
    crystal, profile = (np.stack(rows[name].to_list()) for name in ("crystal", "profile"))
    return crystal.astype(float), profile.astype(float)


def plane(run: FinishedContrast) -> Values:
    """The vectors of crystals and profiles in one projection."""
    rows = run.embeddings[(run.embeddings["part"] == "test") & (run.embeddings["member"] == 0)]
    rows = rows.iloc[np.linspace(0, len(rows) - 1, min(len(rows), MOST_POINTS)).round().astype(int)]
    known = run.tested.set_index("id")["work_function"].loc[rows["id"]].to_numpy()
    crystal, profile = _vectors(rows)
    together = np.concatenate([crystal, profile])
    apart = together - together.mean(axis=0)
    _, strengths, axes = np.linalg.svd(apart, full_matrices=False)
    share = strengths**2 / max(float((strengths**2).sum()), 1e-12)
    # signs of axes are arbitrary: the largest entry of each is positive
    signs = np.sign(axes[np.arange(2), np.abs(axes[:2]).argmax(axis=1)])
    x, y = (apart @ (axes[:2] * signs[:, None]).T).T
    points = pd.DataFrame(
        {
            "kind": np.repeat(["crystal", "profile"], len(rows)),
            "x": x,
            "y": y,
            "work_function": np.tile(known, 2),
            "id": np.tile(rows["id"], 2),
            "formula": np.tile(rows["formula"], 2),
        }
    )
    own = np.square(crystal - profile).sum(axis=1)
    hit = (crystal @ profile.T).argmax(axis=1) == np.arange(len(crystal))
    modality = np.square(crystal.mean(axis=0) - profile.mean(axis=0)).sum()
    return {
        "drawn": spaces(points, share[:2].tolist()),
        "shown": len(rows),
        "hit": int(hit.sum()),
        "between": float(np.sqrt(own.mean())),
        "modalities": float(np.sqrt(modality)),
    }


def profiles(run: FinishedContrast) -> Values:
    """Profiles of the best and the worst retrievals."""
    tested, grid = run.tested, Grid(**run.facts["grid"])
    true, said = (np.stack(tested[name].to_list()) for name in ("profile", "nearest_profile"))
    turned = said[:, ::-1]
    errors = [np.sqrt(np.square(one - true).mean(axis=1)) for one in (said, turned)]
    said = np.where((errors[1] < errors[0])[:, None], turned, said)
    error = np.minimum(*errors)
    order = np.argsort(error, kind="stable").tolist()
    chosen = order[:SHOWN] + order[max(SHOWN, len(order) - SHOWN) :]
    rows = [
        {
            "title": f"{row['id']} ← {row['nearest']} · {error[place]:.2g} eV",
            "profile": true[place],
            "nearest_profile": said[place],
        }
        for place, row in zip(chosen, tested.iloc[chosen].to_dict("records"), strict=True)
    ]
    return {"drawn": retrieved_profiles(rows, grid.z), "median": float(np.median(error))}


def energies(run: FinishedContrast) -> Values:
    """Work functions by all ways."""
    facts, tested = run.facts["work_function"], run.tested
    formulas = run.facts["split"]["test_formulas"]
    rows = [
        {
            "by": by.METHODS[row["method"]],
            "MAE (eV)": f"{row['mae']:.3f}",
            "95 %": _ends(row["interval"], formulas),
            "on validation (eV)": f"{row['validation_mae']:.3f}",
        }
        for row in facts["methods"]
    ]
    differences = [
        {
            "errors by": by.METHODS[row["method"]],
            "minus those by": by.METHODS[row["against"]],
            **_difference(row),
        }
        for row in facts["differences"]
    ]
    methods = {name: by.METHODS[name] for name in by.OURS if tested[name].notna().all()}
    return {
        "drawn": work_functions(tested, methods),
        "errors": pd.DataFrame(rows),
        "differences": pd.DataFrame(differences),
        "facts": facts,
        "interval": facts["interval"],
        "caveats": of_intervals(run.facts),
    }


def curve(run: FinishedContrast) -> Values | None:
    """Errors and recalls against the number of materials that were learned from."""
    points = run.facts["curve"]
    if len(points) < 2:
        return None
    ordered = sorted(points, key=lambda point: point["materials"])
    errors = [
        {
            "materials": point["materials"],
            "method": row["method"],
            "mae": row["mae"],
            "low": (row["interval"] or [None])[0],
            "high": (row["interval"] or [None])[-1],
        }
        for point in ordered
        for row in point["work_functions"]
    ]
    recalls = [
        {"materials": point["materials"], "way": retrieval.WAYS[way], "recall": row["1"]}
        for point in ordered
        for way, row in point["recall"].items()
    ]
    told = pd.DataFrame(errors).astype({"low": float, "high": float})
    return {
        "drawn": learning_curves(told, pd.DataFrame(recalls), 1 / run.facts["split"]["test"]),
        "errors": pd.DataFrame([_errors_at(point) for point in ordered]),
    }


def _errors_at(point: Mapping[str, Any]) -> dict[str, str]:
    """A row of a table: the errors at a size."""
    return {
        "materials": str(point["materials"]),
        **{f"{row['method']} (eV)": f"{row['mae']:.3f}" for row in point["work_functions"]},
    }


def cost(run: FinishedContrast) -> Values:
    """What it took."""
    rows = [
        {
            "what": "contrastive model" if row["learns"] == "pairs" else "regression",
            "models": str(row["models"]),
            "parameters": f"{row['parameters']:,}",
            "best epochs": " ".join(map(str, row["best_epochs"])),
            "materials/s": significant(row["materials_per_second"]),
            "time": duration(row["seconds"]),
        }
        for row in run.facts["cost"]
    ]
    return {"table_of_costs": pd.DataFrame(rows), "facts": run.facts}


CONTRAST_SECTIONS: tuple[tuple[str, Callable[[FinishedContrast], Values | None]], ...] = (
    ("Retrieval", found),
    ("Recall curves", recalls),
    ("Work functions", energies),
    ("Learning curves", curve),
    ("Profiles of the best and the worst retrievals", profiles),
    ("Similarity of test materials", matrix),
    ("Both spaces in one projection", plane),
    ("Cost", cost),
)


def part(run: FinishedRun) -> MakePart | None:
    """The function that makes the part of the report; None if there is no such run."""
    finished = FinishedContrast(run.folder)
    return (lambda: _part(finished)) if finished.exists else None


def _part(finished: FinishedContrast) -> Part:
    data = finished.facts["data"]
    of = "generated materials" if data["generated"] else f"materials of {data['name']}"
    return Part(
        filled(finished.job, CONTRAST_SECTIONS, finished),
        "Crystals and potentials in one space",
        f"{data['materials']} {of}, recipe {finished.facts['recipe']}",
    )
