"""Symmetry operations: parsing them, and testing what they leave invariant.

Shape letters: O operations.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from trainables.crystals.crystal import BadCrystal

_TERM = re.compile(r"([+-]?)(?:(\d+(?:\.\d*)?|\.\d+)(?:/(\d+))?\*?)?([xyz])?")
_GRID = 24  # translations of space groups are multiples of 1/12, in unusual cells of 1/24
_ROUNDED = 1e-3  # tolerance of a decimal fraction that stands for one of them
_COARSE = 0.02  # tolerance of the translations of products: 0.33 + 0.33 is 0.67


@dataclass(frozen=True, eq=False)
class Operations:
    """x' = W x + w for each operation, in fractional coordinates.

    Attributes:
        rotations: [O, 3, 3], W.
        translations: [O, 3], w.
    """

    rotations: NDArray[np.float64]
    translations: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rotations)

    def images(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """[N, O, 3] images in [0, 1) of [N, 3] positions."""
        x, y, z = (places[:, None, axis, None] for axis in range(3))
        columns = np.moveaxis(self.rotations, 2, 0)
        moved = columns[0] * x + columns[1] * y + columns[2] * z + self.translations
        return moved - np.floor(moved)

    def fit(self, lattice: NDArray[np.float64], tolerance: float) -> bool:
        """Whether all of them leave the cell invariant.

        Args:
            lattice: [3, 3] rows a, b, c in Å.
            tolerance: largest change of a scalar product of two cell vectors, relative to the
                product of their lengths; 0.01 is half a degree or half a per cent.
        """
        metric = lattice @ lattice.T
        changed = np.swapaxes(self.rotations, 1, 2) @ metric @ self.rotations
        lengths = np.linalg.norm(lattice, axis=1)
        return bool((np.abs(changed - metric) <= tolerance * np.outer(lengths, lengths)).all())

    def lattice_points(self) -> int:
        """Number of translations, including the identity."""
        return int((self.rotations == np.eye(3)).all(axis=(1, 2)).sum())

    def on_grid(self) -> Operations:
        """The same with coarse translations (0.33) replaced by exact ones."""
        near = np.round(self.translations * _GRID) / _GRID
        close = np.abs(self.translations - near) < _COARSE / 3
        return Operations(self.rotations, np.where(close, near, self.translations))

    def distinct(self) -> Operations:
        """The first of each set of operations that differ by lattice vectors only."""
        kept: dict[tuple[float, ...], int] = {}
        wrapped = np.round(self.translations, 4) % 1.0 % 0.9999
        for at, row in enumerate(np.hstack([self.rotations.reshape(-1, 9), wrapped]).tolist()):
            kept.setdefault(tuple(row), at)
        chosen = list(kept.values())
        return Operations(self.rotations[chosen], self.translations[chosen])

    def is_group(self) -> bool:
        """Whether distinct operations contain the identity and each product of two of them.

        Products with generators suffice: each operation that earlier ones do not generate is one.
        """
        first = self._places(IDENTITY)[0]
        if first < 0:
            return False
        reached = np.zeros(len(self), dtype=bool)
        reached[first] = True
        moves: list[NDArray[np.intp]] = []
        for at in range(len(self)):
            if reached[at]:
                continue
            turn, shift = self.rotations[at], self.translations[at]
            moved = Operations(turn @ self.rotations, self.translations @ turn.T + shift)
            moves.append(self._places(moved))
            if (moves[-1] < 0).any():
                return False
            count = 0
            while count < (count := int(reached.sum())):
                for move in moves:
                    reached[move[reached]] = True
            if not reached[at]:
                return False
        return True

    def equals(self, other: Operations) -> bool:
        """Whether two sets of distinct operations are the same, in any order."""
        return len(self) == len(other) and len({*self._places(other).tolist()} - {-1}) == len(self)

    def _places(self, others: Operations) -> NDArray[np.intp]:
        """[O] position of each of the others among these, -1 if missing."""
        tree = cKDTree(_points(self), boxsize=(0, 1, 1, 1))
        apart, places = tree.query(_points(others), p=np.inf)
        return np.where(apart < _COARSE, places, -1)


def _points(operations: Operations) -> NDArray[np.float64]:
    """[O, 4]: a number for the rotation, and the translation in [0, 1)."""
    codes = (operations.rotations.reshape(-1, 9) + 3) @ 7.0 ** np.arange(9)
    wrapped = operations.translations - np.floor(operations.translations)
    return np.column_stack([codes, np.where(wrapped >= 1.0, 0.0, wrapped)])


IDENTITY = Operations(np.eye(3)[None], np.zeros((1, 3)))


def parse_operations(texts: Sequence[str]) -> Operations:
    """Parses operations such as `x,y,z`, `-y, x-y, z+1/3` or `1/2+X,Y,Z`; drops repeated ones.

    Raises:
        BadCrystal: one cannot be understood, or is impossible in a crystal.
    """
    parsed = [_parse(text) for text in texts]
    return Operations(
        np.array([rotation for rotation, _ in parsed]),
        np.array([translation for _, translation in parsed]),
    ).distinct()


def _parse(text: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rotation, translation = np.zeros((3, 3)), np.zeros(3)
    parts = re.sub(r"\s", "", text).lower().split(",")
    understood = len(parts) == 3
    for row, part in enumerate(parts[:3]):
        matches = [match for match in _TERM.finditer(part) if match[0]]
        understood &= bool(part) and "".join(match[0] for match in matches) == part
        for at, (sign, whole, under, axis) in enumerate(match.groups() for match in matches):
            understood &= bool(whole or axis) and bool(at == 0 or sign) and under != "0"
            if not understood:
                break
            value = float(whole or 1) / float(under or 1) * (-1.0 if sign == "-" else 1.0)
            if axis:
                rotation[row, "xyz".index(axis)] += value
            else:
                translation[row] += value
    whole_numbers = bool((rotation == np.round(rotation)).all())
    if not (understood and whole_numbers and abs(abs(np.linalg.det(rotation)) - 1) < 1e-6):
        raise BadCrystal(f"no structure: {text[:40]!r} is no symmetry operation")
    near = np.round(translation * _GRID) / _GRID
    translation = np.where(np.abs(translation - near) < _ROUNDED, near, translation)
    return rotation, translation
