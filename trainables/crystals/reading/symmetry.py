"""Determines the symmetry that a CIF states, and the atoms that follow from it.

Listed operations are applied. If none are listed, the named space group determines them; if both
are there and contradict each other, the atoms decide (a list that already has the named symmetry is
complete), and then the formula. What stays ambiguous is refused, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import spglib
from numpy.typing import NDArray

from trainables.crystals.crystal import BadCrystal, Crystal
from trainables.crystals.reading import space_groups
from trainables.crystals.reading.cif_syntax import Block
from trainables.crystals.reading.formula import Formula
from trainables.crystals.reading.named_group import CURE, Named, named_group
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

# How far operations may change a cell. Listed ones belong to it unless the file is wrong; among
# named settings the cell selects.
FIT_LISTED, FIT_NAMED = 0.05, 0.01
_LISTS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
_MULTIPLICITIES = (
    "_atom_site_symmetry_multiplicity",
    "_atom_site_site_symmetry_multiplicity",
    "_atom_site_wyckoff_symbol",
    "_atom_site_wyckoff_label",
)
_WYCKOFF = re.compile(r"(\d+)[A-Za-z]")  # 4a; the letter alone is not enough


def unit_cell(
    block: Block, sites: Sequence[Site], lattice: NDArray[np.float64], formula: Formula | None
) -> Crystal:
    """All atoms of the cell of a block.

    Raises:
        BadCrystal: the file leaves them ambiguous.
    """
    listed = _listed(block)
    if listed is not None and not listed.fit(lattice, FIT_LISTED):
        raise BadCrystal(
            "symmetry contradicts the cell: the operations of the CIF turn it into another cell"
        )
    if listed is not None and not listed.is_group():
        raise BadCrystal(
            f"symmetry unclear: the {len(listed)} operations of the CIF are no group (one is wrong "
            "or missing, or x,y,z is); correct the list"
        )
    named = named_group(block)
    trivial = listed is None or len(listed) == 1
    if trivial and (named is None or _is_p1(named)):
        _refuse_multiplicities(block, stated=listed is not None or named is not None)
        return expanded(sites, IDENTITY, lattice)
    if listed is not None and (named is None or _is_named(listed, named, lattice)):
        return _expanded_once(sites, listed, lattice)
    assert named is not None
    fitting = _fitting(named, lattice)
    as_listed = expanded(sites, listed or IDENTITY, lattice)
    if (fitting or not listed or len(listed) == 1) and _is_complete(as_listed, named, fitting):
        return as_listed
    if not fitting:
        raise _refusal(named, named.reason or f"it does not fit the cell; {CURE}")
    if listed is None and len(fitting) == 1:
        return expanded(sites, fitting[0], lattice)
    candidates = [] if listed is None else [as_listed]
    for operations in fitting:
        try:
            candidates.append(expanded(sites, operations, lattice))
        except BadCrystal:
            continue  # atoms would coincide
    total = _counted(block)
    counted = [crystal for crystal in candidates if len(crystal.numbers) == total]
    chosen = _by_formula(counted or candidates, formula)
    if chosen is not None:
        return chosen
    cure = "_chemical_formula_sum and _cell_formula_units_Z, which do not decide it either"
    if formula is None or formula.units is None:
        cure = "or add _chemical_formula_sum and _cell_formula_units_Z"
    if listed is not None:
        counts = {len(operations) for operations in fitting}
        if len(listed) in counts:
            raise _refusal(named, f"the operations that the CIF lists are others; {CURE}, {cure}")
        told = " or ".join(map(str, sorted(counts)))
        raise _refusal(
            named, f"the CIF lists {len(listed)} operations where it has {told}; list all, {cure}"
        )
    raise _refusal(
        named, f"its origin or axes are left open; write :1 or :2 after the symbol, {cure}"
    )


def _expanded_once(
    sites: Sequence[Site], operations: Operations, lattice: NDArray[np.float64]
) -> Crystal:
    """The images of the sites; the list itself if it already has the whole cell."""
    try:
        return expanded(sites, operations, lattice)
    except BadCrystal:
        whole = expanded(sites, IDENTITY, lattice)
        if is_closed(whole, operations):
            return whole
        raise


def _is_p1(named: Named) -> bool:
    return {space_groups.number_of(setting) for setting in named.settings} == {1}


def _refuse_multiplicities(block: Block, *, stated: bool) -> None:
    """Refuses a list that counts the images of its sites if the file has no symmetry.

    Args:
        stated: whether the file says so, by the name P 1 or by `x,y,z` alone.
    """
    if all(
        value in (1.0, None) for tag in _MULTIPLICITIES for value in _multiplicities(block, tag)
    ):
        return
    if stated:
        raise BadCrystal(
            "symmetry contradicts the atoms: the CIF says P 1 (or x,y,z alone) and gives its sites "
            f"a multiplicity above 1; {CURE}, or list all atoms without it"
        )
    raise BadCrystal(
        "symmetry missing: the CIF gives its sites a multiplicity and names neither operations nor "
        f"space group; {CURE}"
    )


def _multiplicities(block: Block, tag: str) -> list[float | None]:
    texts = (
        text if text is None else _WYCKOFF.sub(r"\1", text) for text in block.column(tag) or []
    )
    return [None if text is None else number(text) for text in texts]


def _counted(block: Block) -> int | None:
    """Atoms of the cell by the multiplicities of all rows; None if they do not state it."""
    for tag in _MULTIPLICITIES:
        values = [value for value in _multiplicities(block, tag) if value is not None]
        if values and len(values) == len(block.column(tag) or []):
            return round(sum(values))
    return None


def _refusal(named: Named, reason: str) -> BadCrystal:
    return BadCrystal(f"space group cannot be expanded: {named.text[:40]}, {reason}")


def _listed(block: Block) -> Operations | None:
    magnetic = block.known("_space_group_symop_magn_operation_xyz")
    if magnetic:
        centring = block.known("_space_group_symop_magn_centering_xyz") or ["x,y,z,+1"]
        return _products(*(parse_operations(list(map(_in_space, m))) for m in (centring, magnetic)))
    lists = [parse_operations(texts) for tag in _LISTS if (texts := block.known(tag))]
    if len(lists) > 1 and not lists[0].equals(lists[1]):
        raise BadCrystal(f"ambiguous CIF: {' and '.join(_LISTS)} differ")
    return lists[0] if lists else None


def _in_space(text: str) -> str:
    """A magnetic operation without its fourth part, the time reversal."""
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
    ).distinct()


def _is_named(listed: Operations, named: Named, lattice: NDArray[np.float64]) -> bool:
    """Whether a list is the named group, in any setting unless a name determines it.

    If no symbol is known the list decides, if it has the centring of the symbol.
    """
    if named.exact:
        return any(listed.equals(space_groups.operations_of(s)) for s in named.exact)
    if named.is_unknown and (
        len(listed) == 1 or named.centring not in (None, listed.lattice_points())
    ):
        return False
    numbers = {space_groups.number_of(setting) for setting in named.settings or named.possible}
    if not numbers:
        return True
    if len(listed) == 1:
        return numbers == {1}
    return space_groups.number_of_operations(listed, lattice) in numbers


def _fitting(named: Named, lattice: NDArray[np.float64]) -> list[Operations]:
    """Operations of the settings that leave the cell invariant, without repetitions."""
    fits = (s for s in named.settings if space_groups.operations_of(s).fit(lattice, FIT_NAMED))
    found: list[Operations] = []
    for setting in sorted(space_groups.conventional(frozenset(fits))):
        operations = space_groups.operations_of(setting)
        if not any(operations.equals(other) for other in found):
            found.append(operations)
    return found


def _is_complete(crystal: Crystal, named: Named, fitting: Sequence[Operations]) -> bool:
    """Whether a list holds all atoms of the cell, as it already has the named symmetry.

    If the named group does not leave the cell invariant (a primitive one, say), the symmetry that
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
    """The one candidate that the formula allows; None if it allows none or several."""
    chosen = [c for c in candidates if formula is None or formula.agrees(composition(c))]
    if chosen and all(same_atoms(chosen[0], other) for other in chosen[1:]):
        return chosen[0]
    return None
