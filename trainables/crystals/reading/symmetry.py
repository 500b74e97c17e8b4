"""What a CIF says about symmetry, and the atoms that follow from it.

Operations that the file lists are applied. Where it lists none, the space group that it names says
which; where both are there and contradict each other, the atoms decide (a list that has the named
symmetry already is complete) and then the formula. What stays open is refused, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import spglib
from numpy.typing import NDArray

from trainables.crystals.crystal import BadCrystal, Crystal
from trainables.crystals.reading import space_groups
from trainables.crystals.reading.cif_syntax import Block
from trainables.crystals.reading.formula import Formula
from trainables.crystals.reading.numbers import number
from trainables.crystals.reading.operations import IDENTITY, Operations, parse_operations
from trainables.crystals.reading.unit_cell import (
    SAME_ATOM,
    Site,
    composition,
    expanded,
    is_closed,
    same_atoms,
)

# How far operations may change a cell that they belong to. Listed ones belong to it unless the file
# is wrong; of named settings the cell chooses.
FIT_LISTED, FIT_NAMED = 0.05, 0.01
_HERMANN_MAUGUIN = re.compile(r"_(symmetry_)?space_group_name_h[-_]m(_alt|_full|_ref|_extended)?")
_HALL = re.compile(r"_(symmetry_)?space_group_name_hall")
_NUMBER = ("_space_group_it_number", "_symmetry_int_tables_number", "_symmetry_it_number")
_LISTS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
_MULTIPLICITIES = ("_atom_site_symmetry_multiplicity", "_atom_site_site_symmetry_multiplicity")
_CURE = "list its operations as _symmetry_equiv_pos_as_xyz"


@dataclass(frozen=True)
class Named:
    """The space group that a file names.

    Attributes:
        text: symbol or number, as it stands there.
        settings: what all names together allow; none if they contradict each other or if one that
            would tell the setting is not known.
        possible: what at least one of the names allows.
        reason: why there are no settings.
        is_unknown: whether it is that no symbol is known.
    """

    text: str
    settings: frozenset[int]
    possible: frozenset[int]
    reason: str = ""
    is_unknown: bool = False


def unit_cell(
    block: Block, sites: Sequence[Site], lattice: NDArray[np.float64], formula: Formula | None
) -> Crystal:
    """All atoms of the cell of a block.

    Raises:
        BadCrystal: the file leaves open which they are.
    """
    listed = _listed(block)
    if listed is not None and not listed.fit(lattice, FIT_LISTED):
        raise BadCrystal(
            "symmetry contradicts the cell: the operations of the CIF turn it into another cell"
        )
    named = _named(block)
    if named is None and (listed is None or len(listed) == 1):
        _refuse_multiplicities(block)
        return expanded(sites, IDENTITY, lattice)
    if listed is not None and (named is None or _consistent(listed, named)):
        return _expanded_once(sites, listed, lattice)
    assert named is not None
    fitting = _fitting(named, lattice)
    as_listed = expanded(sites, listed or IDENTITY, lattice)
    if _is_complete(as_listed, named, fitting):
        return as_listed
    if not fitting:
        raise _refusal(named, named.reason or f"it does not fit the cell; {_CURE}")
    if listed is None and len(fitting) == 1:
        return expanded(sites, fitting[0], lattice)
    candidates = [] if listed is None else [as_listed]
    for operations in fitting:
        try:
            candidates.append(expanded(sites, operations, lattice))
        except BadCrystal:
            continue  # atoms that would lie in one place
    chosen = _by_formula(candidates, formula)
    if chosen is not None:
        return chosen
    cure = "_chemical_formula_sum and _cell_formula_units_Z, which do not decide it either"
    if formula is None or formula.units is None:
        cure = "or add _chemical_formula_sum and _cell_formula_units_Z"
    if listed is not None:
        counts = " or ".join(sorted({str(len(operations)) for operations in fitting}))
        raise _refusal(
            named, f"the CIF lists {len(listed)} operations where it has {counts}; list all, {cure}"
        )
    raise _refusal(
        named, f"its origin or axes are left open; write :1 or :2 after the symbol, {cure}"
    )


def _expanded_once(
    sites: Sequence[Site], operations: Operations, lattice: NDArray[np.float64]
) -> Crystal:
    """The sites' images; of a list that has the whole cell already the list."""
    try:
        return expanded(sites, operations, lattice)
    except BadCrystal:
        whole = expanded(sites, IDENTITY, lattice)
        if is_closed(whole, operations):
            return whole
        raise


def _refuse_multiplicities(block: Block) -> None:
    """Refuses a list that counts the images of its sites, where the file says of no symmetry."""
    for text in (text for tag in _MULTIPLICITIES for text in block.known(tag)):
        if number(text) not in (1.0, None):
            raise BadCrystal(
                "symmetry missing: the CIF gives its sites a multiplicity and names neither "
                f"operations nor space group; {_CURE}"
            )


def _refusal(named: Named, reason: str) -> BadCrystal:
    return BadCrystal(f"space group {named.text[:40]} cannot be expanded: {reason}")


def _listed(block: Block) -> Operations | None:
    magnetic = block.known("_space_group_symop_magn_operation_xyz")
    if magnetic:
        centring = block.known("_space_group_symop_magn_centering_xyz") or ["x,y,z,+1"]
        return _products(*(parse_operations(list(map(_in_space, m))) for m in (centring, magnetic)))
    lists = [parse_operations(texts) for tag in _LISTS if (texts := block.known(tag))]
    if len({len(operations) for operations in lists}) > 1:
        raise BadCrystal(f"ambiguous CIF: {' and '.join(_LISTS)} differ")
    return lists[0] if lists else None


def _in_space(text: str) -> str:
    """A magnetic operation without its reversal of time, the fourth part."""
    return ",".join(text.split(",")[:3])


def _products(centring: Operations, inner: Operations) -> Operations:
    pairs = [
        (turn, shift, centre, by)
        for turn, shift in zip(inner.rotations, inner.translations, strict=True)
        for centre, by in zip(centring.rotations, centring.translations, strict=True)
    ]
    return Operations(
        np.array([centre @ turn for turn, _, centre, _ in pairs]),
        np.array([centre @ shift + by for _, shift, centre, by in pairs]),
    )


def _named(block: Block) -> Named | None:
    if block.known("_space_group_symop_magn_operation_xyz"):
        return None  # its names are those of the magnetic group's parent
    symbols = _values(block, _HERMANN_MAUGUIN)
    halls = _values(block, _HALL)
    found = [space_groups.settings_of_name(text) for text in symbols]
    found += [space_groups.settings_of_hall(text) for text in halls]
    texts = [*symbols, *halls]
    unknown = [text for text, settings in zip(texts, found, strict=True) if not settings]
    known = [settings for settings in found if settings]
    numbers = [text for tag in _NUMBER for text in block.known(tag)]
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
        reason = f"{unknown[0][:30]!r} is not known; {_CURE}"
        return Named(text, frozenset(), possible, reason, is_unknown=True)
    allowed = possible.intersection(*known)
    reason = "" if allowed else f"the names that the CIF gives contradict each other; {_CURE}"
    return Named(text, allowed, possible, reason)


def _values(block: Block, tag: re.Pattern[str]) -> list[str]:
    """Known values of the tags of a kind."""
    found = [text for name in block.values if tag.fullmatch(name) for text in block.known(name)]
    return [text for text in found if text and text.lower() != "unknown"]


def _consistent(listed: Operations, named: Named) -> bool:
    """Whether a list may be that of a named group, in a setting that has no name too."""
    if named.is_unknown:
        return len(listed) > 1
    orders = {len(space_groups.operations_of(setting)) for setting in named.possible}
    return len(listed) in orders


def _fitting(named: Named, lattice: NDArray[np.float64]) -> list[Operations]:
    """Operations of the settings that leave the cell as it is; equal ones once."""
    fits = (s for s in named.settings if space_groups.operations_of(s).fit(lattice, FIT_NAMED))
    found: list[Operations] = []
    for setting in sorted(space_groups.conventional(frozenset(fits))):
        operations = space_groups.operations_of(setting)
        if not any(_equal(operations, other) for other in found):
            found.append(operations)
    return found


def _equal(one: Operations, other: Operations) -> bool:
    return np.array_equal(one.rotations, other.rotations) and np.allclose(
        one.translations, other.translations
    )


def _is_complete(crystal: Crystal, named: Named, fitting: Sequence[Operations]) -> bool:
    """Whether a list holds all atoms of the cell, since it has the named symmetry already.

    In a cell that the named group does not leave as it is (a primitive one, say) the symmetry that
    spglib finds has to be that group's, about an origin that the cell keeps: a lone atom anywhere
    has all symmetries of its lattice.
    """
    if fitting:
        return any(is_closed(crystal, operations) for operations in fitting)
    numbers = {space_groups.number_of(setting) for setting in named.possible}
    cell = (crystal.lattice.tolist(), crystal.frac.tolist(), crystal.numbers.tolist())
    try:
        found = spglib.get_symmetry_dataset(cell, symprec=SAME_ATOM / 10)
    except spglib.SpglibError:
        return False
    if found is None or numbers != {found.number}:
        return False
    eighths = 8 * found.origin_shift
    return bool((np.abs(eighths - np.round(eighths)) < 1e-3).all())


def _by_formula(candidates: Sequence[Crystal], formula: Formula | None) -> Crystal | None:
    """The one candidate that the formula allows, None if it allows none or several."""
    chosen = [c for c in candidates if formula is None or formula.agrees(composition(c))]
    if chosen and all(same_atoms(chosen[0], other) for other in chosen[1:]):
        return chosen[0]
    return None
