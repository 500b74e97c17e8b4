"""The report's sections on densities of states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.densities import at_quantiles
from analysis.figures.densities import (
    at_fermi,
    by_element,
    curves_at_quantiles,
    error_histogram,
    learning_curve,
)
from orchestrator.dos.files import FinishedDos
from orchestrator.dos.results import BASELINES
from orchestrator.interface.format import duration, significant
from orchestrator.report.part import MakePart, Part, Values, filled
from orchestrator.runs.finished_run import FinishedRun

SHOWN, ELEMENTS = 6, 12


def scores(found: FinishedDos) -> Values:
    """Errors of each fold beside the baselines, and what they cost."""
    rows = [
        {
            "fold": str(row["fold"]),
            "crystals": f"{row['learned']} → {row['tested']}",
            "networks": f"{row['members']} of {found.facts['members']}",
            "MSE": significant(row["mse"]),
            "of a member": significant(row["member_mse"]),
            "trees": significant(row["trees_mse"]),
            "look-up": significant(row["lookup_mse"]),
            "mean spectrum": significant(row["mean_spectrum_mse"]),
            "MAE": significant(row["mae"]),
            "MAD:MAE": f"{row['mad_mae']:.2f}",
            "Wasserstein": significant(row["wasserstein"]),
            "of trees": significant(row["trees_wasserstein"]),
            "time": duration(row["seconds"]),
            "crystals/s": significant(row["crystals_per_second"]),
        }
        for row in found.facts["folds"]
    ]
    return {
        "facts": found.facts,
        "mean": found.facts["mean"],
        "parameters": found.facts["folds"][0]["parameters"],
        "folds": pd.DataFrame(rows),
        "apart": pd.DataFrame(_apart(found.facts)),
        "differences": pd.DataFrame(_differences(found.facts)),
        "histogram": error_histogram(found.predictions),
    }


def _apart(facts: Mapping[str, Any]) -> list[dict[str, str]]:
    """Rows of a table: errors on formulas that each fold learned from, and on others."""
    return [
        {
            "fold": str(row["fold"]),
            "crystals": str(row["seen"] if part == "seen" else row["tested"] - row["seen"]),
            "formula": "learned from" if part == "seen" else "not learned from",
            "MSE": significant(row[f"mse_{part}"]),
            "trees": significant(row[f"trees_mse_{part}"]),
            "look-up": significant(row[f"lookup_mse_{part}"]),
        }
        for row in facts["folds"]
        for part in ("seen", "unseen")
        if row[f"mse_{part}"] is not None
    ]


def _differences(facts: Mapping[str, Any]) -> list[dict[str, str]]:
    """Rows of a table: the ensemble's errors minus those of baselines."""
    return [
        {
            "ensemble minus": BASELINES[one["baseline"]],
            "crystals": one["crystals"],
            "mean": f"{one['mean']:+.4f}",
            "95 %": f"{one['low']:+.4f} to {one['high']:+.4f}",
            "folds": str(one["pairs"]),
        }
        for one in facts["differences"]
    ]


def examples(found: FinishedDos) -> Values:
    """Curves at quantiles of the error."""
    table = found.predictions
    chosen = table.iloc[at_quantiles(table["mse"], SHOWN)]
    return {"curves": curves_at_quantiles(chosen, energies_of(found), unit_of(found))}


def fermi(found: FinishedDos) -> Values | None:
    """Densities at the Fermi level."""
    table = found.predictions
    known = table[table["at_fermi"].notna()]
    if known.empty:
        return None
    apart = (known["at_fermi_predicted"] - known["at_fermi"]).abs().mean()
    around = (known["at_fermi"] - known["at_fermi"].mean()).abs().mean()
    ratio = f"{around / max(apart, 1e-12):.2f}"
    return {"points": at_fermi(known), "mae": apart, "mad": around, "ratio": ratio}


def elements(found: FinishedDos) -> Values | None:
    """Mean densities of the atoms of the elements in most test crystals."""
    table = found.elements
    often = table.groupby("symbol")["crystals"].sum().sort_values(ascending=False, kind="stable")
    rows = [_over_folds(table, str(symbol)) for symbol in often.index[:ELEMENTS]]
    if not rows:
        return None
    return {"drawn": by_element(rows, energies_of(found), unit_of(found))}


def _over_folds(table: pd.DataFrame, symbol: str) -> dict[str, object]:
    """The mean over folds of an element's densities, by its test crystals."""
    own = table[table["symbol"] == symbol]
    weights = own["crystals"].to_numpy(float)

    def mean(name: str) -> np.ndarray | None:
        if own[name].isna().any():
            return None
        curves = np.stack([np.asarray(one, float) for one in own[name]])
        known = np.isfinite(curves) * weights[:, None]
        total = (np.nan_to_num(curves) * known).sum(axis=0)
        count = known.sum(axis=0)
        return np.where(count > 0, total / np.maximum(count, 1e-12), np.nan)

    return {
        "symbol": symbol,
        "crystals": int(weights.sum()),
        "target": mean("target"),
        "prediction": mean("prediction"),
    }


def curve(found: FinishedDos) -> Values | None:
    """Errors against the number of crystals that are learned from."""
    rows = pd.DataFrame(found.facts["curve"])
    if rows["share"].nunique() < 2:
        return None
    return {"drawn": learning_curve(rows)}


def energies_of(found: FinishedDos) -> np.ndarray:
    """The grid."""
    window = found.facts["window"]
    return np.linspace(window["low"], window["high"], window["points"])


def unit_of(found: FinishedDos) -> str:
    """Of the energies, as an axis shows it; that of phonons is the file's."""
    return "" if found.facts["data"]["phonons"] else "eV"


DOS_SECTIONS: tuple[tuple[str, Callable[[FinishedDos], Values | None]], ...] = (
    ("Errors", scores),
    ("Learning curve", curve),
    ("Curves at quantiles of the error", examples),
    ("At the Fermi level", fermi),
    ("By element", elements),
)


def part(run: FinishedRun) -> MakePart | None:
    """The function that makes the part of the report; None if there are no densities."""
    found = FinishedDos(run.folder)
    return (lambda: _part(found)) if found.exists else None


def _part(found: FinishedDos) -> Part:
    about = found.facts["data"]
    what = "phonons" if about["phonons"] else "electrons"
    return Part(
        filled(found.job, DOS_SECTIONS, found),
        f"Densities of states of {what}",
        f"{about['crystals']} crystals of {about['name']}, recipe {found.facts['recipe']}",
    )
