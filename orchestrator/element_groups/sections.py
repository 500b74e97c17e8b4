"""The report's sections on the groups of the elements."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from analysis.elements import NUMBERS
from analysis.figures.geometry import NAMES, angle_variances, correlations, layers
from analysis.figures.groups import cluster_table
from analysis.figures.screening import composition_bars, relation_map
from analysis.figures.style import name_backbone
from analysis.geometry import correlate, strategy_of
from analysis.screening import LEAST_COVERED
from orchestrator.element_groups.files import (
    ANGLES,
    MIXED,
    RELATIONS,
    SCREENING,
    FinishedGroups,
    of_ledger,
)
from orchestrator.interface.format import significant
from orchestrator.interface.page import figure, table
from orchestrator.report.part import MakePart, Part, belongs, filled
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


def clusters(grouped: Grouped) -> str:
    """Fig. 3.11 of the thesis."""
    facts = grouped.groups.facts
    proof = (
        "no partition agrees better, which is proven"
        if facts["proven"]
        else f"no partition can reach more than {facts['upper_bound']:.4f}"
        f" ({100 * facts['gap']:.2g} % above)"
    )
    searches = len(facts["seeds"])
    alike = (
        f" {searches} searches from different seeds agree to {facts['seed_agreement']:.3f}"
        " (adjusted Rand index)."
        if searches > 1
        else ""
    )
    once = (
        f'<p class="note">In one model only: {" ".join(facts["in_one_model_only"])}.</p>'
        if facts["in_one_model_only"] and facts["models"] > 1
        else ""
    )
    frame = grouped.groups.groups
    shown = {
        NUMBERS[row.symbol]: f"{row.cluster}" for row in frame.itertuples()
    }  # fmt: skip
    unsure = frame[frame["stability"] < 0.5].sort_values("stability")
    least = (
        "<p>Least sure of their cluster, when the models are drawn anew: "
        + ", ".join(f"{row.symbol} ({row.stability:.2f})" for row in unsure.head(8).itertuples())
        + ".</p>"
        if len(unsure)
        else ""
    )
    return (
        f"<p>Each of {facts['models']} models clusters its element vectors (K-means, 2 to 10"
        " clusters, the best silhouette). This is the partition that agrees with them on most pairs"
        f" of elements, together or apart: {facts['score']:.4f} of the pairs of an average model;"
        f" {proof}.{alike}</p>{once}"
        + figure(
            cluster_table(
                grouped.groups.clusters,
                shown,
                "Consensus of the models",
                f"{facts['clusters']} clusters of {facts['elements']} elements",
            )
        )
        + least
    )


def substitution(grouped: Grouped) -> str:
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
    groups = frame["subgroup"].nunique()
    return (
        "<p>Clusters cut into groups that fit into each other's places: cations and anions apart,"
        " and a new group where the next larger ion is 30 % larger or more (Goldschmidt). Under a"
        " symbol stand its group and its largest ionic radius in Å; an element without a known"
        " radius is alone.</p>"
        + figure(
            cluster_table(
                grouped.groups.clusters,
                below,
                "Groups that may substitute each other",
                f"{groups} groups; colours are the clusters",
            )
        )
        + (table(pd.DataFrame(listed)) if listed else "")
    )


def screening(grouped: Grouped) -> str:
    """Fig. 3.8 of the thesis."""
    found = grouped.groups.optional(SCREENING)
    if found.empty:
        return ""
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
    return (
        "<p>A random forest of 200 trees sees the shares of the elements and no structure; official"
        " folds. A data set enters what follows if the forest covers"
        f" {LEAST_COVERED:.0%} of the way from the mean to the best model known (this run's or"
        " the leaderboard's), or, where none is known, that much of the variance. Errors are MAE;"
        " of two classes 1 − ROC-AUC, and balanced accuracy in place of R².</p>"
        f"{figure(composition_bars(found))}{table(pd.DataFrame(rows))}"
    )


def geometry(grouped: Grouped) -> str:
    """Fig. 3.9 of the thesis."""
    models = grouped.models
    found = correlate(models[models["channel"] == MIXED], list(NAMES))
    if found.empty:
        return (
            "<p>Correlations with the error need three models of one data set, backbone and kind"
            " of embedding.</p>"
        )
    fewest = int(found["models"].min())
    return (
        "<p>Does the shape of a model's element vectors go with its error (test MAE over that of"
        " the mean)? Each cell correlates over models that differ in fold, dimension and, where"
        f" mixed, in γ; the smallest has {fewest} models. Correlation is not cause: the dimension"
        f" alone moves all of them.</p>{figure(correlations(found))}"
    )


def layerwise(grouped: Grouped) -> str:
    """Fig. 3.10 of the thesis."""
    models = grouped.models.assign(strategy=lambda rows: rows["mixing"].map(strategy_of))
    layer = models["channel"].str.extract(r"^layer(\d+)$")[0].astype(float)
    models = models.assign(layer=layer.where(models["channel"] != MIXED, 0.0))
    models = models[models["layer"].notna()].astype({"layer": int})
    if models["ari"].notna().sum() == 0:
        return ""
    return (
        "<p>K-means with as many clusters as there are classes, on the embedding's vectors and on"
        " the mean node features of each element after each layer.</p>"
        f"{figure(layers(models))}"
    )


def orthogonality(grouped: Grouped) -> str:
    """Table 4.1 and fig. 4.5 of the thesis."""
    models = grouped.models
    mixed = models[(models["channel"] == MIXED) & models["angle_variance"].notna()]
    if mixed.empty:
        return ""
    before = grouped.groups.optional(ANGLES).set_index("dim")
    rows = []
    for dim, part in mixed.groupby("dim"):
        row = {
            "dim": dim,
            "untrained": _angle(before.loc[dim, "mean"], before.loc[dim, "variance"]),
        }
        for backbone, models_of in part.groupby("backbone"):
            mean, variance = models_of["angle_mean"].mean(), models_of["angle_variance"].mean()
            row[name_backbone(str(backbone))] = _angle(mean, variance)
        rows.append(row)
    return (
        "<p>The angle between an element's handcrafted and learned vector, as mean (degrees) and"
        " variance (deg²) over the elements; means over the mixed models, and over 50 untrained"
        " ones, which are near 90° by chance, the nearer the more dimensions there are.</p>"
        f"{table(pd.DataFrame(rows).fillna('–'))}{figure(angle_variances(mixed))}"
    )


def _angle(mean: float, variance: float) -> str:
    return f"{mean:.1f}, {variance:.0f}"


def other_relations(grouped: Grouped) -> str:
    """How the learned relations agree with chemical ones."""
    compared = grouped.groups.optional(RELATIONS)
    if compared.empty:
        return ""
    source = html.escape(grouped.groups.facts["relations"])
    doubtful = [
        f"{row.one} – {row.other} (p = {row.p:.2g})"
        for row in compared[compared["p"] > SURE].itertuples()
    ]
    chance = f"all of them but {', '.join(doubtful)}" if doubtful else "all of them"
    return (
        "<p>Do pairs that are close for our models stand close elsewhere too? Spearman's"
        " correlation over all pairs, between cosine distances of our models and of published"
        f" vectors, and how readily elements replace each other in crystals ({source}). Beyond"
        f" chance, by renaming the elements at random (Mantel, p ≤ {SURE:g}): {chance}.</p>"
        f"{figure(relation_map(compared))}"
    )


GROUP_SECTIONS: tuple[tuple[str, Callable[[Grouped], str]], ...] = (
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
    if not belongs(found, run.digest):
        return None
    return lambda: Part(filled(GROUP_SECTIONS, Grouped(run, found)))
