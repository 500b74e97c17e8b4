"""The report's sections on the groups of the elements."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from analysis.elements import NUMBERS
from analysis.figures.geometry import NAMES, angle_variances, correlations, layers
from analysis.figures.groups import cluster_table
from analysis.figures.screening import composition_bars, relation_map
from analysis.figures.style import name_backbone
from analysis.geometry import INDICATORS, correlate, strategy_of
from analysis.screening import LEAST_COVERED
from orchestrator.element_groups.files import (
    MIXED,
    PROJECTIONS,
    RELATIONS,
    SCREENING,
    UNTRAINED,
    FinishedGroups,
    of_ledger,
)
from orchestrator.interface.format import significant
from orchestrator.report.part import MakePart, Part, Values, belongs, filled
from orchestrator.runs.finished_run import FinishedRun

CHARGES = {"+": "⁺", "-": "⁻"}
SURE = 0.01  # significance level of the Mantel tests


@dataclass(frozen=True)
class Grouped:
    """A run and its groups."""

    run: FinishedRun
    groups: FinishedGroups

    @property
    def models(self) -> pd.DataFrame:
        """Geometry of the models of the data sets that count, joined with the ledger."""
        rows = of_ledger(self.groups.geometry, self.run.done)
        return rows[rows["task"].isin(self.groups.facts["tasks"])]


def clusters(grouped: Grouped) -> Values:
    """Fig. 3.11 of the thesis."""
    facts, frame = grouped.groups.facts, grouped.groups.groups
    shown = {NUMBERS[row.symbol]: f"{row.cluster}" for row in frame.itertuples()}
    unsure = frame[frame["stability"] < 0.5].sort_values("stability").head(8)
    return {
        "facts": facts,
        "unsure": [f"{row.symbol} ({row.stability:.2f})" for row in unsure.itertuples()],
        "map": cluster_table(
            grouped.groups.clusters,
            shown,
            "Consensus of the models",
            f"{facts['clusters']} clusters of {facts['elements']} elements",
        ),
    }


def substitution(grouped: Grouped) -> Values:
    """Fig. 3.12 of the thesis."""
    frame = grouped.groups.groups
    below = {
        NUMBERS[row.symbol]: f"{row.subgroup} · {row.radius:.2f}{CHARGES[row.sign]}"
        if pd.notna(row.radius)
        else f"{row.subgroup}"
        for row in frame.itertuples()
    }
    listed = []
    for name, part in frame.groupby("subgroup", sort=False):
        if len(part) > 1:
            radii = f"{part['radius'].min():.2f} to {part['radius'].max():.2f}"
            members = " ".join(part.sort_values("radius")["symbol"])
            sign = {"+": "cations", "-": "anions"}[part["sign"].iloc[0]]
            listed.append({"group": name, "ions": sign, "radius (Å)": radii, "elements": members})
    return {
        "map": cluster_table(
            grouped.groups.clusters,
            below,
            "Groups that may substitute each other",
            f"{frame['subgroup'].nunique()} groups; colours are the clusters",
        ),
        "groups": pd.DataFrame(listed) if listed else None,
    }


def screening(grouped: Grouped) -> Values | None:
    """Fig. 3.8 of the thesis."""
    found = grouped.groups.optional(SCREENING)
    if found.empty:
        return None
    rows = [
        {
            "data set": row.task,
            "crystals": row.crystals,
            "forest": significant(row.error),
            "the mean": significant(row.dummy),
            "best known": significant(row.best) if pd.notna(row.best) else "–",
            "R²": significant(row.explained),
            "covered": f"{row.covered:.0%}" if pd.notna(row.covered) else "–",
            "enters": "yes" if row.enters else "no",
        }
        for row in found.itertuples()
    ]
    return {
        "bars": composition_bars(found),
        "least": f"{LEAST_COVERED:.0%}",
        "forests": pd.DataFrame(rows),
    }


def geometry(grouped: Grouped) -> Values:
    """Fig. 3.9 of the thesis."""
    models = grouped.models
    mixed = models[models["channel"] == MIXED]
    found, shapes = correlate(mixed, list(NAMES)), _shapes(mixed, grouped.groups)
    if found.empty:
        fewest, cells = 0, None
    else:
        fewest, cells = int(found["models"].min()), correlations(found)
    before = _untrained(grouped.groups)
    return {"fewest": fewest, "cells": cells, "shapes": shapes, "untrained": before}


def _untrained(groups: FinishedGroups) -> str:
    """What untrained models start from, as groups of an earlier version do not say."""
    start = groups.facts.get("untrained")
    if start is None:
        return ""
    return f" (handcrafted columns {start['handcrafted']}, start {start['element_init']})"


def _shapes(mixed: pd.DataFrame, groups: FinishedGroups) -> pd.DataFrame:
    """Mean indicators of trained models, by strategy and dimension, beside untrained ones."""
    before = groups.optional(UNTRAINED).set_index(["strategy", "dim"])
    strategies = mixed["mixing"].map(strategy_of).rename("strategy")
    rows = []
    for place, trained in mixed.groupby([strategies, "dim"]):
        strategy, dim = place
        row = {"vectors": strategy, "dim": dim, "models": len(trained)}
        for name in (*INDICATORS, "ari", "silhouette"):
            own, control = trained[name].mean(), before[name].get(place, math.nan)
            row[NAMES[name]] = f"{significant(own)} ({significant(control)})"
        rows.append(row)
    return pd.DataFrame(rows)


def layerwise(grouped: Grouped) -> Values | None:
    """Fig. 3.10 of the thesis."""
    models = grouped.models.assign(strategy=lambda rows: rows["mixing"].map(strategy_of))
    layer = models["channel"].str.extract(r"^layer(\d+)$")[0].astype(float)
    models = models.assign(layer=layer.where(models["channel"] != MIXED, 0.0))
    models = models[models["layer"].notna()].astype({"layer": int})
    return None if models["ari"].isna().all() else {"drawn": layers(models)}


def orthogonality(grouped: Grouped) -> Values | None:
    """Table 4.1 and fig. 4.5 of the thesis."""
    models = grouped.models
    mixed = models[(models["channel"] == MIXED) & models["angle_variance"].notna()]
    if mixed.empty:
        return None
    before = grouped.groups.optional(UNTRAINED)
    before = before[before["strategy"] == MIXED].set_index("dim")
    rows = []
    for dim, part in mixed.groupby("dim"):
        row = {
            "dim": dim,
            "untrained": _angle(before.loc[dim, "angle_mean"], before.loc[dim, "angle_variance"]),
        }
        for backbone, models_of in part.groupby("backbone"):
            mean, variance = models_of["angle_mean"].mean(), models_of["angle_variance"].mean()
            row[name_backbone(str(backbone))] = _angle(mean, variance)
        rows.append(row)
    return {
        "angles": pd.DataFrame(rows).fillna("–"),
        "variances": angle_variances(mixed),
        "untrained": _untrained(grouped.groups),
    }


def _angle(mean: float, variance: float) -> str:
    return "–" if pd.isna(mean) else f"{mean:.1f}, {variance:.0f}"


def other_relations(grouped: Grouped) -> Values | None:
    """How the learned relations agree with chemical ones."""
    compared = grouped.groups.optional(RELATIONS)
    if compared.empty:
        return None
    return {
        "source": grouped.groups.facts["relations"],
        "projections": PROJECTIONS,
        "sure": f"{SURE:g}",
        "doubtful": [
            f"{row.one} – {row.other} (p = {row.p:.2g})"
            for row in compared[compared["p"] > SURE].itertuples()
        ],
        "map": relation_map(compared),
    }


GROUP_SECTIONS: tuple[tuple[str, Callable[[Grouped], Values | None]], ...] = (
    ("What the models agree on", clusters),
    ("Which elements may substitute each other", substitution),
    ("Which data sets are about composition", screening),
    ("Shape of the element vectors", geometry),
    ("From the embedding through the layers", layerwise),
    ("Handcrafted against learned", orthogonality),
    ("Beside other relations of the elements", other_relations),
)


def part(run: FinishedRun) -> MakePart | None:
    """The function that makes the groups' part of the report; None if the run has no groups."""
    found = FinishedGroups(run.folder)
    if not found.exists:
        return None
    run.demand_files()
    return lambda: _part(run, found)


def _part(run: FinishedRun, found: FinishedGroups) -> Part:
    if not belongs(found, run.digest):
        return Part([])
    return Part(filled(found.job, GROUP_SECTIONS, Grouped(run, found)))
