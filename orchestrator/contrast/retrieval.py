"""Retrieval on the test part: the trained encoders beside look-ups, chance and untrained ones.

Legend: G materials of the test part, T those that were learned from, D dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np

from analysis.grouped import grouped, mean_interval
from analysis.retrieval import (
    TOPS,
    chance,
    composition_distances,
    correlations,
    curve_ends,
    depths,
    hits,
    profile_distances,
    ranks,
    similarity,
    through_neighbours,
)
from trainables.crystals.split import Split
from trainables.representations.pairs import Pairs
from trainables.training.contrast_spec import NEAR

TO_PROFILE, TO_CRYSTAL = "crystal_to_profile", "profile_to_crystal"
WAYS = {TO_PROFILE: "crystal → profile", TO_CRYSTAL: "profile → crystal"}
ENSEMBLE, MEMBER, COMPOSITION, UNTRAINED = "ensemble", "member", "composition", "untrained"
GEOMETRY, CHANCE = "geometry", "chance"
BASELINES = (GEOMETRY, COMPOSITION, UNTRAINED)
METHODS = {
    ENSEMBLE: "ensemble",
    MEMBER: "one member",
    GEOMETRY: "atoms as Gaussians",
    COMPOSITION: "nearest composition",
    UNTRAINED: "untrained",
    CHANCE: "chance",
}  # and their names in print

Arrays = Mapping[str, np.ndarray]


def alike(members: Sequence[Arrays], queries: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Cosines of the crystals at `queries` and the profiles at `others`, mean over the members."""
    vectors = [(one["embeddings/crystal"], one["embeddings/profile"]) for one in members]
    return similarity([(crystal[queries], profile[others]) for crystal, profile in vectors])


def untrained(members: Sequence[Arrays]) -> list[Arrays]:
    """The arrays of the members' initial weights, by the names of the trained ones."""
    before = "untrained/"
    return [
        {name.removeprefix(before): one[name] for name in one if name.startswith(before)}
        for one in members
    ]


class Retrieval:
    """Each test material's partner, looked for among all test materials.

    Args:
        pairs: all materials.
        split: of them.
        members: arrays of the ensemble's models.
    """

    def __init__(self, pairs: Pairs, split: Split, members: Sequence[Arrays]) -> None:
        self._pairs, self._split, self._members = pairs, split, members
        self.formulas = np.asarray(pairs.formulas)[split.test]

    @cached_property
    def scores(self) -> dict[str, np.ndarray]:
        """Method -> [2, G, G]: from crystals (rows) to profiles, and from profiles to crystals."""
        test, members = self._split.test, self._members
        of_crystals = {
            ENSEMBLE: alike(members, test, test),
            MEMBER: alike(members[:1], test, test),
            UNTRAINED: alike(untrained(members), test, test),
            GEOMETRY: self._of_geometry(),
        }
        found = {name: np.stack([one, one.T]) for name, one in of_crystals.items()}
        return found | {COMPOSITION: self._looked_up()}

    def _of_geometry(self) -> np.ndarray:
        pairs, test = self._pairs, self._split.test
        return correlations(pairs.atoms[test], depths(pairs.data.target[test], pairs.vacuum[test]))

    def _looked_up(self) -> np.ndarray:
        pairs, (train, test) = self._pairs, (self._split.train, self._split.test)
        shares = composition_distances(pairs.composition[test], pairs.composition[train])
        profiles = profile_distances(pairs.data.target[test], pairs.data.target[train])
        return np.stack(
            [through_neighbours(shares, profiles.T), through_neighbours(profiles, shares.T)]
        )

    @cached_property
    def near(self) -> np.ndarray:
        """[G, G] whether two profiles are the same, or nearly."""
        profiles = self._pairs.data.target[self._split.test]
        return profile_distances(profiles, profiles) < NEAR

    @cached_property
    def ranks(self) -> dict[str, np.ndarray]:
        """Method -> [2, G] ranks of the own partner."""
        return {name: np.stack([ranks(one) for one in both]) for name, both in self.scores.items()}

    def _hits(self, method: str, way: int, top: int) -> np.ndarray:
        own = np.eye(len(self.formulas), dtype=bool)
        return hits(self.scores[method][way], own, top)

    def facts(self) -> list[dict[str, Any]]:
        """Recalls of each way and method, with those of chance."""
        return [
            self._recalls(method, way, name) for way, name in enumerate(WAYS) for method in METHODS
        ]

    def _recalls(self, method: str, way: int, name: str) -> dict[str, Any]:
        size = len(self.formulas)
        if method == CHANCE:
            level = np.zeros((size, size))
            recall = {str(top): chance(size, top) for top in TOPS}
            near = {str(top): float(hits(level, self.near, top).mean()) for top in TOPS}
            return {"way": name, "method": method, "recall": recall, "near_recall": near,
                    "recall_1_interval": None, "mean_rank": (size + 1) / 2}  # fmt: skip
        scores = self.scores[method][way]
        found = {top: self._hits(method, way, top) for top in TOPS}
        return {
            "way": name,
            "method": method,
            "recall": {str(top): float(one.mean()) for top, one in found.items()},
            "near_recall": {str(top): float(hits(scores, self.near, top).mean()) for top in TOPS},
            "recall_1_interval": _within_one(mean_interval(found[1], self.formulas)),
            "mean_rank": float(self.ranks[method][way].mean()),
        }

    def curve(self) -> list[dict[str, Any]]:
        """Recall@k of each way and method, for k up to 100."""
        size = len(self.formulas)
        ends = curve_ends(size)
        return [
            {
                "way": name,
                "method": method,
                "k": ends,
                "recall": [
                    chance(size, top)
                    if method == CHANCE
                    else float(self._hits(method, way, top).mean())
                    for top in ends
                ],
            }
            for way, name in enumerate(WAYS)
            for method in METHODS
        ]

    def differences(self) -> list[dict[str, Any]]:
        """Hits of the ensemble minus those of others, by formula; none of a single formula."""
        entries = []
        for way, name in enumerate(WAYS):
            for other in BASELINES:
                for top in TOPS:
                    apart = self._hits(ENSEMBLE, way, top) - self._hits(other, way, top)
                    found = grouped(apart, self.formulas)
                    if found.pairs > 1:
                        entries.append({"way": name, "top": top, "against": other, **asdict(found)})
        return entries

    def duplicates(self) -> int:
        """Test materials with another one whose profile is nearly the same."""
        return int((self.near.sum(axis=1) > 1).sum())


def _within_one(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    """The interval of a share, cut off at 0 and 1."""
    return interval and (max(interval[0], 0.0), min(interval[1], 1.0))
