"""Divides clusters into groups whose members fit into each other's sites (thesis 3.2.4, fig. 3.12).

Two rules, both of the thesis:

1. Cations and anions of a cluster are separated.
2. Along ascending radius, a new group starts where the next radius is at least 1.30 times the
   previous one: beyond 30 % hardly any substitution is known (Goldschmidt 1926,
   10.1007/BF01507527).

An element without a known radius is a group of its own, and flagged.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import ascii_lowercase

import numpy as np

from analysis.elements import NUMBERS

_IONS = resources.files("analysis.substitution").joinpath("data", "ions.csv")
ANION, CATION = "-", "+"


@dataclass(frozen=True)
class Ion:
    """The ion that represents an element in crystals.

    Attributes:
        radius: the largest of its ionic radii in Å; None if none is known.
        sign: of its charge, `+` or `-`; the more common one if both occur.
    """

    radius: float | None
    sign: str


@cache
def ions() -> dict[int, Ion]:
    """The ions by atomic number, 1 to 118."""
    with resources.as_file(_IONS) as path, open(path, newline="") as file:
        return {
            NUMBERS[row["symbol"]]: Ion(
                float(row["radius"]) if row["radius"] else None, row["sign"]
            )
            for row in csv.DictReader(file)
        }


STEP = 1.30
FREE, LIMITED = 0.15, 0.30


@dataclass(frozen=True)
class Member:
    """An element's cluster 1, 2, … and group 1a, 1b, …"""

    number: int
    cluster: int
    group: str
    ion: Ion


def divide(numbers: np.ndarray, labels: np.ndarray, ions: Mapping[int, Ion]) -> list[Member]:
    """Members by atomic number; clusters are numbered in the order of their first element."""
    order = np.argsort(numbers)
    numbers, labels = numbers[order], labels[order]
    members = []
    for place, label in enumerate(dict.fromkeys(labels.tolist()), 1):
        cluster = numbers[labels == label].tolist()
        for which, group in enumerate(_divided(cluster, ions)):
            name = f"{place}{_letters(which)}"
            members += [Member(z, place, name, ions[z]) for z in group]
    return sorted(members, key=lambda member: member.number)


def _divided(cluster: list[int], ions: Mapping[int, Ion]) -> list[list[int]]:
    """Groups of one cluster: cations by radius, anions by radius, then those without one."""
    groups: list[list[int]] = []
    for sign in (CATION, ANION):
        sized = [
            (radius, z) for z in cluster if ions[z].sign == sign and (radius := ions[z].radius)
        ]
        before = 0.0
        for radius, z in sorted(sized):
            if radius >= STEP * before:
                groups.append([])
            groups[-1].append(z)
            before = radius
    return groups + [[z] for z in cluster if ions[z].radius is None]


def _letters(place: int) -> str:
    """a … z, aa, ab, …"""
    before, last = divmod(place, len(ascii_lowercase))
    return (_letters(before - 1) if before else "") + ascii_lowercase[last]


def fit(one: Ion, other: Ion) -> str:
    """Goldschmidt's term for how well an ion fits into another's site."""
    if one.radius is None or other.radius is None:
        return "unknown"
    if one.sign != other.sign:
        return "other sign"
    difference = max(one.radius, other.radius) / min(one.radius, other.radius) - 1
    return "free" if difference < FREE else "limited" if difference < LIMITED else "hardly"
