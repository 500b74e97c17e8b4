"""Conditions: what a model may learn from, within its fold.

Models under two conditions answer different questions, so they never compete.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainables.crystals.split import VALIDATION_SHARE, Split

ORDER = 1  # the stream of random numbers of a training part's order


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What a model may learn from, within its fold; the defaults change nothing.

    Attributes:
        train_size: crystals of the training part, the first of a random order; 0 for all.
    """

    train_size: int = 0

    @property
    def text(self) -> str:
        """In words, as "train size 100"; "" for none."""
        return f"train size {self.train_size}" if self.train_size else ""

    def of(self, split: Split, fold: int, seed: int, classes: np.ndarray | None = None) -> Split:
        """A fold under this condition; its validation and test part are unchanged.

        Fold and seed decide the order of the training part, so that a smaller part is contained in
        a larger one.

        Args:
            split: the whole fold.
            classes: [B] of all crystals; then each is as frequent in a part as in the whole, and a
                part of as many crystals as there are classes has all of them.

        Raises:
            ValueError: more crystals are wanted than the training part has; a few words.
        """
        if not self.train_size:
            return split
        if self.train_size > len(split.train):
            raise ValueError(
                f"{len(split.train)} crystals may be trained on, and --train-size"
                f" {self.train_size} asks for more; name smaller sizes"
            )
        rows = _in_order(split.train, fold, seed, classes)[: self.train_size]
        return Split(np.sort(rows), split.validation, split.test)


WHOLE = Condition()


def _in_order(rows: np.ndarray, fold: int, seed: int, classes: np.ndarray | None) -> np.ndarray:
    """The rows [b] in random order; of classes, any beginning has about the share of the whole."""
    shuffled = np.random.default_rng([seed, fold, ORDER]).permutation(rows)
    if classes is None:
        return shuffled
    place = np.zeros(len(rows))
    for value in np.unique(classes[rows]):
        own = classes[shuffled] == value
        place[own] = np.arange(own.sum()) / own.sum()
    return shuffled[np.argsort(place, kind="stable")]


def usual_sizes(crystals: int, condition: Condition = WHOLE) -> tuple[int, int]:
    """How many of a data set's crystals train in an official fold, and how many validate."""
    rest = crystals - crystals // 5
    held = round(VALIDATION_SHARE * rest)
    return min(rest - held, condition.train_size or rest), held
