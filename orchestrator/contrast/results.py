"""From records to what a run found: of all that it learned from, and of each smaller part.

Legend: B materials, G test materials.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.contrast.retrieval import (
    ENSEMBLE,
    MEMBER,
    TO_CRYSTAL,
    TO_PROFILE,
    Arrays,
    Retrieval,
)
from orchestrator.contrast.work_functions import HEAD, METHODS, WorkFunctions
from orchestrator.runs.records import DONE, Records
from trainables.crystals.split import Split
from trainables.representations.pairs import Pairs

PAIRS, WORK_FUNCTION = "pairs", "work_function"  # what a model learns
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Learned:
    """The models that learned from one number of materials.

    Attributes:
        size: asked for; None for all of the training part.
        rows: of the ledger, of the models that are done.
        contrasts, regressions: their arrays, by member.
    """

    pairs: Pairs
    size: int | None
    rows: pd.DataFrame
    contrasts: tuple[Arrays, ...]
    regressions: tuple[Arrays, ...]
    seed: int

    @cached_property
    def split(self) -> Split:
        """As the models had it."""
        return Split(*(self.contrasts[0][f"split/{part}"] for part in PARTS))

    @cached_property
    def retrieval(self) -> Retrieval:
        """On the test part."""
        return Retrieval(self.pairs, self.split, self.contrasts)

    @cached_property
    def work_functions(self) -> WorkFunctions:
        """By all ways."""
        return WorkFunctions(self.pairs, self.split, self.contrasts, self.regressions, self.seed)

    def alone(self) -> Learned:
        """The first model of each kind: as many as smaller parts have, beside it in a curve."""
        return replace(self, contrasts=self.contrasts[:1], regressions=self.regressions[:1])

    def cost(self) -> list[dict[str, Any]]:
        """What the models of each kind took."""
        entries = []
        for learns, rows in self.rows.groupby("learns", sort=False):
            seconds = float(rows["seconds"].sum())
            seen = int((rows["epochs"] * rows["n_train"]).sum())
            entries.append(
                {
                    "learns": str(learns),
                    "models": len(rows),
                    "parameters": int(rows["parameters"].iloc[0]),
                    "epochs": rows["epochs"].astype(int).tolist(),
                    "best_epochs": (rows["best_epoch"].astype(int) + 1).tolist(),
                    "seconds": seconds,
                    "materials_per_second": seen / max(seconds, 1e-9),
                    "validation_error": float(rows["val_error"].mean()),
                    "test_error": float(rows["test_error"].mean()),
                }
            )
        return entries

    def of_contrast(self, column: str) -> float:
        """Mean of a column of the ledger over the contrastive models."""
        return float(self.rows.loc[self.rows["learns"] == PAIRS, column].mean())

    def point(self) -> dict[str, Any]:
        """The entry of a learning curve, of one model of each kind."""
        one = self.alone()
        recalls = {
            row["way"]: row["recall"] for row in one.retrieval.facts() if row["method"] == MEMBER
        }
        return {
            "materials": len(self.split.train),
            "work_functions": one.work_functions.facts(),
            "differences": one.work_functions.differences(),
            "recall": recalls,
        }

    def embeddings(self) -> Iterator[dict[str, Any]]:
        """Rows of contrast_embeddings.parquet."""
        part, true = part_of(self.split, len(self.pairs)), self.pairs.work_function
        for member, arrays in enumerate(self.contrasts):
            for row in np.flatnonzero(part != "").tolist():
                yield self._named(row, part) | {
                    "work_function": true[row],
                    "member": member,
                    "crystal": arrays["embeddings/crystal"][row],
                    "profile": arrays["embeddings/profile"][row],
                }

    def _named(self, row: int, part: np.ndarray) -> dict[str, Any]:
        return {
            "id": str(self.pairs.data.ids[row]),
            "formula": str(self.pairs.formulas[row]),
            "part": str(part[row]),
        }

    def predictions(self) -> Iterator[dict[str, Any]]:
        """Rows of contrast_predictions.parquet: materials that were not learned from."""
        part, found = part_of(self.split, len(self.pairs)), self.work_functions
        place_of = {row: place for place, row in enumerate(self.split.test.tolist())}
        ids, profiles = self.pairs.data.ids, self.pairs.data.target
        nearest, similarity = found.library
        for row in [*self.split.test.tolist(), *self.split.validation.tolist()]:
            half = found.half_width[row]
            yield (
                self._named(row, part)
                | {
                    method: found.values[method][row]
                    for method in METHODS
                    if method in found.values
                }
                | {
                    "work_function": found.true[row],
                    "vacuum_bottom": self.pairs.vacuum[row, 0],
                    "vacuum_top": self.pairs.vacuum[row, 1],
                    "head_deviation": found.ensemble.deviation[row],
                    "head_lower": found.values[HEAD][row] - half,
                    "head_upper": found.values[HEAD][row] + half,
                    "nearest": str(ids[nearest[row]]),
                    "nearest_similarity": similarity[row],
                    "profile": profiles[row],
                    "nearest_profile": profiles[nearest[row]],
                }
                | self._ranks(place_of.get(row))
            )

    def _ranks(self, place: int | None) -> dict[str, float]:
        """Of a test material; none of others."""
        if place is None:
            return {}
        found = self.retrieval.ranks
        ways = enumerate((TO_PROFILE, TO_CRYSTAL))
        return {
            f"{before}rank_{way.partition('_')[2]}": float(found[method][at, place])
            for at, way in ways
            for before, method in (("", ENSEMBLE), ("member_", MEMBER))
        }


def part_of(split: Split, total: int) -> np.ndarray:
    """[B] the name of the part of each material; "" of one that is in none."""
    found = np.full(total, "", dtype="<U10")
    for name in PARTS:
        found[getattr(split, name)] = name
    return found


def learned_of(ledger: pd.DataFrame, records: Records, pairs: Pairs, seed: int) -> list[Learned]:
    """What was learned from all that may be, first, and from smaller parts, largest first.

    A part without a contrastive model that is done is left out.
    """
    done = ledger[ledger["status"] == DONE].sort_values("member", kind="stable")
    sizes = sorted({_size(one) for one in done["size"]}, key=lambda one: -(one or np.inf))
    found = []
    for size in sizes:
        rows = done[[_size(one) == size for one in done["size"]]]
        of = {kind: rows.loc[rows["learns"] == kind, "key"] for kind in (PAIRS, WORK_FUNCTION)}
        if len(of[PAIRS]):
            arrays = {kind: tuple(map(records.arrays, keys)) for kind, keys in of.items()}
            found.append(Learned(pairs, size, rows, arrays[PAIRS], arrays[WORK_FUNCTION], seed))
    return found


def _size(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)
