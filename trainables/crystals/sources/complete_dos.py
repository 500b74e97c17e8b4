"""A JSON list of densities of states as pymatgen writes them, of electrons or of phonons.

An object is the dict of a `CompleteDos` or a `CompletePhononDos`, as the client of the Materials
Project gives them, with an id beside it. Format: https://pymatgen.org, modules
electronic_structure.dos and phonon.dos. Nothing that a file names is ever imported.

Legend: S sites, P points of a curve.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from trainables.crystals.crystal import BadCrystal, Entry, one_line
from trainables.crystals.densities import Curve
from trainables.crystals.sources.base import SourceError, file_digest, no_column, stem
from trainables.crystals.sources.ids import id_of
from trainables.crystals.sources.records import objects_of, structure_of

ENERGIES, FREQUENCIES, FERMI = "energies", "frequencies", "efermi"
OF_SITES, OF_CRYSTAL = "pdos", "densities"


class CompleteDosList:
    """Streams such a list; energies of electrons become relative to the Fermi level.

    Densities are summed over spins, and those of a site over its orbitals. `curve_columns` say
    what is read.

    Args:
        energies: key of the energies, which has to be that of the objects; None for this.
        densities: `OF_SITES` or `OF_CRYSTAL`; None for the former where the first object has some.

    Raises:
        SourceError: the file is missing, broken or unsuitable.
    """

    def __init__(
        self, path: Path, energies: str | None = None, densities: str | None = None
    ) -> None:
        self.path, self.name = path, stem(path)
        first = next(objects_of(path), None)
        first = first if isinstance(first, dict) else {}
        axis = next((key for key in (FREQUENCIES, ENERGIES) if key in first), None)
        if axis is None or OF_CRYSTAL not in first:
            raise SourceError(
                f"{path}: its first object is no CompleteDos or CompletePhononDos of pymatgen;"
                " write a list of what their as_dict() gives, or Parquet"
            )
        there = [key for key in (OF_SITES, OF_CRYSTAL) if first.get(key)]
        for wanted, known in ((energies, [axis]), (densities, there)):
            if wanted is not None and wanted not in known:
                raise SourceError(f"{path}: {no_column(wanted, known)}")
        self._densities = densities or there[0]
        self.per_site = self._densities == OF_SITES
        self._phonons = axis == FREQUENCIES
        self.curve_columns = axis if self._phonons else f"{axis} - {FERMI}", self._densities
        self.target_name = ",".join(self.curve_columns)

    def digest(self) -> str:
        """SHA-256 (hex) of the file's bytes and of what is read."""
        return file_digest(self.path, self.target_name)

    def count(self) -> int | None:
        """Not known before all is read."""
        return None

    def entries(self) -> Iterator[Entry]:
        """Yields one entry per object, whose target is the text of its `Curve`.

        Raises:
            SourceError: the file is damaged.
        """
        for row, one in enumerate(objects_of(self.path)):
            name = id_of(one if isinstance(one, dict) else {}, row)
            origin = f"{self.path.name}:{row + 1}"
            try:
                text, curve = structure_of(one), self._curve(one)
            except BadCrystal as bad:
                yield Entry(row, name, "bad", str(bad), None, origin)
            else:
                yield Entry(row, name, "json", text, curve.text, origin)

    def _curve(self, one: Any) -> Curve:
        """The curve of an object; raises BadCrystal."""
        try:
            energies = _numbers(one[FREQUENCIES if self._phonons else ENERGIES])
            if not self._phonons:
                energies = energies - float(one[FERMI])
            held = one[self._densities]
            curves = list(map(self._summed, held if self.per_site else [held]))
        except KeyError as error:
            raise BadCrystal(f"no {one_line(error.args[0], 40)} in the object") from None
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise BadCrystal(f"broken densities: {one_line(error)}") from None
        if not curves:
            raise BadCrystal(
                f"no densities of sites: {OF_SITES} is empty; give --densities {OF_CRYSTAL}, which"
                " reads those of crystals"
            )
        for curve in curves:
            if curve.shape != energies.shape:
                sizes = f"{energies.size} and {curve.size}"
                raise BadCrystal(f"energies and densities differ in length: {sizes}")
        return Curve.of(energies, np.concatenate(curves), per_site=self.per_site)

    def _summed(self, held: Any) -> np.ndarray:
        """[P] densities of a site, or of the crystal, over orbitals and spins."""
        if self._phonons:
            return _numbers(held)
        orbitals = [orbital[OF_CRYSTAL] for orbital in held.values()] if self.per_site else [held]
        spins = [_numbers(one) for orbital in orbitals for one in orbital.values()]
        return np.asarray(np.sum(spins, axis=0))


def _numbers(values: Any) -> np.ndarray:
    """[P] numbers of a list, or of an array as monty writes one."""
    plain = values["data"] if isinstance(values, dict) else values
    found = np.asarray(plain, dtype=np.float64)
    if found.ndim != 1:
        raise ValueError("no list of numbers")
    return found
