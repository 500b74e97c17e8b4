"""Generated slabs with the potentials of a model: a set to run and to test with.

Crystals of the embedded ionic set, and perovskites of a file, are cut along low planes of their
cells into stoichiometric slabs of one to three periods, 4 to 14 Å thick, with every termination
that the planes allow. Their potentials and Fermi levels are those of `slab_model`: electrostatics
of screened ions, no electronic structure. What a network learns of them is that model.

The id `NaCl-111-2-a` says the formula, the plane of the cell that the crystal was given in (a
primitive one of the ionic set), the periods, and which of the slabs of that name it is.

Legend: M atoms of a slab.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from string import ascii_lowercase

import numpy as np

from trainables.crystals.cleave import along
from trainables.crystals.crystal import BadCrystal, Crystal, Entry
from trainables.crystals.generated import Generated
from trainables.crystals.ionic import IonicSource
from trainables.crystals.parsing import parse
from trainables.crystals.slab_model import Slab, ionic_charges, known_elements, potential_of
from trainables.crystals.sources.ase_structure import structure_json
from trainables.crystals.sources.base import ANY_COLUMN, file_digest
from trainables.crystals.sources.table import CsvTable
from trainables.crystals.symbols import symbol

MATERIALS = 2000
PEROVSKITES = 300  # of a file; the others are left out
PLANES = ((0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1))
REPEATS = (1, 2, 3)
THICKNESS = (4.0, 14.0)  # Å between the outermost atoms
VACUUM = 14.0  # Å between the faces; tails of atoms take 3 Å on either side
MOST_ATOMS = 40
PER_FORMULA = 6  # slabs, so that no formula outweighs the others
POLAR = 0.1  # eV between the vacuum levels: nature avoids such faces, and so
POLAR_PER_FORMULA = 1  # slabs of a formula have them
ALIKE = 0.01  # Å, Å²: within which two slabs are one
DIGITS = 6  # after the point: the same bits, whatever the order of the sums


@dataclass(frozen=True)
class _Cut:
    """A slab with its name, `formula-plane-periods-letter`."""

    id: str
    crystal: Crystal

    @cached_property
    def slab(self) -> Slab:
        """What the model knows of it: c lies along the normal, and a along x."""
        (ax, _, _), (_, by, _), (_, _, height) = self.crystal.lattice.tolist()
        numbers, frac = self.crystal.numbers, self.crystal.frac
        return Slab(numbers=numbers, z=frac[:, 2] * height, area=ax * by, height=height)

    @cached_property
    def shape(self) -> np.ndarray:
        """[1 + M] the area, and the atoms along the normal, element by element, one side up."""
        numbers, middle = self.slab.numbers, self.slab.z - self.slab.height / 2
        own = [np.sort(middle[numbers == one]) for one in np.unique(numbers)]
        flipped = [-one[::-1] for one in own]
        first = min(own, flipped, key=lambda one: [round(float(part.sum()), 3) for part in one])
        return np.concatenate([[self.slab.area], *first])

    def is_like(self, other: _Cut) -> bool:
        """Whether both have the same atoms in the same planes; upside down counts as the same."""
        one, two = self.shape, other.shape
        return len(one) == len(two) and bool(np.allclose(one, two, rtol=0, atol=ALIKE))


class GeneratedSlabs(Generated):
    """Generated slabs as a source of crystals with potentials; the same on every call.

    Args:
        materials: how many.
        perovskites: a CSV of crystals whose first `PEROVSKITES`, by a hash of their ids, are cut
            too; None for none.
    """

    name = "generated"
    target_name = "potential"
    unit: str | None = "eV"
    description = (
        "Slabs cut from ionic crystals; potentials and Fermi levels are those of screened ions in"
        " one dimension, computed by that model and not measured."
    )

    def __init__(self, materials: int = MATERIALS, perovskites: Path | None = None) -> None:
        self.materials = materials
        self.perovskites = perovskites

    def __reduce__(self) -> tuple[type[GeneratedSlabs], tuple[int, Path | None]]:
        """Travels as its settings: who receives it generates the same slabs."""
        return GeneratedSlabs, (self.materials, self.perovskites)

    @property
    def ingredients(self) -> str:
        """Digest of the perovskites."""
        return "" if self.perovskites is None else file_digest(self.perovskites, self.target_name)

    @cached_property
    def made(self) -> list[Entry]:
        """See `Generated`; fewer than wanted where the crystals do not have as many slabs."""
        formulas: dict[str, list[Crystal]] = {}
        for crystal in bulk_crystals(self.perovskites):
            formulas.setdefault(formula_of(crystal), []).append(crystal)
        order = sorted(formulas, key=lambda formula: _hash("formula", formula))
        made = (one for formula in order for one in _slabs(formula, formulas[formula]))
        chosen = sorted(islice(made, self.materials), key=lambda one: _hash("order", one[0]))
        return [
            Entry(row, id, "json", text, target, f"{self.name}:{row + 1}")
            for row, (id, text, target) in enumerate(chosen)
        ]


def formula_of(crystal: Crystal) -> str:
    """The reduced formula, the least electronegative element first: `NaCl`, `SrTiO3`."""
    numbers, counts = np.unique(crystal.numbers, return_counts=True)
    slab = Slab(numbers=numbers, z=np.zeros(len(numbers)), area=1.0, height=1.0)
    order = np.argsort(slab.electronegativity, kind="stable")
    common = math.gcd(*counts.tolist())
    shares = zip(numbers[order].tolist(), (counts[order] // common).tolist(), strict=True)
    return "".join(symbol(one) + (str(count) if count > 1 else "") for one, count in shares)


def bulk_crystals(perovskites: Path | None) -> Iterator[Crystal]:
    """The crystals that are cut: those that are sound, of elements that the model knows."""
    entries: list[Entry] = list(IonicSource().entries())
    if perovskites is not None:
        more = CsvTable(perovskites, ANY_COLUMN).entries()
        entries += sorted(more, key=lambda entry: _hash("perovskite", entry.id))[:PEROVSKITES]
    known = known_elements()
    for entry in entries:
        try:
            crystal = parse(entry)
        except BadCrystal:
            continue
        if known.issuperset(crystal.numbers.tolist()):
            yield crystal


def _slabs(formula: str, crystals: Iterable[Crystal]) -> Iterator[tuple[str, str, str]]:
    """Id, structure and potential of the slabs of a formula, by a hash, `PER_FORMULA` at most."""
    kept: list[_Cut] = []
    polar = 0
    for cut in sorted(_cuts(formula, crystals), key=lambda cut: _hash("choice", cut.id)):
        has_dipole = abs(ionic_charges(cut.slab).drop) > POLAR
        if has_dipole and polar == POLAR_PER_FORMULA:
            continue
        if any(map(cut.is_like, kept)):
            continue
        try:
            potential = potential_of(cut.slab).rounded(DIGITS)
        except BadCrystal:  # the model gives it no work function that a slab has
            continue
        kept.append(cut)
        polar += has_dipole
        yield cut.id, _text(cut.crystal), potential.text
        if len(kept) == PER_FORMULA:
            return


def _cuts(formula: str, crystals: Iterable[Crystal]) -> Iterator[_Cut]:
    """All slabs of the crystals of a formula, of which some are alike."""
    letters: dict[str, Iterator[str]] = {}
    for crystal in crystals:
        for plane in PLANES:
            layers = along(crystal, plane)
            for repeats in REPEATS:
                if repeats * len(crystal.numbers) > MOST_ATOMS:
                    break
                name = f"{formula}-{''.join(map(str, plane))}-{repeats}"
                for cut in layers.cuts():
                    slab = layers.slab(cut, repeats, VACUUM)
                    low, high = THICKNESS
                    if not low <= slab.lattice[2, 2] - VACUUM <= high:
                        continue
                    letter = next(letters.setdefault(name, iter(ascii_lowercase)), None)
                    if letter is not None:
                        yield _Cut(f"{name}-{letter}", slab)


def _text(crystal: Crystal) -> str:
    places = (crystal.frac @ crystal.lattice).round(DIGITS) + 0.0  # + 0.0 turns -0.0 into 0.0
    return structure_json(
        [symbol(one) for one in crystal.numbers.tolist()],
        places.tolist(),
        (crystal.lattice.round(DIGITS) + 0.0).tolist(),
        [True, True, True],
    )


def _hash(purpose: str, id: str) -> str:
    # A hash orders alike in every version of Python and numpy; a random generator may not.
    return hashlib.sha256(f"elemgrid slabs {purpose} {id}".encode()).hexdigest()
