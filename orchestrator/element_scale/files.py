"""The files that `element_scale` writes into its run directory: writing and reading them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.elements import NUMBERS, SYMBOLS
from analysis.scale import pareto
from analysis.scale.fidelity import fidelity, known_scales
from analysis.scale.gaps import Gaps
from analysis.scale.replaceability import Replaceability
from orchestrator.data.download import digest
from orchestrator.element_scale.flags import ScaleOptions
from orchestrator.runs import sums
from orchestrator.runs.finished_files import FinishedFiles, read_json, read_parquet
from trainables.crystals.sources import Source

if TYPE_CHECKING:  # a report needs no numba
    from analysis.scale.unidimensional import Order

POSITIONS, EXPORT, FRONT, PAIRS, FACTS = (
    "scale.csv",
    "element_scale.json",
    "pareto.parquet",
    "replaceability.parquet",
    "scale.meta.json",
)
OURS, OUR_ORDER = "this scale", "its order, evenly spaced"


@dataclass(frozen=True)
class Scale:
    """Elements in their order, and their gaps for many λ.

    Attributes:
        relations: S in the order of the scale.
        distances: chemical distances [n, n] in this order.
        grid, refined, paired: gaps of the requested λ, of those added, and of Optuna's (λ, η).
        chosen: one of the first two.
    """

    relations: Replaceability
    distances: np.ndarray
    grid: list[Gaps]
    refined: list[Gaps]
    paired: list[Gaps]
    chosen: Gaps

    def hypervolume(self, found: Sequence[Gaps]) -> float:
        """Share of the box around the grid's front that the given gaps dominate."""
        return pareto.hypervolume(pareto.losses(found), pareto.box(pareto.losses(self.grid)))


def write_scale(
    options: ScaleOptions, scale: Scale, order: Order | None, given: Replaceability | Source
) -> list[Path]:
    """Writes the files, the facts last; returns their paths."""
    symbols = [SYMBOLS[z] for z in scale.relations.numbers]
    positions = scale.chosen.positions
    places = dict(zip(symbols, positions.round(6).tolist(), strict=True))
    folder = options.run
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["symbol", "position"])
    writer.writerows(places.items())
    sums.remove(folder, FACTS)  # the facts of another scale must not be left with new files
    sums.write_parquet(folder, PAIRS, _pairs(scale, symbols))
    sums.write_parquet(folder, FRONT, _front(scale))
    sums.write_json(folder, EXPORT, places)
    sums.write_text(folder, POSITIONS, text.getvalue())
    sums.write_json(folder, FACTS, _facts(options, scale, order, given))
    return [folder / name for name in (POSITIONS, EXPORT, FRONT, PAIRS, FACTS)]


def _pairs(scale: Scale, symbols: Sequence[str]) -> pa.Table:
    """Columns a, b, replaceability (of A by B), distance: all ordered pairs."""
    n = len(symbols)
    a, b = np.divmod(np.flatnonzero(~np.eye(n, dtype=bool)), n)
    names = np.array(symbols)
    return pa.table(
        {
            "a": names[a],
            "b": names[b],
            "replaceability": scale.relations.values[a, b],
            "distance": scale.distances[a, b],
        }
    )


def _front(scale: Scale) -> pa.Table:
    """One row for each (λ, η)."""
    parts = [("grid", scale.grid), ("refined", scale.refined), ("optuna", scale.paired)]
    found = [one for _, part in parts for one in part]
    competing = [*scale.grid, *scale.refined]
    left = len(found) - len(competing)  # Optuna's vary η too, and are not compared
    front, hull = (
        np.concatenate([mask(pareto.losses(competing)), np.zeros(left, dtype=bool)])
        for mask in (pareto.on_front, pareto.on_hull)
    )
    return pa.table(
        {
            "lambda": [one.lam for one in found],
            "eta": [one.eta for one in found],
            "source": [name for name, part in parts for _ in part],
            "pull": [one.pull for one in found],
            "crowding": [one.crowding for one in found],
            "on_front": front,
            "on_hull": hull,
            "variance": [one.variance for one in found],
            "chosen": [one is scale.chosen for one in found],
            "gradient": [one.gradient for one in found],
            "converged": [one.converged for one in found],
            "steps": [one.steps for one in found],
            "gaps": [one.values.tolist() for one in found],
        }
    )


def _facts(
    options: ScaleOptions, scale: Scale, order: Order | None, given: Replaceability | Source
) -> dict[str, Any]:
    competing = [*scale.grid, *scale.refined]
    relations = scale.relations
    return {
        "source": _source(options, given),
        "order": options.order if order is None else "mds",
        "mds": None
        if order is None
        else {
            "on": options.mds_on,
            "stress": order.stress,
            "restarts": order.restarts,
            "hits": order.hits,
            "seed": options.seed,
        },
        "lambda": scale.chosen.lam,
        "eta": options.eta,
        "repulsion": options.repulsion,
        "picked_by": "hand" if options.pick else "variance",
        "gradient": scale.chosen.gradient,
        "converged": all(one.converged for one in competing),
        "hypervolume": {
            "grid": scale.hypervolume(scale.grid),
            "refined": scale.hypervolume(competing),
            "with_optuna": scale.hypervolume([*competing, *scale.paired]),
        },
        "isolated": [SYMBOLS[z] for z in relations.isolated],
        "estimated_occurrences": [SYMBOLS[z] for z in relations.estimated],
        "fidelity": {name: asdict(found) for name, found in _compare(scale).items()},
        "version": version("elemgrid"),
    }


def _source(options: ScaleOptions, given: Replaceability | Source) -> dict[str, str | None]:
    if not isinstance(given, Replaceability):
        return {"kind": "mined", "name": given.name, "sha256": given.digest()}
    if options.counts is None:
        return {"kind": "published", "name": "10.1021/ic102031h", "sha256": None}
    facts: dict[str, str | None] = {"kind": "counts", "name": options.counts.name}
    facts["sha256"] = digest(options.counts)
    if options.occurrences:
        facts["occurrences"] = options.occurrences.name
        facts["occurrences_sha256"] = digest(options.occurrences)
    return facts


def _compare(scale: Scale) -> dict[str, Any]:
    """Fidelity of this and of published scales, on the elements with relations that all have."""
    relations = scale.relations
    scales = known_scales()
    shared = set(relations.numbers.tolist()) - set(relations.isolated)
    shared = shared.intersection(*scales.values())
    here = np.array([place for place, z in enumerate(relations.numbers) if z in shared])
    if len(here) < 3:
        return {}
    numbers = relations.numbers[here].tolist()
    coordinates = {
        OURS: scale.chosen.positions[here],
        OUR_ORDER: here.astype(np.float64),
        **{name: np.array([places[z] for z in numbers]) for name, places in scales.items()},
    }
    grid = np.ix_(here, here)
    return {
        name: fidelity(found, relations.symmetric[grid], scale.distances[grid])
        for name, found in coordinates.items()
    }


class FinishedScale(FinishedFiles):
    """The files of a scale, each read on first use."""

    job, facts_file = "element_scale", FACTS

    @cached_property
    def positions(self) -> dict[str, float]:
        return read_json(self.folder, EXPORT, self.job)

    @cached_property
    def front(self) -> pd.DataFrame:
        return read_parquet(self.folder, FRONT, self.job)

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Replaceability and distance [n, n], elements by atomic number."""
        table = read_parquet(self.folder, PAIRS, self.job)
        by_number = sorted(self.positions, key=NUMBERS.__getitem__)
        found = []
        for column, own in (("replaceability", 0.0), ("distance", 0.0)):
            square = table.pivot(index="a", columns="b", values=column)
            found.append(square.reindex(index=by_number, columns=by_number).fillna(own).to_numpy())
        return found[0], found[1]
