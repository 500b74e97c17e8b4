"""How readily an element is replaced by another in known crystals (thesis 3.1.2).

S_AB = n_AB / N_A (eq. 3.1; Wang et al. 2021, 10.1038/s41524-020-00481-6): of the N_A crystals with
element A, how often replacing A by B gives another known crystal. Chemical distances are d = 1 / S;
missing pairs go through others: along a path distances multiply (eq. 3.2).

Shape letters: n elements, Z atomic numbers 0 to 118.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.elements import MAX_Z, SYMBOLS
from analysis.paths import find_shortest_paths

Kind = Literal["share", "logarithm", "product"]


@dataclass(frozen=True, kw_only=True)
class Replaceability:
    """S of given elements.

    Attributes:
        numbers: atomic numbers [n], ascending.
        values: S [n, n], row A replaced by column B; 0 if never observed, and on the diagonal.
        occurrences: N_A [n].
        estimated: atomic numbers whose N_A was missing and is estimated.
    """

    numbers: np.ndarray
    values: np.ndarray
    occurrences: np.ndarray
    estimated: tuple[int, ...] = ()

    @property
    def isolated(self) -> list[int]:
        """Atomic numbers of elements that replace none and are replaced by none."""
        alone = (self.values.sum(axis=0) + self.values.sum(axis=1)) == 0
        return [int(z) for z in self.numbers[alone]]

    def of(self, numbers: np.ndarray) -> Replaceability:
        """The same for these atomic numbers, in their order; unknown ones are isolated."""
        place = np.full(MAX_Z + 1, -1)
        place[self.numbers] = np.arange(len(self.numbers))
        here = place[numbers]
        known = here >= 0
        values = np.where(known[:, None] & known, self.values[here][:, here], 0.0)
        occurrences = np.where(known, self.occurrences[here], 0.0)
        estimated = tuple(z for z in self.estimated if z in set(numbers.tolist()))
        return Replaceability(
            numbers=numbers, values=values, occurrences=occurrences, estimated=estimated
        )

    @property
    def symmetric(self) -> np.ndarray:
        """[n, n]: the larger of S_AB and S_BA, used for symmetric relations."""
        return np.maximum(self.values, self.values.T)


def from_counts(counts_zz: np.ndarray, occurrences_z: np.ndarray | None) -> Replaceability:
    """S from counts of replacements and of crystals, both by atomic number (0 is padding).

    An element that is counted in replacements but in no crystals gets an estimate of N_A: its
    replacements times the median over the other elements of crystals per replacement. Without
    occurrences, N_A is the number of replacements of A: then S states by what A is replaced, but
    not how often.

    The elements are those with a replacement or an occurrence.

    Raises:
        ValueError: no replacement at all.
    """
    sums = counts_zz.sum(axis=1)
    if not sums.any():
        raise ValueError("no replacement is counted")
    if occurrences_z is None:
        crystals, estimated = sums.astype(np.float64), np.zeros(MAX_Z + 1, dtype=bool)
    else:
        both = (sums > 0) & (occurrences_z > 0)
        if not both.any():
            raise ValueError("no element has both replacements and crystals")
        estimated = (sums > 0) & ~(occurrences_z > 0)
        a_replacement = np.median(occurrences_z[both] / sums[both])
        crystals = np.where(estimated, a_replacement * sums, occurrences_z).astype(np.float64)
    present = (sums > 0) | (counts_zz.sum(axis=0) > 0) | (crystals > 0)
    present[0] = False
    numbers = np.flatnonzero(present)
    counts = counts_zz[np.ix_(numbers, numbers)]
    values = np.divide(
        counts,
        crystals[numbers, None],
        out=np.zeros(counts.shape, dtype=np.float64),
        where=crystals[numbers, None] > 0,
    )
    np.fill_diagonal(values, 0.0)
    return Replaceability(
        numbers=numbers,
        values=values,
        occurrences=crystals[numbers],
        estimated=tuple(int(z) for z in np.flatnonzero(estimated)),
    )


def chemical_distances(replaceability: Replaceability) -> np.ndarray:
    """d [n, n], symmetric with zero diagonal (eq. 3.2).

    S above 1 (more than one replacement per crystal) counts as 1, so that a detour is never shorter
    than its parts. Multiplicative paths are shortest paths of ln d. The smaller of d_AB and d_BA is
    used. Elements that no path joins are as far apart as the farthest pair that one does.

    Raises:
        ValueError: no element is ever replaced.
    """
    direct = np.minimum(replaceability.values, 1.0)
    if not direct.any():
        raise ValueError("no element is ever replaced by another")
    with np.errstate(divide="ignore"):
        lengths = find_shortest_paths(-np.log(direct))
    lengths = np.minimum(lengths, lengths.T)
    joined = np.isfinite(lengths)
    np.fill_diagonal(joined, False)
    lengths = np.where(joined, lengths, lengths[joined].max())
    distances = np.exp(lengths)
    np.fill_diagonal(distances, 0.0)
    return distances


def dissimilarities(replaceability: Replaceability, kind: Kind) -> np.ndarray:
    """The dissimilarities for MDS [n, n], symmetric with zero diagonal.

    - `share`: 1 − S / max S, with the larger of S_AB and S_BA. Every replacement counts, and all
      pairs never observed are equally far.
    - `logarithm`: of the chemical distances.
    - `product`: the chemical distances themselves, as in the thesis. They span six orders of
      magnitude, so the least often replaced elements determine the order of all.
    """
    if kind == "share":
        found = 1.0 - replaceability.symmetric / replaceability.values.max()
    else:
        found = chemical_distances(replaceability)
        if kind == "logarithm":
            found = np.log(np.maximum(found, 1.0))
    np.fill_diagonal(found, 0.0)
    return found


def check_counts(counts_zz: np.ndarray) -> None:
    """Validates counts by atomic number.

    Raises:
        ValueError: a count is no number of at least 0; the pair is named.
    """
    bad = np.argwhere(~(np.isfinite(counts_zz) & (counts_zz >= 0)))
    if len(bad):
        a, b = (SYMBOLS[z] or "0" for z in bad[0])
        raise ValueError(f"the count of {a} replaced by {b} is {counts_zz[tuple(bad[0])]:g}")
