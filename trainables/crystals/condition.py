"""Conditions: what a model may learn from, within its fold.

Models under two conditions answer different questions, so they never compete.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trainables.crystals.split import VALIDATION_SHARE, Split
from trainables.crystals.symbols import NUMBERS

ORDER, SHOTS = 1, 2  # streams of random numbers, for the order of a training part and for shots
JOINED = "+"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What a model may learn from, within its fold; the defaults change nothing.

    Elements are held out inside a fold: its training and validation part lose all crystals that
    have one of them, its test part all that have none. So each crystal is tested in its own fold,
    by a model that learned from the same crystals as without the condition but for those.

    Attributes:
        train_size: crystals of the training part, the first of a random order; 0 for all.
        leave_out: symbols of the elements held out, as "O+S"; "" for none.
        shots: crystals with a held-out element that the training part keeps.

    Raises:
        ValueError: shots of no element, or a symbol that is none.
    """

    train_size: int = 0
    leave_out: str = ""
    shots: int = 0

    def __post_init__(self) -> None:
        if self.shots and not self.leave_out:
            raise ValueError("shots without an element that is held out")
        if unknown := [name for name in self._symbols if name not in NUMBERS]:
            raise ValueError(f"{unknown[0][:20]!a} is no element")

    @property
    def _symbols(self) -> list[str]:
        return self.leave_out.split(JOINED) if self.leave_out else []

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """Atomic numbers of the elements held out."""
        return tuple(NUMBERS[name] for name in self._symbols)

    def of(
        self,
        split: Split,
        fold: int,
        seed: int,
        classes: np.ndarray | None = None,
        having: np.ndarray | None = None,
    ) -> Split:
        """A fold under this condition.

        Fold and seed decide the order of the training part, and that of the crystals that it keeps
        as shots, so that a smaller part is contained in a larger one. Neither changes validation
        and test part.

        Args:
            split: the whole fold.
            classes: [B] of all crystals; then each is as frequent in a part as in the whole, and a
                part of as many crystals as there are classes has all of them.
            having: [B] bool, which crystals have an element that is held out.

        Raises:
            ValueError: the fold has fewer crystals than are asked for; a few words.
        """
        train, test, shots = split.train, split.test, split.train[:0]
        validation = split.validation
        if having is not None:
            known = split.train[having[split.train]]
            train, validation = (rows[~having[rows]] for rows in (train, validation))
            test = test[having[test]]
            shots = self._shots(known, fold, seed, classes)
        if self.train_size:
            if self.train_size > len(train):
                raise ValueError(
                    f"{len(train)} crystals may be trained on, and --train-size {self.train_size}"
                    " asks for more; name smaller sizes"
                )
            # cut from one order of the whole part, with elements held out and without
            ordered = _in_order(split.train, [seed, fold, ORDER], classes)
            train = ordered[np.isin(ordered, train)][: self.train_size]
        return Split(np.sort(np.concatenate([train, shots])), validation, test)

    def _shots(
        self, known: np.ndarray, fold: int, seed: int, classes: np.ndarray | None
    ) -> np.ndarray:
        if self.shots > len(known):
            raise ValueError(
                f"{len(known)} training crystals have {self.leave_out}, and --shots {self.shots}"
                " asks for more; name fewer"
            )
        return _in_order(known, [seed, fold, SHOTS], classes)[: self.shots]


WHOLE = Condition()


def _in_order(rows: np.ndarray, seed: list[int], classes: np.ndarray | None) -> np.ndarray:
    """The rows [b] in random order; of classes, any beginning has about the share of the whole."""
    shuffled = np.random.default_rng(seed).permutation(rows)
    if classes is None:
        return shuffled
    place = np.zeros(len(rows))
    for value in np.unique(classes[rows]):
        own = classes[shuffled] == value
        place[own] = np.arange(own.sum()) / own.sum()
    return shuffled[np.argsort(place, kind="stable")]


def usual_sizes(crystals: int, condition: Condition = WHOLE) -> tuple[int, int]:
    """How many of a data set's crystals train in an official fold, and how many validate.

    Of held-out elements it does not know.
    """
    rest = crystals - crystals // 5
    held = round(VALIDATION_SHARE * rest)
    return min(rest - held, condition.train_size or rest), held
