"""Tensors of new structures, by the mean of models.

Legend: B crystals, M models, C components of a tensor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.predict.predictor import Predictor, why_silent
from orchestrator.predict.table import Table, demand_no_members, table_of
from trainables.crystals.crystal import Entry
from trainables.representations.featurise import featurise
from trainables.targets.kinds import kind_of
from trainables.targets.tensor import Elastic, TensorKind
from trainables.tensors.scalars import stable

ZERO = 1e-12  # of the largest entry; what predictions obey their point group to


@dataclass(frozen=True, kw_only=True)
class PredictedTensors:
    """Tensors of B crystals, of which some were refused.

    Attributes:
        ids: [B].
        entries: [B] by name, of the matrices in the axes of the structures; NaN where there is
            none.
        spread: [B] mean Frobenius distance of the models to their mean; NaN of one model alone.
        stable: [B] 1 if a stiffness is positive definite, else 0; None for other tensors.
        outside, reasons: [B] as of `predictor.Predicted`.
    """

    ids: list[str]
    entries: Mapping[str, np.ndarray]
    spread: np.ndarray
    stable: np.ndarray | None
    outside: list[str]
    reasons: list[str]

    def table(self, *, members: bool) -> Table:
        """See `table.Tabular`."""
        demand_no_members(members, "a column for each model is for numbers")
        own = {**self.entries, "spread": self.spread}
        if self.stable is not None:
            own["stable"] = self.stable
        return table_of(self.ids, own, self.outside, self.reasons)


@dataclass(frozen=True)
class TensorPredictor(Predictor):
    """A `Predictor` of tensors: all its models count alike, and there are no intervals."""

    @property
    def kind(self) -> TensorKind:
        """Of the target."""
        found = kind_of(self.panel.target)
        assert isinstance(found, TensorKind)
        return found

    def predict(self, entries: Sequence[Entry], level: float) -> Any:
        """`PredictedTensors` of raw crystals, in their order; a bad one affects only itself.

        Args:
            level: of no use here.
        """
        found = featurise(entries, self.representations, self.max_atoms)
        good = np.flatnonzero([not reason for reason in found.reasons])
        mean, spread = self._mean(self.panel.predict(found.graphs), self.known(found.graphs))
        written = np.full((len(entries), *self.kind.written(mean).shape[1:]), np.nan)
        written[good] = _rounded(self.kind.written(mean))
        apart = np.full(len(entries), np.nan)
        apart[good] = spread
        outside, reasons = np.full(len(entries), "", object), np.array(found.reasons, object)
        outside[good] = self.unfamiliar(found.graphs)
        silent = good[~np.isfinite(mean).all(axis=1)]
        reasons[silent] = [why_silent(outside[place]) for place in silent]
        sound = None
        if isinstance(self.kind, Elastic):
            sound = np.full(len(entries), np.nan)
            there = np.isfinite(mean).all(axis=1)
            sound[good[there]] = stable(self.kind.form.cartesian(mean[there]))
        return PredictedTensors(
            ids=[entry.id for entry in entries],
            entries={
                name: written[(slice(None), *place)] for name, place in self.kind.entries.items()
            },
            spread=apart,
            stable=sound,
            outside=outside.tolist(),
            reasons=reasons.tolist(),
        )

    def _mean(
        self, values: Mapping[str, np.ndarray], known: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """[B, C] means over the models that know all elements, and [B] their spread."""
        each = np.stack([np.where(known[key][:, None], own, np.nan) for key, own in values.items()])
        there = np.isfinite(each).all(axis=2)
        number = np.where(there.any(axis=0), there.sum(axis=0), np.nan)
        mean = np.where(there[:, :, None], each, 0).sum(axis=0) / number[:, None]
        apart = np.where(there, np.linalg.norm(each - mean, axis=2), 0).sum(axis=0) / number
        return mean, np.where(number > 1, apart, np.nan)


def _rounded(matrices: np.ndarray) -> np.ndarray:
    """[B, …] matrices, with zeros where the point group wants them and rounding left something."""
    largest = np.abs(matrices).max(axis=(1, 2), keepdims=True)
    return np.where(np.abs(matrices) < ZERO * largest, 0.0, matrices)
