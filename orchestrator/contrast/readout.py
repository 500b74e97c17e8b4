"""Work functions read from embeddings: of a run's own materials, and of new ones alike.

Legend: B materials of the run, N new ones, T those that were learned from, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.embedding_heads import HEADS, Combined, Head, combined, gathered, head
from analysis.retrieval import similarity
from orchestrator.contrast.retrieval import Arrays
from trainables.crystals.split import Split

LEVEL = 0.95


@dataclass(frozen=True)
class Read:
    """What embeddings say of N materials.

    Attributes:
        mean, half_width: [N] eV, of the head and its interval.
        nearest: [N] the material of the training part whose profile lies nearest.
        similarity: [N] its cosine.
    """

    mean: np.ndarray
    half_width: np.ndarray
    nearest: np.ndarray
    similarity: np.ndarray


class Readout:
    """Heads on frozen embeddings, fitted to the training part and chosen on validation.

    Args:
        true: [B] eV.
        split: of the materials.
        members: arrays of the contrastive models.
    """

    def __init__(self, true: np.ndarray, split: Split, members: Sequence[Arrays]) -> None:
        self.true, self.split, self.members = true, split, members

    @cached_property
    def heads(self) -> dict[str, list[Head]]:
        """Kind -> the head of each member."""
        return {kind: heads_of(kind, self.members, self.true, self.split) for kind in HEADS}

    @cached_property
    def kind(self) -> str:
        """The kind of head with the lower error on the validation part, mean over the members."""
        return min(self.heads, key=lambda kind: np.mean([one.error for one in self.heads[kind]]))

    def combined(self, members: Sequence[np.ndarray]) -> Combined:
        """Predictions [B] of the members as one, calibrated on the validation part."""
        return combined(np.stack(members), self.true, self.split.validation)

    @cached_property
    def ensemble(self) -> Combined:
        """The heads of all members."""
        return self.combined([one.values for one in self.heads[self.kind]])

    def read(
        self, features: Sequence[np.ndarray], crystals: Sequence[np.ndarray], level: float
    ) -> Read:
        """New materials, by the embeddings that the members make of their crystals.

        Args:
            features: [N, D] of each member, before the projection.
            crystals: [N, D] unit vectors of each member.
            level: probability that an interval holds the work function.
        """
        heads = zip(self.heads[self.kind], features, strict=True)
        mean, deviation = gathered(np.stack([one.predict(seen) for one, seen in heads]))
        train = self.split.train
        profiles = [one["embeddings/profile"][train] for one in self.members]
        scores = similarity(list(zip(crystals, profiles, strict=True)))
        best = scores.argmax(axis=1)
        return Read(
            mean=mean,
            half_width=self.ensemble.spread.half_width(deviation, level),
            nearest=train[best],
            similarity=scores[np.arange(len(scores)), best],
        )


def heads_of(kind: str, members: Sequence[Arrays], true: np.ndarray, split: Split) -> list[Head]:
    """The head of each member, of one kind."""
    return [
        head(kind, one["features/crystal"], true, split.train, split.validation) for one in members
    ]
