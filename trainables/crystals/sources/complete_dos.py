"""A JSON list of densities of states as pymatgen writes them, of electrons or of phonons.

An object is the dict of a `CompleteDos` or a `CompletePhononDos`, as the client of the Materials
Project gives them, with an id beside it. Format: https://pymatgen.org, modules
electronic_structure.dos and phonon.dos. Nothing that a file names is ever imported.

Legend: S sites, P points of a curve.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np

from trainables.crystals.crystal import BadCrystal, Entry, one_line
from trainables.crystals.densities import Curve
from trainables.crystals.sources.base import SourceError, file_digest, no_column, stem
from trainables.crystals.sources.ids import id_of
from trainables.crystals.sources.records import objects_of, structure_of

ENERGIES, FREQUENCIES, FERMI = "energies", "frequencies", "efermi"
OF_SITES, OF_CRYSTAL = "pdos", "densities"
_ORBITAL = re.compile(r"(\d*[spdf])[-+^_()xyz\d]*")  # s, px, dx2_y2, f_3, 2p_x; not total, t2g
SPINS = {"1": 1, "up": 1, "Spin.up": 1, "-1": -1, "down": -1, "Spin.down": -1}


class CompleteDosList:
    """Streams such a list; energies of electrons become relative to the Fermi level.

    Densities are summed over spins, and those of a site over its orbitals. `curve_columns` say
    what is read.

    Args:
        energies: key of the energies, which has to be that of the objects; None for this.
        densities: `OF_SITES` or `OF_CRYSTAL`; None for the former if any object has some.

    Raises:
        SourceError: the file is missing, broken or unsuitable.
    """

    def __init__(
        self, path: Path, energies: str | None = None, densities: str | None = None
    ) -> None:
        self.path, self.name = path, stem(path)
        axis, keys = _look_through(path)
        there = [key for key in (OF_SITES, OF_CRYSTAL) if key in keys]
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
        axis, other = (FREQUENCIES, ENERGIES) if self._phonons else (ENERGIES, FREQUENCIES)
        if axis not in one and other in one:
            raise BadCrystal(f"no {axis}: the object has {other}, and the others have {axis}")
        energies = _numbers(_of(one, axis), axis)
        if not self._phonons:
            energies = energies - _level(_of(one, FERMI))
        held = _of(one, self._densities)
        if self.per_site and not isinstance(held, list):
            raise BadCrystal(f"broken densities: {OF_SITES} is no list with an entry for each site")
        curves = list(map(self._summed, held if self.per_site else [held]))
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
            return _numbers(held, self._densities)
        if not self.per_site:
            return _over_spins(held)
        if not isinstance(held, dict) or not held:
            raise BadCrystal("broken densities: a site has no orbitals")
        _demand_orbitals(list(held))
        orbitals = [_over_spins(_of(orbital, OF_CRYSTAL)) for orbital in held.values()]
        return _sum(orbitals, "orbitals")


def _look_through(path: Path) -> tuple[str, set[str]]:
    """The key of the energies, as most objects have it, and the densities that some object has.

    Raises:
        SourceError: there is no object of the kind.
    """
    kinds: Counter[str] = Counter()
    keys: set[str] = set()
    for one in objects_of(path):
        if not isinstance(one, dict) or OF_CRYSTAL not in one:
            continue
        axis = next((key for key in (FREQUENCIES, ENERGIES) if key in one), None)
        if axis is not None:
            kinds[axis] += 1
            keys |= {key for key in (OF_SITES, OF_CRYSTAL) if one.get(key)}
    if not kinds or not keys:
        raise SourceError(
            f"{path}: no object is a CompleteDos or CompletePhononDos of pymatgen;"
            " write a list of what their as_dict() gives, or Parquet"
        )
    return kinds.most_common(1)[0][0], keys


def _of(held: Any, key: str) -> Any:
    if not isinstance(held, dict):
        raise BadCrystal(f"broken densities: {one_line(json.dumps(held), 40)} is no object")
    if key not in held:
        raise BadCrystal(f"no {key} in the object")
    return held[key]


def _demand_orbitals(names: list[str]) -> None:
    """Raises BadCrystal if a name is no orbital, or a shell stands beside orbitals of its own."""
    shells = [match and match[1] for match in map(_ORBITAL.fullmatch, names)]
    for name, shell in zip(names, shells, strict=True):
        if shell is None:
            raise BadCrystal(f"unknown orbital: {one_line(name, 30)!r} is none of s, p, d and f")
        if name == shell and shells.count(shell) > 1:
            raise BadCrystal(f"densities counted twice: {name} stands beside its own orbitals")


def _over_spins(held: Any) -> np.ndarray:
    """[P] densities over spins, of which each is one of `SPINS`."""
    if not isinstance(held, dict) or not held:
        raise BadCrystal("broken densities: no object of spins")
    odd = [key for key in held if key not in SPINS]
    if odd:
        raise BadCrystal(
            f"unknown spin: {one_line(odd[0], 30)!r}; pymatgen writes 1 for up and -1 for down"
        )
    if len({SPINS[key] for key in held}) < len(held):
        raise BadCrystal(f"broken densities: spins {', '.join(held)} are one twice")
    return _sum([_numbers(values, f"spin {key}") for key, values in held.items()], "spins")


def _sum(curves: list[np.ndarray], what: str) -> np.ndarray:
    """[P] the sum of curves; raises BadCrystal if they differ in length."""
    sizes = sorted({curve.size for curve in curves})
    if len(sizes) > 1:
        raise BadCrystal(f"{what} differ in length: {sizes[0]} and {sizes[-1]} densities")
    return np.asarray(np.sum(curves, axis=0))


def _numbers(values: Any, what: str) -> np.ndarray:
    """[P] numbers of a list, or of an array as monty writes one; NaN for null."""
    plain = values.get("data") if isinstance(values, dict) else values
    if not isinstance(plain, list):
        raise BadCrystal(f"broken densities: {what} is no list of numbers")
    odd = next((one for one in plain if type(one) not in (int, float, NoneType)), None)
    if odd is not None:
        raise BadCrystal(f"broken densities: {what} holds {one_line(json.dumps(odd), 30)}")
    try:
        return np.array(plain, np.float64)
    except OverflowError:
        raise BadCrystal(f"broken densities: a number of {what} is too large") from None


def _level(value: Any) -> float:
    """The Fermi level; raises BadCrystal if it is no number."""
    (found,) = _numbers([value], FERMI)
    if np.isnan(found):
        raise BadCrystal(f"broken densities: {FERMI} is no number: {one_line(json.dumps(value))}")
    return float(found)
