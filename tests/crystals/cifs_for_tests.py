"""CIF texts for tests, composed from parts."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from trainables.crystals.crystal import BadCrystal, Crystal
from trainables.crystals.reading import space_groups
from trainables.crystals.reading.cif import read_cif

CUBE = (4.2, 4.2, 4.2, 90, 90, 90)
_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")


def cif(
    atoms: str,
    items: str = "",
    *,
    cell: tuple[float, ...] = CUBE,
    columns: str = "label type_symbol fract_x fract_y fract_z",
    operations: tuple[str, ...] | None = None,
) -> str:
    """A data block: the cell, other items unchanged, operations, the atom list."""
    lines = ["data_test"]
    lines += [f"_cell_{name} {value}" for name, value in zip(_CELL, cell, strict=True)]
    lines += [items] if items else []
    if operations is not None:
        lines += ["loop_", "_symmetry_equiv_pos_as_xyz", *(f"'{text}'" for text in operations)]
    lines += ["loop_", *(f"_atom_site_{name}" for name in columns.split()), atoms.strip()]
    return "\n".join(lines) + "\n"


def operations_of(setting: int, *, centring: bool = True) -> tuple[str, ...]:
    """The operations of a Hall number as a CIF lists them; without centring one per rotation."""
    found = space_groups.operations_of(setting)
    kept: dict[tuple[float, ...], str] = {}
    for rotation, translation in zip(found.rotations, found.translations, strict=True):
        parts = [
            "".join(
                f"{'-' if v < 0 else '+'}{axis}" for v, axis in zip(row, "xyz", strict=True) if v
            )
            + (f"+{Fraction(by).limit_denominator(24)}" if by else "")
            for row, by in zip(rotation, translation.tolist(), strict=True)
        ]
        kept.setdefault((*rotation.ravel(), *(translation if centring else ())), ",".join(parts))
    return tuple(kept.values())


def atoms_of(crystal: Crystal) -> list[tuple[int, tuple[float, ...]]]:
    """Atoms in a canonical order: number and position in the cell, to 1e-4."""
    wrapped = np.round(crystal.frac - np.floor(crystal.frac), 4) % 1.0
    return sorted(
        (int(number), tuple(place))
        for number, place in zip(crystal.numbers, wrapped.tolist(), strict=True)
    )


def refused(text: str, words: str) -> None:
    with pytest.raises(BadCrystal, match=words) as caught:
        read_cif(text)
    told = str(caught.value)
    assert len(told.splitlines()) == 1 and len(told) < 300


# Operations that are compared pair by pair: some gigabytes for a quarter of a megabyte of text.
EATING = cif(
    "K1 K 0 0 0",
    cell=(9, 9, 9, 90, 90, 90),
    operations=tuple(f"x+{at / 12001:.6f},y,z" for at in range(12001)),
)
# Twenty million atoms for some megabytes of text.
HANGING = cif(
    "\n".join(f"K1 K 0.{at} 0.2{at} 0.7{at}" for at in range(1, 100_000)),
    "_space_group_IT_number 225",
    cell=(9, 9, 9, 90, 90, 90),
)
