"""Work functions of new slabs by the models of a contrastive run, from their crystals alone.

Legend: N slabs, B materials of the run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np

from analysis.ensemble.spread import Spread
from orchestrator.contrast.readout import Readout
from orchestrator.interface.format import counted
from orchestrator.predict.networks import Known, Model
from orchestrator.predict.table import NEAREST, Table, demand_no_members, table_of
from trainables.crystals.crystal import Crystal, Entry
from trainables.crystals.slab_cell import demand_slab, height_of
from trainables.representations.columns import Columns
from trainables.representations.row_table import read_rows
from trainables.representations.slab_graph import SlabGraph
from trainables.training.contrast_models import crystals_alone, embeddings, work_functions
from trainables.training.contrast_spec import ContrastSpec

REGRESSION = "regression"
# eV, but for the similarity, a cosine: of the head and its interval, of the regressions if there
# are any, and of the material `NEAREST`.
NUMBERS = (
    "work_function", "lower", "upper", REGRESSION, "nearest_work_function", "nearest_similarity"
)  # fmt: skip
COLUMNS = (*NUMBERS[:4], NEAREST, *NUMBERS[4:])


@dataclass(frozen=True, kw_only=True)
class PredictedSlabs:
    """Work functions of N slabs, of which some were refused.

    Attributes:
        ids: [N].
        numbers: [N] by name, those of `NUMBERS` that there are; NaN where there is none.
        nearest: [N] id of the learned material whose profile lies nearest; None where there is no
            prediction.
        outside, reasons: [N] as of `predictor.Predicted`.
    """

    ids: list[str]
    numbers: Mapping[str, np.ndarray]
    nearest: list[str | None]
    outside: list[str]
    reasons: list[str]

    def table(self, *, members: bool) -> Table:
        """See `table.Tabular`."""
        demand_no_members(members, "a run of contrast has none in the table")
        own: dict[str, list[Any] | np.ndarray] = {**self.numbers, NEAREST: self.nearest}
        chosen = {name: own[name] for name in COLUMNS if name in own}
        return table_of(self.ids, chosen, self.outside, self.reasons)


@dataclass(frozen=True, kw_only=True)
class SlabPredictor:
    """What a contrastive run says of new slabs.

    Attributes:
        name: of its data.
        contrasts, regressions: its models, by member; there may be no regressions.
        readout: of the run's own materials.
        ids: [B] of these.
        elements: atomic numbers in the training part.
        max_atoms: of a slab.
    """

    name: str
    contrasts: tuple[Model[ContrastSpec], ...]
    regressions: tuple[Model[ContrastSpec], ...]
    readout: Readout = field(repr=False)
    ids: np.ndarray = field(repr=False)
    elements: tuple[int, ...]
    max_atoms: int

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of what determines the predictions."""
        models = [one.sha256 for one in (*self.contrasts, *self.regressions)]
        own = [models, self.max_atoms, self.ids.tolist(), self.readout.true.tolist()]
        return hashlib.sha256(json.dumps(own).encode()).hexdigest()

    @property
    def spreads(self) -> list[Spread]:
        """By which intervals are made."""
        return [self.readout.ensemble.spread]

    def described(self) -> list[str]:
        """Lines on what predicts."""
        models = counted(len(self.contrasts), "contrastive model")
        beside = f", {counted(len(self.regressions), 'regression')}" if self.regressions else ""
        learned = counted(len(self.readout.split.train), "material")
        return [
            f"{self.name}: work function (eV), by the {self.readout.kind} head of {models}{beside},"
            f" and the profiles of {learned}"
        ]

    def predict(self, entries: Sequence[Entry], level: float) -> PredictedSlabs:
        """Predictions for raw slabs, in their order; a bad one affects only itself.

        Args:
            level: probability that an interval holds the work function.
        """
        made = read_rows(entries, self._representation, self.max_atoms, _slab, slabs=True)
        known = Known(made.reasons, made.graphs, self.elements)
        nearest, values = self._values(known.graphs, level)
        numbers = {name: known.placed(values[name]) for name in self.numbers}
        return PredictedSlabs(
            ids=[entry.id for entry in entries],
            numbers=numbers,
            nearest=known.placed(nearest, None).tolist(),
            outside=known.outside.tolist(),
            reasons=known.reasons(numbers["work_function"]),
        )

    @property
    def _representation(self) -> SlabGraph:
        return cast(SlabGraph, self.contrasts[0].spec.representation)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the columns of numbers."""
        return tuple(name for name in NUMBERS if name != REGRESSION or self.regressions)

    def _values(self, graphs: Columns, level: float) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Ids of the nearest materials, and numbers, of slabs of which all elements are known."""
        if not len(graphs):
            return np.zeros(0, object), dict.fromkeys(self.numbers, np.zeros(0))
        seen = [embeddings(one.network, crystals_alone(one.spec, graphs)) for one in self.contrasts]
        features, crystals = (
            [one[name] for one in seen] for name in ("features/crystal", "embeddings/crystal")
        )
        read = self.readout.read(features, crystals, level)
        values = {
            "work_function": read.mean,
            "lower": read.mean - read.half_width,
            "upper": read.mean + read.half_width,
            "nearest_work_function": self.readout.true[read.nearest],
            "nearest_similarity": read.similarity,
        }
        if self.regressions:
            said = [
                work_functions(one.network, crystals_alone(one.spec, graphs))
                for one in self.regressions
            ]
            values[REGRESSION] = np.mean(said, axis=0)
        return self.ids[read.nearest], values


def _slab(target: str, crystal: Crystal) -> None:
    """Refuses a crystal without vacuum; there is no potential whose height could differ."""
    demand_slab(crystal, height_of(crystal))
