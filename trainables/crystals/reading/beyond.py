"""Refuses CIFs that the atoms of one cell cannot represent: modulation, magnetism, disorder.

Also checks what the file states twice: the volume of the cell.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from trainables.crystals.crystal import BadCrystal
from trainables.crystals.reading.cif_syntax import Block, Value
from trainables.crystals.reading.numbers import number

_MODULATED = re.compile(
    r"_space_group_(symop_)?(magn_)?ssg_.*|_cell_(wave_vector|subsystem)_.*"
    r"|_atom_site_\w*(fourier|special_func|legendre|xharm)\w*|_atom_site_phason_.*"
)
_MAGNETIC = re.compile(r"_space_group_magn_(name|number|point_group)_.*|_parent_space_group_.*")
_OPERATIONS = (
    "_space_group_symop_magn_operation_xyz",
    "_space_group_symop_operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
)
# What a block of common data may state for the block with the atoms.
_SHARED = re.compile(
    r"_(symmetry_)?space_group_.*|_symmetry_.*|_parent_space_group_.*|_chemical_formula_.*"
    r"|_cell_formula_units_z|_cell_modulation_dimension|_cell_wave_vector_.*"
)
VOLUME_TOLERANCE = 0.02  # relative deviation of a stated volume


def with_common_data(block: Block, others: Sequence[Block]) -> Block:
    """Adds to a block the symmetry and formula of others, which have no cell of their own.

    The block's own values have precedence.

    Raises:
        BadCrystal: two of the others contradict each other.
    """
    known: dict[str, list[Value]] = {}
    faults: dict[str, str] = {}
    for other in (o for o in others if not o.known("_cell_length_a")):
        for tag in filter(_SHARED.fullmatch, other.values):
            if not other.known(tag) or block.known(tag):
                continue
            if known.setdefault(tag, other.values[tag]) != other.values[tag]:
                faults[tag] = f"ambiguous CIF: {tag} differs between two of its data blocks"
    return replace(block, values={**block.values, **known}, faults={**block.faults, **faults})


def refuse_modulated(block: Block) -> None:
    """Refuses structures whose atoms do not repeat with the cell.

    Raises:
        BadCrystal: names the tag.
    """
    if block.known("_cell_modulation_dimension") not in ([], ["0"]):
        raise BadCrystal("modulated structure: its atoms do not repeat with the cell")
    tag = next((tag for tag in block.values if _MODULATED.fullmatch(tag) and block.known(tag)), "")
    if tag:
        raise BadCrystal(
            f"modulated structure: its atoms do not repeat with the cell (the CIF has {tag[:60]})"
        )


def refuse_magnetic_names(block: Block) -> None:
    """Refuses magnetic groups without operations; other names are those of a parent structure.

    Raises:
        BadCrystal: names the tag.
    """
    if any(block.known(tag) for tag in _OPERATIONS):
        return
    tag = next((tag for tag in block.values if _MAGNETIC.fullmatch(tag) and block.stated(tag)), "")
    if tag:
        raise BadCrystal(
            f"magnetic structure: the CIF has {tag[:60]} and lists no operations; "
            "list them as _space_group_symop_magn_operation.xyz"
        )


def refuse_disorder(groups: Sequence[tuple[str, Value]]) -> None:
    """Refuses sites that exclude each other.

    Args:
        groups: (site, `_atom_site_disorder_group`) of the occupied sites.

    Raises:
        BadCrystal: there are two groups, or one that excludes its own images (a negative number).
    """
    found = {
        group.strip(): site
        for site, group in groups
        if group is not None and group.strip() not in ("", ".", "?", "0")
    }
    negative = next((group for group in found if group.startswith("-")), None)
    if len(found) > 1 or negative is not None:
        sites = " and ".join(list(found.values())[:2])
        raise BadCrystal(
            f"partial occupancy: disorder groups {', '.join(sorted(found))[:40]} exclude each "
            f"other ({sites}); keep one"
        )


def refuse_volume(block: Block, lattice: NDArray[np.float64]) -> None:
    """Refuses a cell whose volume is not the stated one.

    Raises:
        BadCrystal: names both.
    """
    text = block.first("_cell_volume")
    stated = None if text is None else number(text)
    if stated is None or stated <= 0:
        return
    volume = abs(float(np.linalg.det(lattice)))
    if abs(volume - stated) > VOLUME_TOLERANCE * stated:
        raise BadCrystal(
            f"cell contradicts its volume: {volume:.6g} Å³ by lengths and angles, {stated:g} Å³ by "
            "_cell_volume; correct one"
        )
