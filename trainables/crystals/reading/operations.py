"""Symmetry operations: how they are written, and what they leave as it is.

Shape letters: O operations.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainables.crystals.crystal import BadCrystal

_TERM = re.compile(r"([+-]?)(?:(\d+(?:\.\d*)?|\.\d+)(?:/(\d+))?\*?)?([xyz])?")
_GRID = 24  # translations of space groups are multiples of 1/12, in other cells of 1/24
_ROUNDED = 1e-3  # by which a decimal fraction may miss one of them


@dataclass(frozen=True, eq=False)
class Operations:
    """x' = W x + w for each of some operations, in fractional coordinates.

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
        """Whether all of them leave the cell as it is.

        Args:
            lattice: [3, 3] rows a, b, c in Å.
            tolerance: largest change of a scalar product of two cell vectors, beside the product of
                their lengths; 0.01 is half a degree or half a per cent.
        """
        metric = lattice @ lattice.T
        changed = np.swapaxes(self.rotations, 1, 2) @ metric @ self.rotations
        lengths = np.linalg.norm(lattice, axis=1)
        return bool((np.abs(changed - metric) <= tolerance * np.outer(lengths, lengths)).all())


IDENTITY = Operations(np.eye(3)[None], np.zeros((1, 3)))


def parse_operations(texts: Sequence[str]) -> Operations:
    """Operations written as `x,y,z`, `-y, x-y, z+1/3` or `1/2+X,Y,Z`; of equal ones the first.

    Raises:
        BadCrystal: one cannot be understood or is none of a crystal.
    """
    kept: dict[tuple[float, ...], tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for text in texts:
        rotation, translation = _parse(text)
        wrapped = np.round(translation, 4) % 1.0 % 0.9999
        kept.setdefault((*rotation.ravel(), *wrapped), (rotation, translation))
    return Operations(
        np.array([rotation for rotation, _ in kept.values()]),
        np.array([translation for _, translation in kept.values()]),
    )


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
    if not understood or abs(abs(np.linalg.det(rotation)) - 1) > 1e-6:
        raise BadCrystal(f"no structure: {text[:40]!r} is no symmetry operation")
    near = np.round(translation * _GRID) / _GRID
    translation = np.where(np.abs(translation - near) < _ROUNDED, near, translation)
    return rotation, translation
