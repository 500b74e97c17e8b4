"""Work functions of new slabs by the models of a contrastive run, from their crystals alone.

Legend: N slabs, B materials of the run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

import numpy as np
from torch import nn

from analysis.ensemble.spread import Spread
from orchestrator.contrast.readout import Read, Readout
from orchestrator.interface.format import counted
from orchestrator.predict.predictor import why_silent
from orchestrator.predict.slab_table import NUMBERS, REGRESSION, PredictedSlabs
from trainables.crystals.crystal import Crystal, Entry
from trainables.crystals.potentials import demand_slab, height_of
from trainables.crystals.symbols import symbol
from trainables.representations.columns import Columns
from trainables.representations.row_table import read_rows
from trainables.representations.slab_graph import SlabGraph
from trainables.training.checkpoint import unseen_elements
from trainables.training.contrast_models import crystals_alone, embeddings, work_functions
from trainables.training.contrast_spec import ContrastSpec


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model of the run.

    Attributes:
        spec: of it.
        network: a stack of one.
        sha256: of its arrays.
    """

    spec: ContrastSpec
    network: nn.Module = field(repr=False)
    sha256: str

    @property
    def representation(self) -> SlabGraph:
        """What it sees of a crystal."""
        return cast(SlabGraph, self.spec.representation)


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
    contrasts: tuple[Model, ...]
    regressions: tuple[Model, ...]
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
        made = read_rows(entries, self.contrasts[0].representation, self.max_atoms, _slab)
        reasons, outside = np.array(made.reasons, object), np.full(len(entries), "", object)
        good = np.flatnonzero(reasons == "")
        strange = unseen_elements(made.graphs, list(self.elements))
        outside[good] = ["; ".join(f"element {symbol(z)}" for z in one) for one in strange]
        # of an element that no material had, the models know a random vector
        known = np.flatnonzero([not one for one in strange])
        numbers = {name: np.full(len(entries), np.nan) for name in self.numbers}
        nearest = np.full(len(entries), None, object)
        if len(known):
            read, values = self._values(made.graphs.take(known), level)
            nearest[good[known]] = self.ids[read.nearest]
            for name, own in values.items():
                numbers[name][good[known]] = own
        silent = good[~np.isfinite(numbers["work_function"][good])]
        reasons[silent] = [why_silent(outside[row]) for row in silent]
        return PredictedSlabs(
            ids=[entry.id for entry in entries],
            numbers=numbers,
            nearest=nearest.tolist(),
            outside=outside.tolist(),
            reasons=reasons.tolist(),
        )

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the columns of numbers."""
        return tuple(name for name in NUMBERS if name != REGRESSION or self.regressions)

    def _values(self, graphs: Columns, level: float) -> tuple[Read, dict[str, np.ndarray]]:
        """Of slabs of which all elements are known."""
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
        return read, values


def _slab(target: str, crystal: Crystal) -> None:
    """Refuses a crystal without vacuum; there is no potential whose height could differ."""
    demand_slab(crystal, height_of(crystal))
