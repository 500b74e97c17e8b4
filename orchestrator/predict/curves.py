"""Densities of states of new crystals by the ensembles of a run of `dos`.

Legend: N crystals, B those that the models know, K members of a fold, L energies.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np

from analysis.densities import at_zero
from analysis.ensemble.spread import Spread
from orchestrator.interface.format import counted
from orchestrator.predict.networks import Known, Model
from orchestrator.predict.table import Table, demand_no_members, table_of
from trainables.crystals.crystal import Entry
from trainables.representations.columns import Columns
from trainables.representations.featurise import featurise
from trainables.representations.graph import CrystalGraph
from trainables.training.checkpoint import unseen_elements
from trainables.training.density_models import densities
from trainables.training.density_spec import DensitySpec

# The columns, of which those at the Fermi level are there if the energies reach one.
FERMI, FERMI_DEVIATION = "at_fermi", "at_fermi_deviation"
DENSITY, DEVIATION = "density", "deviation"  # with an energy behind: density_-1.5


@dataclass(frozen=True, kw_only=True)
class PredictedCurves:
    """Densities of N crystals, of which some were refused.

    Attributes:
        ids: [N].
        energies: [L].
        values: by column, [N], or [N, L] if there is one for each energy; NaN where there is no
            prediction.
        outside, reasons: [N] as of `predictor.Predicted`.
    """

    ids: list[str]
    energies: np.ndarray
    values: Mapping[str, np.ndarray]
    outside: list[str]
    reasons: list[str]

    def table(self, *, members: bool) -> Table:
        """See `table.Tabular`."""
        demand_no_members(members, "a run of dos has none in the table")
        own: dict[str, np.ndarray] = {}
        for name, values in self.values.items():
            if values.ndim == 1:
                own[name] = values
            else:
                names = [f"{name}_{energy}" for energy in labels(self.energies)]
                own |= dict(zip(names, values.T, strict=True))
        return table_of(self.ids, own, self.outside, self.reasons)


def labels(energies: np.ndarray) -> list[str]:
    """[L] evenly spaced energies as text, to a ten-thousandth of their spacing."""
    digits = max(0, 4 - math.floor(math.log10(energies[1] - energies[0])))
    rounded = np.round(energies, digits) + 0.0  # or one would be -0
    return [np.format_float_positional(energy, trim="-") for energy in rounded]


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """The networks of one fold.

    Attributes:
        fold: in which they were tested.
        models: by member; at least two.
        elements: by member, atomic numbers in what it trained on, without the part held back.
    """

    fold: int
    models: tuple[Model[DensitySpec], ...]
    elements: tuple[tuple[int, ...], ...]

    def predict(self, graphs: Columns) -> dict[str, np.ndarray]:
        """The values of `PredictedCurves`, by the models that know all elements of a crystal.

        NaN if there is none, and deviations if there is one.
        """
        window = self.models[0].spec.window
        said_kbl = np.full((len(self.models), len(graphs), window.points), np.nan)
        for said_bl, model, elements in zip(said_kbl, self.models, self.elements, strict=True):
            strange = unseen_elements(graphs, list(elements))
            known = np.flatnonzero([not one for one in strange])
            if len(known):
                said_bl[known] = densities(model.network, model.spec, graphs.take(known))
        found: dict[str, np.ndarray] = {}
        if window.fermi and window.low <= 0 <= window.high:
            fermi_kb = at_zero(window.energies, said_kbl)
            found |= {FERMI: _mean(fermi_kb), FERMI_DEVIATION: _deviation(fermi_kb)}
        return found | {DENSITY: _mean(said_kbl), DEVIATION: _deviation(said_kbl)}


def _mean(values: np.ndarray) -> np.ndarray:
    """[B, …] means of values [K, B, …] that are not NaN; NaN where all are."""
    return _known(values).mean(axis=0).filled(np.nan)


def _deviation(values: np.ndarray) -> np.ndarray:
    """[B, …] standard deviations of values [K, B, …] that are not NaN; NaN of fewer than two."""
    return _known(values).std(axis=0, ddof=1).filled(np.nan)


def _known(values: np.ndarray) -> np.ma.MaskedArray:
    return np.ma.masked_where(np.isnan(values), values)


@dataclass(frozen=True, kw_only=True)
class CurvePredictor:
    """What a run of `dos` says of new crystals.

    Attributes:
        name: of its data.
        ensembles: of its folds, which are averaged.
        max_atoms: of a crystal.
    """

    name: str
    ensembles: tuple[Ensemble, ...]
    max_atoms: int

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of what determines the predictions."""
        folds = [
            [one.fold, one.elements, [model.sha256 for model in one.models]]
            for one in self.ensembles
        ]
        return hashlib.sha256(json.dumps([self.max_atoms, folds]).encode()).hexdigest()

    @property
    def spreads(self) -> list[Spread]:
        """There are no intervals, but deviations of the members."""
        return []

    def described(self) -> list[str]:
        """Lines on what predicts."""
        window = self._spec.window
        of, unit = ("electrons", "eV") if window.fermi else ("phonons", "in the unit of the file")
        networks = counted(sum(len(one.models) for one in self.ensembles), "network")
        return [
            f"{self.name}: density of states of {of}, scaled to the maximum 1 of each crystal, at"
            f" {window.points} energies from {window.low:g} to {window.high:g} {unit}, by"
            f" {networks} of {counted(len(self.ensembles), 'fold')}, which are averaged"
        ]

    def predict(self, entries: Sequence[Entry], level: float) -> PredictedCurves:
        """Predictions for raw crystals, in their order; a bad one affects only itself.

        Args:
            level: of no use here.
        """
        kind = cast(CrystalGraph, self._spec.representation)
        made = featurise(entries, [kind], self.max_atoms)
        elements = {z for one in self.ensembles for own in one.elements for z in own}
        known = Known(made.reasons, made.graphs[kind.name], elements)
        each = [one.predict(known.graphs) for one in self.ensembles]
        values = {
            # over the folds that know all elements of a crystal
            name: known.placed(_mean(np.array([one[name] for one in each])))
            for name in each[0]
        }
        return PredictedCurves(
            ids=[entry.id for entry in entries],
            energies=self._spec.window.energies,
            values=values,
            outside=known.outside.tolist(),
            reasons=known.reasons(values[DENSITY].sum(axis=1)),
        )

    @property
    def _spec(self) -> DensitySpec:
        """What the models have in common."""
        return self.ensembles[0].models[0].spec
