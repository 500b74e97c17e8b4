"""How well a scale preserves the relations of the elements, compared with published scales.

Shape letters: n elements that the scale and the relations share.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources

import numpy as np
import pandas as pd

from analysis.elements import NUMBERS

NEIGHBOURS = 5
MODIFIED_PETTIFOR = "modified Pettifor"
_SCALES = resources.files("analysis.scale").joinpath("data", "scales.csv")


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """How well a scale preserves relations.

    Attributes:
        elements: how many were compared.
        stress: stress-1 of the distances on the scale, stretched to fit best, against the chemical
            distances; 0 is perfect (Kruskal 1964, 10.1007/BF02289565).
        spearman: rank correlation of distance on the scale with −S, over pairs with S > 0.
        neighbours: share of an element's most replaceable partners (at most `NEIGHBOURS`) that are
            among as many nearest on the scale; mean over the elements that have partners.
    """

    elements: int
    stress: float
    spearman: float
    neighbours: float


def fidelity(
    coordinates_n: np.ndarray, replaceability_nn: np.ndarray, distances_nn: np.ndarray
) -> Fidelity:
    """Evaluates a scale by a symmetric S and by chemical distances."""
    n = len(coordinates_n)
    upper = np.triu_indices(n, 1)
    apart_nn = np.abs(coordinates_n[:, None] - coordinates_n[None])
    apart, wanted = apart_nn[upper], distances_nn[upper]
    stretch = float(apart @ wanted) / max(float(apart @ apart), np.finfo(float).tiny)
    seen = replaceability_nn[upper] > 0
    near, alike = pd.Series(-apart[seen]), pd.Series(replaceability_nn[upper][seen])
    return Fidelity(
        elements=n,
        stress=float(np.sqrt(((wanted - stretch * apart) ** 2).sum() / (wanted**2).sum())),
        spearman=float(near.corr(alike, method="spearman", min_periods=3)),
        neighbours=_kept(apart_nn, replaceability_nn),
    )


def _kept(apart_nn: np.ndarray, replaceability_nn: np.ndarray) -> float:
    shares = []
    for element, (apart, partners) in enumerate(zip(apart_nn, replaceability_nn, strict=True)):
        most = min(NEIGHBOURS, int((partners > 0).sum()))
        if most == 0:
            continue
        wanted = np.argsort(-partners, kind="stable")[:most]
        others = np.delete(np.arange(len(apart)), element)
        near = others[np.argsort(apart[others], kind="stable")][:most]
        shares.append(len(np.intersect1d(wanted, near)) / most)
    return float(np.mean(shares)) if shares else float("nan")


def known_scales() -> dict[str, dict[int, float]]:
    """Published scales: name, then atomic number to position.

    Pettifor (1984, 10.1016/0038-1098(84)90765-8), modified Pettifor (Glawe et al. 2016,
    10.1088/1367-2630/18/9/093011) and Mendeleev numbers (Villars et al. 2004,
    10.1016/j.jallcom.2003.08.060); scripts/make_scales.py wrote the file.
    """
    with resources.as_file(_SCALES) as path, open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != "symbol"]
    return {
        name: {NUMBERS[row["symbol"]]: float(row[name]) for row in rows if row[name]}
        for name in names
    }
