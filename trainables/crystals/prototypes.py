"""Structure types of ionic crystals as fixed fractional coordinates in a cell with a = 1.

Positions: R. W. G. Wyckoff, Crystal Structures, and the AFLOW prototype encyclopedia
(doi:10.1016/j.commatsci.2017.01.017). Free parameters take the value of the name-giving compound,
or the one that makes all bonds equal. A role is a set of sites that one ion fills.

Shape letters: N sites.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CUBIC = np.eye(3)
_FCC = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
_IDEAL_HEX = math.sqrt(8 / 3)  # c/a of close-packed spheres


@dataclass(frozen=True, kw_only=True)
class Prototype:
    """One structure type: its sites by role, and the charges of the ions that may fill them.

    Attributes:
        lattice: [3, 3] rows, with a = 1.
        frac: [N, 3] fractional coordinates.
        roles: [N] int64, the role of each site.
        coordination: nearest counter-ions of each role, which selects the Shannon radius.
        charges: patterns, one number a role.
    """

    name: str
    lattice: NDArray[np.float64]  # [3, 3]
    frac: NDArray[np.float64]  # [N, 3]
    roles: NDArray[np.int64]  # [N]
    coordination: tuple[int, ...]
    charges: tuple[tuple[int, ...], ...]


Sites = Sequence[tuple[float, float, float]]


def _make(
    name: str,
    lattice: NDArray[np.float64],
    sites: Sequence[Sites],
    coordination: tuple[int, ...],
    *charges: tuple[int, ...],
) -> Prototype:
    roles = [role for role, places in enumerate(sites) for _ in places]
    frac = np.array([place for places in sites for place in places], dtype=np.float64)
    return Prototype(
        name=name, lattice=lattice, frac=frac, roles=np.array(roles), coordination=coordination,
        charges=charges,
    )  # fmt: skip


def _hexagonal(c: float) -> NDArray[np.float64]:
    return np.array([[1.0, 0.0, 0.0], [-0.5, math.sqrt(3) / 2, 0.0], [0.0, 0.0, c]])


def _rhombohedral(c: float) -> NDArray[np.float64]:
    hexagonal = _hexagonal(c)
    obverse = np.array([[2, 1, 1], [-1, 1, 1], [-1, -2, 1]]) / 3
    return np.asarray(obverse @ hexagonal)


def _tetragonal(c: float) -> NDArray[np.float64]:
    return np.diag([1.0, 1.0, c])


def _centred(c: float, sites: Sequence[Sites]) -> tuple[NDArray[np.float64], list[Sites]]:
    # Body-centred tetragonal: sites given in the conventional cell, returned in the primitive one.
    primitive = np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])
    back = np.linalg.inv(primitive)
    moved = [[tuple((np.array(p) @ back).round(12)) for p in places] for places in sites]
    return primitive @ _tetragonal(c), moved  # type: ignore[return-value]


def _both(*sites: tuple[float, float, float]) -> Sites:
    return [*sites, *((-x, -y, -z) for x, y, z in sites)]


def _turned(first: float, second: float, third: float) -> Sites:
    a, b, c = first, second, third
    return sorted({(a, b, c), (a, c, b), (b, a, c), (b, c, a), (c, a, b), (c, b, a)})


def _cubic_types() -> list[Prototype]:
    zero, half, quarter = (0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    edges = _turned(0.5, 0.0, 0.0)
    binary = ((1, -1), (2, -2), (3, -3))
    eighths = _both((0.24, 0.24, -0.24), (0.24, -0.24, 0.24), (-0.24, 0.24, 0.24))
    quarters = _both((0.25, 0.25, -0.25), (0.25, -0.25, 0.25), (-0.25, 0.25, 0.25))
    u = 0.2625
    w = 0.5 - 3 * u
    spinel = [[(0.125,) * 3, (0.875,) * 3], [half, *_turned(0.5, 0.5, 0.0)],
              _both((u, u, u), (u, u, w), (u, w, u), (w, u, u))]  # fmt: skip
    copper = [quarter, *_turned(0.75, 0.75, 0.25)]
    return [
        _make("rocksalt", _FCC, [[zero], [half]], (6, 6), *binary),
        _make("cscl", _CUBIC, [[zero], [half]], (8, 8), *binary),
        _make("zincblende", _FCC, [[zero], [quarter]], (4, 4), *binary),
        _make("fluorite", _FCC, [[zero], _both(quarter)], (8, 4), (2, -1), (4, -2)),
        _make("antifluorite", _FCC, [_both(quarter), [zero]], (4, 8), (1, -2)),
        _make("cuprite", _CUBIC, [copper, [zero, half]], (2, 4), (1, -2)),
        _make("reo3", _CUBIC, [[zero], edges], (6, 2), (3, -1), (6, -2)),
        _make("perovskite", _CUBIC, [[half], [zero], edges], (12, 6, 6),
              (1, 2, -1), (2, 4, -2), (3, 3, -2), (1, 5, -2)),
        _make("antiperovskite", _CUBIC, [edges, [zero], [half]], (6, 6, 12), (1, -2, -1)),
        _make("spinel", _FCC, spinel, (4, 6, 4), (2, 3, -2), (4, 2, -2)),
        _make("elpasolite", _FCC, [_both(quarter), [zero], [half], quarters], (12, 6, 6, 6),
              (1, 1, 3, -1)),
        _make("k2ptcl6", _FCC, [_both(quarter), [zero], eighths], (12, 6, 6), (1, 4, -1)),
        _make("nowotny", _FCC, [[half], [quarter], [zero]], (6, 4, 4), (1, 2, -3)),
    ]  # fmt: skip


def _hexagonal_types() -> list[Prototype]:
    zero, third, other = (0.0, 0.0, 0.0), (1 / 3, 2 / 3), (2 / 3, 1 / 3)
    wurtzite = [[(*third, 0.0), (*other, 0.5)], [(*third, 0.375), (*other, 0.875)]]
    nias = [[zero, (0.0, 0.0, 0.5)], [(*third, 0.25), (*other, 0.75)]]
    la2o3 = [_both((*third, 0.245)), [zero, *_both((*third, 0.645))]]
    return [
        _make("wurtzite", _hexagonal(_IDEAL_HEX), wurtzite, (4, 4), (1, -1), (2, -2), (3, -3)),
        _make("nias", _hexagonal(_IDEAL_HEX), nias, (6, 6), (2, -2), (3, -3)),
        _make("cdi2", _hexagonal(_IDEAL_HEX), [[zero], _both((*third, 0.25))], (6, 3),
              (2, -1), (4, -2)),
        _make("la2o3", _hexagonal(1.557), la2o3, (7, 4), (3, -2)),
    ]  # fmt: skip


def _rhombohedral_types() -> list[Prototype]:
    zero, half = (0.0, 0.0, 0.0), (0.5, 0.5, 0.5)
    z, x = 0.352, 0.556
    first, second = _both((z,) * 3), _both((0.5 - z,) * 3)
    oxygens = _both((x, 0.5 - x, 0.25), (0.25, x, 0.5 - x), (0.5 - x, 0.25, x))
    sapphire = _rhombohedral(2.73)
    return [
        _make("cdcl2", _rhombohedral(3 * _IDEAL_HEX), [[zero], _both((0.25,) * 3)], (6, 3),
              (2, -1), (4, -2)),
        _make("corundum", sapphire, [[*first, *second], oxygens], (6, 4), (3, -2)),
        _make("ilmenite", sapphire, [first, second, oxygens], (6, 6, 4), (2, 4, -2), (1, 5, -2)),
        _make("nafeo2", _rhombohedral(4.95), [[half], [zero], _both((0.26,) * 3)], (6, 6, 6),
              (1, 3, -2)),
    ]  # fmt: skip


def _tetragonal_types() -> list[Prototype]:
    zero, half = (0.0, 0.0, 0.0), (0.5, 0.5, 0.5)
    c = 0.644
    u = 0.25 + c * c / 8  # all six bonds of rutile equal
    rutile = [[zero, half], [*_both((u, u, 0.0)), (0.5 + u, 0.5 - u, 0.5), (0.5 - u, 0.5 + u, 0.5)]]
    v = 0.208
    titanium: Sites = [zero, (0.0, 0.5, 0.25)]
    anatase = [
        titanium,
        [(0.0, 0.0, v), (0.0, 0.0, -v), (0.0, 0.5, 0.25 + v), (0.0, 0.5, 0.25 - v)],
    ]
    layers = [_both((0.0, 0.0, 0.352)), [zero],
              [(0.0, 0.5, 0.0), (0.5, 0.0, 0.0), *_both((0.0, 0.0, 0.151))]]  # fmt: skip
    matlockite = [[(0.0, 0.5, 0.2055), (0.5, 0.0, -0.2055)], [zero, (0.5, 0.5, 0.0)],
                  [(0.0, 0.5, 0.6497), (0.5, 0.0, 0.3503)]]  # fmt: skip
    return [
        _make("rutile", _tetragonal(c), rutile, (6, 3), (2, -1), (4, -2)),
        _make("anatase", *_centred(2.5136, anatase), (6, 3), (4, -2)),
        _make("k2nif4", *_centred(3.264, layers), (9, 6, 6), (1, 2, -1), (2, 4, -2)),
        _make("matlockite", _tetragonal(1.76), matlockite, (9, 4, 6), (2, -1, -1), (3, -2, -1)),
    ]


def prototypes() -> list[Prototype]:
    """All structure types, in a fixed order."""
    return [*_cubic_types(), *_hexagonal_types(), *_rhombohedral_types(), *_tetragonal_types()]
