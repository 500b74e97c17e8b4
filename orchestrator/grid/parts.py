"""What the models of a grid may learn from, and whether the parts of its folds suffice for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from orchestrator.grid.conditions import EACH, GROUPS, LEAST, joined, name_of
from orchestrator.grid.config import GridConfig
from orchestrator.interface.errors import UsageError
from orchestrator.interface.format import counted
from trainables.crystals.condition import Condition
from trainables.crystals.split import InnerFold, Split
from trainables.crystals.symbols import SYMBOLS
from trainables.representations.dataset import Dataset, under, whole_fold

Datasets = Mapping[tuple[str, str], Dataset]


@dataclass(frozen=True)
class _Place:
    """A whole fold, and the inner fold that is held back in it; None for the usual split."""

    whole: Split
    fold: int
    seed: int
    inner: InnerFold | None

    @property
    def text(self) -> str:
        held = self.inner
        back = "" if held is None else f", with part {held.number} of {held.of} held back"
        return f"of fold {self.fold}{back}"


def conditions_of(config: GridConfig, datasets: Datasets) -> dict[str, list[Condition]]:
    """What models learn from, of each data set; `--leave-out elements` depends on what it has.

    Elements and classes are held out in turn if `LEAST` crystals have them and each part of each
    fold suffices; what is passed over for that is said in one line.

    Raises:
        UsageError: a data set has no such element or class; or a fold has nothing to train on, to
            validate on or to test. Whole parts may be quarantined (by a high --max-bad), withheld,
            or missing in a given split; and a condition may ask for more than a fold has.
    """
    asked = [word for word in EACH if word in (config.leave_out or ())]
    found = {}
    for (task, backbone), dataset in datasets.items():
        if backbone != config.backbones[0]:
            continue
        places = [
            _Place(whole, fold, seed, inner)
            for fold, seed in product(config.folds, config.seed)
            for whole in [whole_fold(dataset, fold, seed)]
            for inner in _inner_folds(config)
        ]
        held = {word: _in_turn(config, task, word, dataset, places) for word in asked}
        found[task] = config.conditions(held)
        for place, condition in product(places, found[task]):
            if why := _why_not(dataset, place, condition):
                raise UsageError(f"{task}: {place.text}, {why}")
    return found


def _inner_folds(config: GridConfig) -> Sequence[InnerFold | None]:
    """What the models of a configuration hold back; None for the usual validation part."""
    of = config.inner_folds
    return [None] if of is None else [InnerFold(number, of) for number in range(of)]


def common(word: str, having: Callable[[Sequence[int]], np.ndarray]) -> list[str]:
    """The elements or classes, by a word of `EACH`, that at least `LEAST` crystals have.

    Args:
        having: as of `Dataset`.
    """
    sets = {"elements": [[z] for z in range(1, len(SYMBOLS))], "groups": list(GROUPS.values())}
    return [joined(numbers) for numbers in sets[word] if having(numbers).sum() >= LEAST]


def _in_turn(
    config: GridConfig, task: str, word: str, dataset: Dataset, places: Sequence[_Place]
) -> list[str]:
    found = common(word, dataset.having)
    kept = []
    for name in found:
        asked = config.model_copy(update={"leave_out": (name,)}).conditions({})
        if not any(_why_not(dataset, place, one) for place in places for one in asked):
            kept.append(name)
    if not kept:
        raise UsageError(
            f"--leave-out {word}: no {EACH[word]} of {task} is in {LEAST} crystals, with some in"
            " every test part and the crystals that --shots asks for in every training part; name"
            " what to hold out"
        )
    if passed := [name_of(name) for name in found if name not in kept]:
        print(
            f"{task}: {', '.join(passed)} cannot be held out, as a part of a fold would have too"
            " few crystals",
            file=sys.stderr,
        )
    print(f"{task}: {counted(len(kept), EACH[word])} held out in turn")
    return kept


def _why_not(dataset: Dataset, place: _Place, condition: Condition) -> str:
    """Why no model can be trained and tested; "" if one can."""
    try:
        split = under(dataset, place.whole, place.fold, place.seed, condition, place.inner)
    except ValueError as error:
        return str(error)
    sizes = list(split.sizes.values())
    fewer = "" if place.inner is None else "give fewer --inner-folds, "
    if not all(sizes):
        known = f"{sizes[0]} training, {sizes[1]} validation and {sizes[2]} test crystals"
        if condition.leave_out:
            return (
                f"{known} are left with {name_of(condition.leave_out)} held out; {fewer}hold out"
                " another element, or name other --folds"
            )
        return f"{known} are good; {fewer}name other --folds, or mend the bad crystals"
    if dataset.classes is not None:
        return _one_class(dataset, split)
    return _missing_entry(dataset, split) if dataset.target.ndim == 2 else ""


def _missing_entry(dataset: Dataset, split: Split) -> str:
    known = np.isfinite(dataset.target[split.train]).any(axis=0)
    if known.all():
        return ""
    return (
        f"no training crystal has number {np.argmin(known) + 1} of the target; name other --folds,"
        " or leave it out"
    )


def _one_class(dataset: Dataset, split: Split) -> str:
    parts = {"training": split.train, "validation": split.validation, "test": split.test}
    for part, rows in parts.items():
        if len(np.unique(dataset.target[rows])) < 2:
            return (
                f"all {len(rows)} {part} crystals are of one class; name other --folds, or give"
                " more crystals of the rare class"
            )
    return ""
