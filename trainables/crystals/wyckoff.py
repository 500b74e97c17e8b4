"""The prototype of a crystal, and the sites of an element in it.

A prototype is a space group and the Wyckoff positions that each element occupies (International
Tables for Crystallography, vol. A, 2016, 10.1107/97809553602060000114). The positions' letters
depend on the choice of origin and axes; the relabellings between choices are those of Goodall et
al. (2022, 10.1126/sciadv.abn4117), as pymatgen ships them. Lattice parameters and free coordinates
are ignored, so two crystals of one prototype may still differ in shape.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import spglib

from trainables.crystals.crystal import BadCrystal, Crystal
from trainables.crystals.symbols import symbol

# Å, as in the paper of the relabellings: relaxed structures are symmetric to about this.
SYMPREC = 0.1
ANY = "*"  # stands for the exchanged element


@dataclass(frozen=True)
class Prototype:
    """Occupied positions of one crystal.

    Attributes:
        group: number of the space group.
        letters: by atomic number, the Wyckoff letters of its orbits, sorted.
    """

    group: int
    letters: Mapping[int, str]

    def label(self, exchanged: int | None = None) -> str:
        """The same text for the same occupation, for any choice of origin and axes.

        Args:
            exchanged: an element whose name is left open.
        """
        names = {z: ANY if z == exchanged else symbol(z) for z in self.letters}
        choices = (
            ".".join(
                sorted(
                    f"{names[z]}:{''.join(sorted(letters.translate(relabelling)))}"
                    for z, letters in self.letters.items()
                )
            )
            for relabelling in _relabellings(self.group)
        )
        return f"{self.group}.{min(choices)}"

    def slots(self) -> dict[int, str]:
        """By atomic number, the digest of its slot: crystals sharing it differ in one element."""
        return {
            z: hashlib.blake2b(self.label(z).encode(), digest_size=16).hexdigest()
            for z in self.letters
        }


def find_prototype(crystal: Crystal) -> Prototype:
    """The prototype of a crystal.

    Raises:
        BadCrystal: no symmetry is found.
    """
    cell = (crystal.lattice.tolist(), crystal.frac.tolist(), crystal.numbers.tolist())
    try:
        found = spglib.get_symmetry_dataset(cell, symprec=SYMPREC)
    except spglib.SpglibError as error:
        raise BadCrystal(f"no space group: {error}") from None
    if found is None:
        raise BadCrystal("no space group: spglib finds no symmetry")
    letters: dict[int, list[str]] = defaultdict(list)
    seen = set()
    for z, orbit, letter in zip(
        crystal.numbers.tolist(), found.crystallographic_orbits, found.wyckoffs, strict=True
    ):
        if orbit not in seen:
            seen.add(orbit)
            letters[z].append(letter)
    return Prototype(found.number, {z: "".join(sorted(of)) for z, of in letters.items()})


@cache
def _relabellings(group: int) -> tuple[dict[int, str], ...]:
    """Tables for `str.translate`."""
    # Imported on use: pymatgen takes a second, and training does not need it.
    from pymatgen.analysis.prototypes import WYCKOFF_POSITION_RELAB_DICT

    return tuple(WYCKOFF_POSITION_RELAB_DICT[str(group)])
