"""Determines the space group that a CIF names, from all tags that name it.

`space_groups` resolves single names; here several names are combined.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from trainables.crystals.reading import space_groups
from trainables.crystals.reading.cif_syntax import Block
from trainables.crystals.reading.numbers import number

CURE = "list its operations as _symmetry_equiv_pos_as_xyz"
_HERMANN_MAUGUIN = re.compile(r"_(symmetry_)?space_group_name_h[-_]m(_alt|_full|_ref|_extended)?")
_HALL = re.compile(r"_(symmetry_)?space_group_name_hall")
_NUMBER = ("_space_group_it_number", "_symmetry_int_tables_number", "_symmetry_it_number")


@dataclass(frozen=True)
class Named:
    """The space group that a file names.

    Attributes:
        text: symbol or number, as in the file.
        settings: allowed by all names together; none if they contradict each other, or if a name
            that would determine the setting is unknown.
        possible: allowed by at least one of the names.
        reason: why there are no settings.
        is_unknown: whether that is because no symbol is known.
        exact: settings of names that determine one (`:2`, a Hall symbol); none if no name does.
        centring: lattice points in the cell of an unknown symbol; None if that is unknown too.
    """

    text: str
    settings: frozenset[int]
    possible: frozenset[int]
    reason: str = ""
    is_unknown: bool = False
    exact: frozenset[int] = frozenset()
    centring: int | None = None


def named_group(block: Block) -> Named | None:
    """The space group that a block names; None if it names none."""
    if block.known("_space_group_symop_magn_operation_xyz"):
        return None  # its names are those of the magnetic group's parent
    symbols = _values(block, _HERMANN_MAUGUIN)
    halls = _values(block, _HALL)
    found = [space_groups.settings_of_name(text) for text in symbols]
    found += [space_groups.settings_of_hall(text) for text in halls]
    texts = [*symbols, *halls]
    unknown = [text for text, settings in zip(texts, found, strict=True) if not settings]
    known = [settings for settings in found if settings]
    numbers = [text for tag in _NUMBER for text in block.stated(tag)]
    for text in numbers:
        value = number(text)
        settings = space_groups.settings_of_number(int(value or 0))
        if not settings:
            unknown.append(text)
        elif known or unknown:
            known.append(settings)
        else:
            known.append(space_groups.standard(settings))
    if not texts and not numbers:
        return None
    text = repr((texts or numbers)[0])
    possible = frozenset[int]().union(*known)
    if unknown and not any(found):
        reason = f"{unknown[0][:30]!r} is not known; {CURE}"
        centring = space_groups.centring_of(unknown[0])
        return Named(text, frozenset(), possible, reason, is_unknown=True, centring=centring)
    allowed = possible.intersection(*known)
    reason = "" if allowed else f"the names that the CIF gives contradict each other; {CURE}"
    tells = any(map(space_groups.tells_setting, symbols)) or any(found[len(symbols) :])
    return Named(text, allowed, possible, reason, exact=allowed if tells else frozenset())


def _values(block: Block, tag: re.Pattern[str]) -> list[str]:
    """The values of all tags of a kind."""
    return [text for name in block.values if tag.fullmatch(name) for text in block.stated(name)]
