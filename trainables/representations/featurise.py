"""Featurises raw rows of a source to graphs, many crystals at once.

Legend: B crystals, … the shape of a target's value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainables.crystals.checks import (
    MIN_DISTANCE,
    check,
    check_closest,
    check_distances,
    closest_pair_is_near,
    least_distances,
)
from trainables.crystals.crystal import BadCrystal, Crystal, Entry
from trainables.crystals.parsing import parse
from trainables.representations.columns import Columns
from trainables.representations.graph import PER_ANGSTROM, CrystalGraph, Neighbours
from trainables.representations.neighbours import find_neighbours
from trainables.representations.tensor_frames import placed
from trainables.targets.base import NUMBER, Kind, Target
from trainables.targets.kinds import kind_of
from trainables.targets.tensor import TensorKind

# Å³ per atom below which two atoms must be nearer than MIN_DISTANCE: no packing of equal spheres is
# denser than π/√18 (Hales 2005, doi:10.4007/annals.2005.162.1065).
SMALLEST_VOLUME = MIN_DISTANCE**3 / 2**0.5


@dataclass(frozen=True)
class Featurised:
    """The result for some entries.

    Attributes:
        reasons: per entry, "" or why it is bad.
        target: [B, …] of the good entries, in order; flat, [atoms, …], if it is per site.
        graphs: by name of the representation, of the B good entries, in order.
    """

    reasons: list[str]
    target: np.ndarray
    graphs: dict[str, Columns]


def featurise(
    entries: Sequence[Entry],
    kinds: Sequence[CrystalGraph],
    max_atoms: int,
    target: Target = NUMBER,
    *,
    slabs: bool = False,
) -> Featurised:
    """Parses, checks and featurises; a bad crystal affects only itself.

    The target of an entry without a requested one is NaN.

    Args:
        slabs: whether they are slabs, as of `parse`.
    """
    reasons = [""] * len(entries)
    crystals: list[Crystal] = []
    values: list[np.ndarray] = []
    learned = kind_of(target)
    places: list[int] = []
    for place, entry in enumerate(entries):
        try:
            crystal = parse(entry, slab=slabs)
            check(crystal, max_atoms)
            _check_density(crystal)
            values.append(_value(learned, entry, crystal))
        except BadCrystal as bad:
            reasons[place] = str(bad)
        else:
            crystals.append(crystal)
            places.append(place)
    neighbours = find_neighbours(crystals, kinds)
    refused = _too_close(crystals, neighbours)
    for kind in kinds:
        refused = kind.refused(neighbours) | refused
    for index, reason in refused.items():
        reasons[places[index]] = reason
    if refused:
        kept = [index for index in range(len(crystals)) if index not in refused]
        values = [values[index] for index in kept]
        neighbours = find_neighbours([crystals[index] for index in kept], kinds)
    graphs = {kind.name: kind.build(neighbours) for kind in kinds}
    return Featurised(reasons, _joined(learned, values), graphs)


def _value(kind: Kind, entry: Entry, crystal: Crystal) -> np.ndarray:
    """The target of an entry; NaN if none is requested."""
    if entry.target is None:
        return np.full(kind.target.shape, np.nan)
    value = kind.parse(entry.target, crystal)
    return placed(kind, value, crystal) if isinstance(kind, TensorKind) else value


def _joined(kind: Kind, values: Sequence[np.ndarray]) -> np.ndarray:
    shape = kind.target.shape
    if kind.per_site:
        return np.concatenate([np.zeros((0, *shape)), *values])
    return np.array(values, dtype=np.float64).reshape(-1, *shape)


def _check_density(crystal: Crystal) -> None:
    """Refuses crystals that are too dense before their neighbours, far too many, are listed."""
    volume = abs(float(np.linalg.det(crystal.lattice)))
    if volume >= SMALLEST_VOLUME * len(crystal.numbers):
        return
    # The closest pair is named if that is cheap; in a skewed cell it may take hours.
    if closest_pair_is_near(crystal):
        check_closest(crystal)
    raise BadCrystal(
        f"atoms too close: {volume / len(crystal.numbers):.2g} Å³ an atom, so that some are nearer"
        f" than {MIN_DISTANCE} Å"
    )


def _too_close(crystals: Sequence[Crystal], neighbours: Neighbours) -> dict[int, str]:
    """Reasons, by index, of the crystals with two atoms closer than their elements allow."""
    found: dict[int, str] = {}
    z = neighbours.z
    least = (least_distances() * PER_ANGSTROM)[z[neighbours.dst], z[neighbours.src]]
    near = np.flatnonzero(neighbours.distance < least)
    crystal_of = np.searchsorted(neighbours.node_ptr, neighbours.dst[near], side="right") - 1
    for index in np.unique(crystal_of):
        pairs = near[crystal_of == index]
        base = neighbours.node_ptr[index]
        try:
            check_distances(
                crystals[index].numbers,
                neighbours.dst[pairs] - base,
                neighbours.src[pairs] - base,
                neighbours.distance[pairs] / PER_ANGSTROM,
            )
        except BadCrystal as bad:
            found[int(index)] = str(bad)
    return found
