"""A few monolayers with made potentials, whose depth and width follow from their atoms."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from tests.models.slabs_for_tests import HEXAGONAL, SLABS, SMALL
from trainables.crystals.crystal import Crystal
from trainables.crystals.potentials import Grid, Potential
from trainables.models.recipe import Recipe
from trainables.representations.dataset import Dataset
from trainables.representations.pairs import Pairs
from trainables.representations.planar_atoms import planar_atoms
from trainables.targets.base import Target
from trainables.testing.crystals import crystal
from trainables.testing.samples import built
from trainables.training.contrast_spec import (
    CONTRAST_VERSION,
    ContrastMembers,
    ContrastSpec,
    members_of,
)

GRID = Grid(points=32, span=24.0)
METALS = (22, 23, 40, 41, 42, 46, 72, 74, 78)
ANIONS = (8, 9, 16, 17, 34, 35, 52)


def layer(metal: int, lower: int, upper: int) -> Crystal:
    """A trigonal layer whose sides may differ."""
    thick = 0.05 + 0.001 * upper / 2
    frac = [(1 / 3, 2 / 3, 0.5), (2 / 3, 1 / 3, 0.5 - thick), (2 / 3, 1 / 3, 0.5 + thick)]
    stretched = HEXAGONAL * np.array([[1 + metal / 500], [1 + metal / 500], [1]])
    return crystal([metal, lower, upper], frac, stretched)


def potential(one: Crystal) -> Potential:
    """A well for each atom, and a step where the sides differ."""
    height = float(one.lattice[2, 2])
    z = np.arange(240) / 240 * height
    apart = (z[:, None] - one.frac[:, 2] * height + height / 2) % height - height / 2
    depth = 5 + 0.2 * one.numbers.astype(float)
    wells = np.exp(-((apart / 0.9) ** 2)) @ depth
    dipole = 0.02 * (float(one.numbers[2]) - float(one.numbers[1]))
    step = dipole / 2 * np.tanh((z - height / 2) / 0.5) * (1 - (np.abs(z / height - 0.5) > 0.49))
    fermi = -3.0 - 0.03 * float(one.numbers.sum())
    return Potential.of(step - wells, height=height, fermi=fermi)


@cache
def small_pairs(count: int = 60) -> Pairs:
    """Materials with their profiles."""
    rng = np.random.default_rng(5)
    crystals = [
        layer(int(rng.choice(METALS)), int(rng.choice(ANIONS)), int(rng.choice(ANIONS)))
        for _ in range(count)
    ]
    potentials = [potential(one) for one in crystals]
    data = Dataset(
        graphs=built(crystals, SLABS),
        target=np.array([GRID.profile(one) for one in potentials]),
        ids=np.array([f"layer-{index}" for index in range(count)]),
        rows=np.arange(count),
        total=count,
    )
    vacuum = np.array([one.vacuum - one.fermi for one in potentials])
    return Pairs(data, GRID, vacuum, np.array([planar_atoms(one, GRID) for one in crystals]))


RECIPE = Recipe(
    name="tuned", optimiser="adamw", lr=3e-3, schedule="cosine", loss="l1", batch_size=13,
    epochs=4, patience=100,
)  # fmt: skip


def small_spec(
    pairs: Pairs, members: int = 1, recipe: Recipe = RECIPE, **more: Any
) -> ContrastMembers:
    """Small models of the materials, in double precision."""
    first = ContrastSpec(
        data=pairs.fingerprint,
        target=Target(name="profile", unit="eV", kind="spectrum", shape=(GRID.points,)),
        representation=SLABS,
        fold=0,
        seed=1,
        recipe=recipe,
        training=CONTRAST_VERSION,
        options=replace(SMALL, mean=True),
        grid=GRID,
        precision=64,
    )
    return ContrastMembers(models=members_of(replace(first, **more), members))
