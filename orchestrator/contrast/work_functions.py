"""Work functions from the crystal alone: by a head, by retrieval, by regression; and baselines.

Legend: B materials, K members, G test materials, T those that were learned from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np

from analysis.densities import features, forest
from analysis.grouped import grouped, mean_interval
from analysis.retrieval import composition_distances, nearest
from orchestrator.contrast.readout import LEVEL, Readout, heads_of
from orchestrator.contrast.retrieval import Arrays, alike, untrained
from trainables.crystals.split import Split
from trainables.elements.handcrafted import ELEMENTS, table_of
from trainables.representations.pairs import Pairs

MEAN, COMPOSITION, TREES, UNTRAINED = "mean", "composition", "trees", "untrained"
HEAD, RETRIEVAL, REGRESSION = "head", "retrieval", "regression"
OURS = (HEAD, RETRIEVAL, REGRESSION)
METHODS = {
    HEAD: "head on the embedding",
    RETRIEVAL: "retrieval from the learned profiles",
    REGRESSION: "regression, end to end",
    UNTRAINED: "head on the untrained embedding",
    TREES: "trees on composition",
    COMPOSITION: "nearest composition",
    MEAN: "mean",
}  # and their names in print


class WorkFunctions(Readout):
    """Work functions of all materials, in eV, as those say that learned from the training part.

    Args:
        pairs: all materials.
        split: of them.
        members: arrays of the contrastive models.
        regressions: arrays of the regressions; there may be none.
        seed: of the trees.
    """

    def __init__(
        self,
        pairs: Pairs,
        split: Split,
        members: Sequence[Arrays],
        regressions: Sequence[Arrays],
        seed: int,
    ) -> None:
        super().__init__(pairs.work_function, split, members)
        self._pairs, self._seed, self._regressions = pairs, seed, regressions
        self.formulas = np.asarray(pairs.formulas)

    @cached_property
    def half_width(self) -> np.ndarray:
        """[B] half width of the head's interval."""
        return self.ensemble.half_width(LEVEL)

    @cached_property
    def library(self) -> tuple[np.ndarray, np.ndarray]:
        """[B] the training material whose profile lies nearest to each crystal, and its cosine.

        A crystal that was learned from finds others than itself.
        """
        train, everyone = self.split.train, np.arange(len(self.true))
        scores = alike(self.members, everyone, train)
        scores[train, np.arange(len(train))] = -np.inf
        best = scores.argmax(axis=1)
        return train[best], scores[everyone, best]

    @cached_property
    def values(self) -> dict[str, np.ndarray]:
        """Method -> [B] eV."""
        train = self.split.train
        found = {
            HEAD: self.ensemble.mean,
            RETRIEVAL: self.true[self.library[0]],
            UNTRAINED: self._untrained(),
            TREES: self._trees(),
            COMPOSITION: self._nearest(),
            MEAN: np.full(len(self.true), self.true[train].mean()),
        }
        if self._regressions:
            said = [one["predictions/work_function"] for one in self._regressions]
            found[REGRESSION] = self.combined(said).mean
        return found

    def _untrained(self) -> np.ndarray:
        """By the same kind of head, on the embeddings of the initial weights."""
        heads = heads_of(self.kind, untrained(self.members), self.true, self.split)
        return self.combined([one.values for one in heads]).mean

    def _nearest(self) -> np.ndarray:
        shares, train = self._pairs.composition, self.split.train
        return nearest(composition_distances(shares, shares[train])) @ self.true[train]

    def _trees(self) -> np.ndarray:
        seen = features(self._pairs.composition, table_of(ELEMENTS))
        train = self.split.train
        said = forest(seen[train], self.true[train][:, None], seen, self._seed)
        return said[:, 0]

    def errors(self, method: str, rows: np.ndarray) -> np.ndarray:
        """Absolute errors in eV of some materials."""
        return np.abs(self.values[method] - self.true)[rows]

    def facts(self) -> list[dict[str, Any]]:
        """Mean absolute errors of each method, in eV."""
        test, validation = self.split.test, self.split.validation
        return [
            {
                "method": method,
                "mae": float(self.errors(method, test).mean()),
                "interval": mean_interval(self.errors(method, test), self.formulas[test]),
                "validation_mae": float(self.errors(method, validation).mean()),
            }
            for method in METHODS
            if method in self.values
        ]

    def in_gallery(self) -> float:
        """Mean absolute error of retrieval among the test profiles, which have the own one."""
        test = self.split.test
        best = test[alike(self.members, test, test).argmax(axis=1)]
        return float(np.abs(self.true[best] - self.true[test]).mean())

    def heads_facts(self) -> dict[str, dict[str, float]]:
        """Kind of head -> errors of the ensemble, in eV."""
        test, validation = self.split.test, self.split.validation
        found = {}
        for kind, heads in self.heads.items():
            error = np.abs(self.combined([one.values for one in heads]).mean - self.true)
            found[kind] = {
                "mae": float(error[test].mean()),
                "validation_mae": float(error[validation].mean()),
            }
        return found

    def coverage(self) -> dict[str, float]:
        """How many test materials the intervals of the head hold, and how wide they are."""
        test = self.split.test
        inside = np.abs(self.ensemble.mean - self.true)[test] <= self.half_width[test]
        return {
            "level": LEVEL,
            "covered": float(inside.mean()),
            "mean_width": float(2 * self.half_width[test].mean()),
        }

    def summary(self) -> dict[str, Any]:
        """The entry of contrast.json."""
        return {
            "methods": self.facts(),
            "head": self.kind,
            "heads": self.heads_facts(),
            "interval": self.coverage(),
            "in_gallery_mae": self.in_gallery(),
            "differences": self.differences(),
        }

    def differences(self) -> list[dict[str, Any]]:
        """Absolute errors of our ways minus those of others, by formula, on the test part."""
        test = self.split.test
        pairs = [
            (ours, other)
            for place, ours in enumerate(OURS)
            for other in (*OURS[:place], UNTRAINED, TREES, COMPOSITION)
            if {ours, other} <= self.values.keys()
        ]
        entries = []
        for ours, other in pairs:
            apart = self.errors(ours, test) - self.errors(other, test)
            found = grouped(apart, self.formulas[test])
            if found.pairs > 1:
                entries.append({"method": ours, "against": other, **asdict(found)})
        return entries
