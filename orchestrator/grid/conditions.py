"""The conditions of a grid: sizes of training parts, elements held out, shots."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Mapping, Sequence

from analysis.classes import CLASSES, members_of
from analysis.elements import NUMBERS, SYMBOLS
from trainables.crystals.condition import JOINED, Condition

NONE = "none"  # holds nothing out
EACH = {"elements": "element", "groups": "group"}  # words for all of a data set, one by one
# A data set's elements are held out one by one if so many crystals have them: four a fold.
LEAST = 20
GROUPS = {name.replace(" ", "-"): members_of(name) for name in CLASSES}
_NAMED = {tuple(members): name for name, members in GROUPS.items()}
Found = Mapping[str, Sequence[str]]  # of a data set: word of `EACH` -> what is held out in turn


def left_out(given: object) -> str:
    """Parses what is held out: "Ta", "O+S", "alkali-metal", "none" (""), or a word of `EACH`.

    Elements come in the order of Z, each once; classes are replaced by their elements.

    Raises:
        ValueError: a name is none of these.
    """
    if not isinstance(given, str):
        raise ValueError(f"{given!r} is wrong, it must be a name")
    if given in (NONE, ""):
        return ""
    if given in EACH:
        return given
    numbers: set[int] = set()
    for name in given.split(JOINED):
        if name not in NUMBERS and name not in GROUPS:
            close = difflib.get_close_matches(name, [*GROUPS, *EACH, NONE], n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ValueError(
                f"{name!r} is wrong, it must be an element as Ta, a class ({', '.join(GROUPS)}),"
                f" several of them as O+S, {', '.join(EACH)}, or {NONE}{hint}"
            )
        numbers |= {NUMBERS[name]} if name in NUMBERS else {*GROUPS[name]}
    return joined(numbers)


def joined(numbers: Iterable[int]) -> str:
    """Symbols of some elements as of `Condition.leave_out`."""
    return JOINED.join(SYMBOLS[z] for z in sorted(numbers))


def name_of(leave_out: str) -> str:
    """What is held out, as it is printed: a class by its name."""
    numbers = tuple(NUMBERS[name] for name in leave_out.split(JOINED))
    return _NAMED.get(numbers, leave_out)


def describe(condition: Condition) -> str:
    """A condition in words, as "without Ta, shots 3, train size 100"; "" for none."""
    words = {
        "without": condition.leave_out and name_of(condition.leave_out),
        "shots": condition.shots,
        "train size": condition.train_size,
    }
    return ", ".join(f"{name} {value}" for name, value in words.items() if value)


def combined(
    train_sizes: Iterable[int], leave_outs: Iterable[str], shots: Sequence[int], found: Found
) -> list[Condition]:
    """Every combination; where nothing is held out there are no shots.

    Args:
        found: of the data set, for the words of `EACH`.
    """
    held = [one for name in leave_outs for one in (found[name] if name in EACH else [name])]
    combinations = itertools.product(train_sizes, dict.fromkeys(held), shots)
    conditions = (
        Condition(train_size=size, leave_out=name, shots=number if name else 0)
        for size, name, number in combinations
    )
    return list(dict.fromkeys(conditions))
