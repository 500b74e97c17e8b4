"""Models of several folds as one predictor, with intervals, and a flag for what is unfamiliar.

Each fold's ensemble predicts with the weights and the spread that its validation part gave it, and
the folds are averaged.

Legend: B crystals, F folds, K models of a column, M columns, T levels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from analysis.ensemble.combining import combine_inner
from analysis.ensemble.spread import Spread
from analysis.novelty import Reference
from orchestrator.interface.format import counted, significant
from orchestrator.predict.table import Table, numbers, table_of
from trainables.crystals.crystal import Entry
from trainables.crystals.symbols import symbol
from trainables.representations.columns import Columns, Scope
from trainables.representations.featurise import featurise
from trainables.representations.graph import CrystalGraph
from trainables.training.panel import Panel

NUMBERS = ("prediction", "std", "lower", "upper")
FAR, LONELY = "far from the training data", "few neighbours"


@dataclass(frozen=True, kw_only=True)
class FoldEnsemble:
    """The models of one fold.

    Attributes:
        columns: [M] keys of the models that an ensemble combines as one, as of `ensemble`.
        weights: [M], sum 1.
        spread: of their deviation; None for classes.
        familiar: what one of the models has learned from; None if that is not known.
        reference: the key of this model.
        fewest: by representation, the least number of neighbours that an atom has of the crystals
            that the fold learned from or validated on; {} if that is not known.
    """

    fold: int
    columns: tuple[tuple[str, ...], ...]
    weights: np.ndarray
    spread: Spread | None = field(repr=False)
    familiar: Reference | None = field(repr=False)
    reference: str
    fewest: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """Predictions for B crystals, of which some were refused.

    Attributes:
        ids: [B].
        prediction, std, lower, upper: [B], NaN where there is none.
        outside: [B] in what a crystal is unlike the training data; "" if in nothing.
        reasons: [B] why there is no prediction, or "".
        members: [B] by key of the model.
    """

    ids: list[str]
    prediction: np.ndarray
    std: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    outside: list[str]
    reasons: list[str]
    members: Mapping[str, np.ndarray] = field(repr=False)

    def table(self, *, members: bool) -> Table:
        """See `table.Tabular`; columns of models are named by their keys."""
        own = {name: getattr(self, name) for name in NUMBERS}
        each = sorted(self.members.items()) if members else []
        found = table_of(self.ids, own, self.outside, self.reasons)
        return found | {key: numbers(values) for key, values in each}


@dataclass(frozen=True)
class Predictor:
    """What a run's models say of new crystals.

    Attributes:
        facts: task, target, unit, classes and the like, as they are shown.
        panel: the models.
        folds: their ensembles.
        max_atoms: of a crystal.
    """

    facts: Mapping[str, Any]
    panel: Panel
    folds: tuple[FoldEnsemble, ...]
    max_atoms: int

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of what determines the predictions."""
        digest = hashlib.sha256(json.dumps([self.max_atoms, sorted(self.panel.rows)]).encode())
        for fold in self.folds:
            own = [fold.fold, fold.columns, fold.weights.tolist(), dict(fold.fewest)]
            digest.update(json.dumps(own).encode())
            if fold.spread is not None:
                digest.update(json.dumps([fold.spread.floor, fold.spread.scale]).encode())
                digest.update(fold.spread.ratios.tobytes())
            if fold.familiar is not None:
                digest.update(json.dumps([fold.reference, fold.familiar.unit]).encode())
                digest.update(fold.familiar.features.tobytes())
        return digest.hexdigest()

    @property
    def spreads(self) -> list[Spread]:
        """By which intervals are made; none of classes."""
        return [fold.spread for fold in self.folds if fold.spread is not None]

    def described(self) -> list[str]:
        """Lines on what predicts, and on what its flag is worth."""
        facts = self.facts
        unit = f" ({facts['unit']})" if facts["unit"] else ""
        if facts["kind"] == "binary":
            unit = f" (probability of {(facts['classes'] or ['', 'class 1'])[1]})"
        models = counted(len(self.panel.rows), "model")
        folds = counted(len(self.folds), "fold")
        told = [f"{facts['task']}: {facts['target']}{unit}, by {models} of {folds}"]
        held = facts["held_out"] or {}
        if held.get("error_outside") is not None and held.get("error_inside") is not None:
            share = 100 * held["outside"] / held["crystals"]
            told.append(
                f"of its test crystals {share:.0f} % are marked as outside the training data: their"
                f" mean error is {significant(held['error_outside'])}, that of the others"
                f" {significant(held['error_inside'])}"
            )
        if self.spreads and all(len(fold.columns) == 1 for fold in self.folds):
            told.append(
                "the models of a fold are one configuration, so std and interval are the same for"
                " all structures; a fit with more --minutes has several"
            )
        return told

    @property
    def representations(self) -> list[CrystalGraph]:
        """What the models see of a crystal."""
        return self.panel.representations

    def predict(self, entries: Sequence[Entry], level: float) -> Predicted:
        """Predictions for raw crystals, in their order; a bad one affects only itself.

        Args:
            level: probability that an interval holds the target.
        """
        found = featurise(entries, self.representations, self.max_atoms)
        good = np.flatnonzero([not reason for reason in found.reasons])
        values = self.panel.predict(found.graphs)
        known = self.known(found.graphs)
        joined = np.full((4, len(entries)), np.nan)
        joined[:, good] = self.combined(values, known, level)
        joined[:, ~np.isfinite(joined[0])] = np.nan
        outside, reasons = np.full(len(entries), "", object), np.array(found.reasons, object)
        outside[good] = self.unfamiliar(found.graphs)
        silent = good[np.isnan(joined[0, good])]
        reasons[silent] = [why_silent(outside[place]) for place in silent]
        members = {key: np.full(len(entries), np.nan) for key in values}
        for key, own in members.items():
            own[good] = np.where(known[key], values[key], np.nan)
        return Predicted(
            ids=[entry.id for entry in entries],
            prediction=joined[0],
            std=joined[1],
            lower=joined[2],
            upper=joined[3],
            outside=outside.tolist(),
            reasons=reasons.tolist(),
            members=members,
        )

    def known(self, graphs: Mapping[str, Columns]) -> dict[str, np.ndarray]:
        """[B] by key: whether a model can say something of all elements of a crystal."""
        first = next(iter(graphs.values()))
        found: dict[bytes, np.ndarray] = {}
        for known in self.panel.knows.values():
            if known.tobytes() not in found:
                strange = np.bincount(first.node_crystal[~known[first.z]], minlength=len(first))
                found[known.tobytes()] = strange == 0
        return {key: found[known.tobytes()] for key, known in self.panel.knows.items()}

    def combined(
        self,
        values: Mapping[str, np.ndarray],
        known: Mapping[str, np.ndarray],
        level: float,
        folds: Sequence[FoldEnsemble] | None = None,
    ) -> np.ndarray:
        """Prediction, standard deviation and ends of the interval, [4, B].

        Args:
            values, known: [B] by key of the model.
            folds: those that are averaged; all unless given.
        """
        sums = [_of_fold(fold, values, known, level) for fold in folds or self.folds]
        stacked = np.stack(sums)  # [F, 3, B]
        there = ~np.isnan(stacked)
        number = np.where(there.any(axis=0), there.sum(axis=0), np.nan)
        mean, std, half = np.where(there, stacked, 0).sum(axis=0) / number
        return np.stack([mean, std, mean - half, mean + half])

    def unfamiliar(
        self, graphs: Mapping[str, Columns], folds: Sequence[FoldEnsemble] | None = None
    ) -> list[str]:
        """[B] in what crystals are unlike those that the models have learned from.

        Args:
            folds: whose training data count; all unless given.
        """
        folds = folds or self.folds
        first = next(iter(graphs.values()))
        if not len(first):
            return []
        lists: list[list[str]] = [
            [f"element {symbol(z)}" for z in strange] for strange in self._strange(first, folds)
        ]
        few = np.zeros(len(first), bool)
        for name, own in graphs.items():
            known = [fold.fewest[name] for fold in folds if fold.fewest]
            # without neighbours a network sees an element alone, also where training data have that
            few |= fewest_neighbours(own) < max(1, min(known, default=1))
        far = self._distance(graphs, folds) > 1
        for place, told in enumerate(lists):
            told += [name for name, flag in ((LONELY, few), (FAR, far)) if flag[place]]
        return ["; ".join(told) for told in lists]

    def _strange(self, graphs: Columns, folds: Sequence[FoldEnsemble]) -> Iterator[list[int]]:
        """Elements that no model of the folds has met, of each crystal."""
        keys = {key for fold in folds for column in fold.columns for key in column}
        met = {z for key in keys for z in self.panel.rows[key]["elements"]}
        for start, end in zip(graphs.node_ptr[:-1], graphs.node_ptr[1:], strict=True):
            yield sorted(set(graphs.z[start:end].tolist()) - met)

    def _distance(self, graphs: Mapping[str, Columns], folds: Sequence[FoldEnsemble]) -> np.ndarray:
        """[B] mean distance to the training data of the folds, of which 1 is still ordinary."""
        own = [(fold.reference, fold.familiar) for fold in folds if fold.familiar is not None]
        if not own:
            return np.zeros(len(next(iter(graphs.values()))))
        features = self.panel.features(graphs, [key for key, _ in own])
        return np.mean([reference.distance(features[key]) for key, reference in own], axis=0)


def _of_fold(
    fold: FoldEnsemble,
    values: Mapping[str, np.ndarray],
    known: Mapping[str, np.ndarray],
    level: float,
) -> np.ndarray:
    """Mean, standard deviation and half width of the interval, [3, B]; NaN where no model knows.

    A crystal with an element that some columns do not know is predicted by the others, without an
    interval: the spread is that of all of them.
    """
    each = np.array([[values[key] for key in keys] for keys in zip(*fold.columns, strict=True)])
    usable = np.array([[known[key] for key in column] for column in fold.columns]).all(axis=1)
    found = np.full((3, each.shape[2]), np.nan)
    patterns, of = np.unique(usable, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        chosen, weights = np.ravel(of) == number, fold.weights * pattern
        if not weights.sum():
            continue
        mean, deviation = combine_inner(weights / weights.sum(), each[:, :, chosen])
        found[0, chosen] = mean
        if fold.spread is not None and pattern.all():
            found[1, chosen] = fold.spread.standard(deviation)
            found[2, chosen] = fold.spread.half_width(deviation, level)
    return found


def why_silent(outside: str) -> str:
    """Why there is no prediction for a crystal that was not refused."""
    if outside:
        return f"no model can say anything: {outside}"
    return "the models' prediction is no finite number"


def fewest_neighbours(graphs: Columns) -> np.ndarray:
    """[B] neighbours of the atom that has the fewest; 0 for a crystal without atoms."""
    base = graphs.ptr(Scope.NODE)[:-1][graphs.edge_crystal]
    count = getattr(graphs, "count", np.ones(graphs.edges))
    dst: np.ndarray = graphs.dst  # type: ignore[attr-defined]
    nodes = np.bincount(dst + base, count, minlength=graphs.nodes)
    least = np.full(len(graphs), np.inf)
    np.minimum.at(least, graphs.node_crystal, nodes)
    return np.where(np.isfinite(least), least, 0)
