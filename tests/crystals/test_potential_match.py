"""Potentials that are not those of their atoms are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.crystals.made_potentials import FERMI, made, monolayer
from trainables.crystals.crystal import BadCrystal, Crystal, Entry
from trainables.crystals.parsing import parse
from trainables.crystals.potential_match import LEAST_EXPLAINED, demand_match
from trainables.crystals.potentials import Grid, Potential
from trainables.crystals.slab_cell import height_of
from trainables.crystals.slabs import GeneratedSlabs

HEIGHT = 25.0


def layer(gap: float = 21.0, shift: float = 0.0) -> Crystal:
    return parse(Entry(0, "x", "json", monolayer(HEIGHT, gap, shift), None, ""))


def potential(values: np.ndarray) -> Potential:
    return Potential.of(values, height=HEIGHT, fermi=FERMI)


@pytest.mark.parametrize("shift", [0.0, 3.0, 12.5, 20.0])
def test_atoms_in_their_wells_pass_wherever_they_lie(shift: float) -> None:
    demand_match(layer(shift=shift), potential(made(shift=shift, step=0.8)))
    demand_match(layer(shift=shift + 5.0), potential(made(shift=shift)), origin=5.0)


def test_wells_elsewhere_are_refused() -> None:
    for what, crystal, values in (
        ("an atom lies 8.* Å within the vacuum; is it another mat", layer(), made(shift=10.0)),
        ("the potential is not flat up to 6.* Å beyond", layer(24.9), made() + _hump()),
        ("wells at the atoms make .* % of the profile's variance, 80 %", layer(23.0), made()),
        ("wells at the atoms make .* or another origin of z", layer(), made(shift=0.5)),
    ):
        with pytest.raises(BadCrystal, match=f"atoms and wells do not match: {what}") as caught:
            demand_match(crystal, potential(values))
        assert len(str(caught.value).splitlines()) == 1


def _hump() -> np.ndarray:
    """[400] eV: a well far above the atoms."""
    z = np.arange(400) * HEIGHT / 400 - HEIGHT / 2
    return np.asarray(-8.0 * np.exp(-(((z - 4.5) / 0.5) ** 2) / 2))


def test_a_profile_from_the_other_face_is_refused() -> None:
    sites = [("Na", -3.0), ("Na", 0.0), ("Cl", 3.0)]
    crystal = parse(Entry(0, "x", "json", _stack(sites), None, ""))
    z = np.arange(400) * HEIGHT / 400 - HEIGHT / 2
    depths = {"Na": 20.0, "Cl": 10.0}
    upright = 3.0 - sum(depths[one] * np.exp(-(((z - at) / 0.5) ** 2) / 2) for one, at in sites)
    demand_match(crystal, potential(upright))
    turned = np.roll(upright[::-1], 1)
    wrong = "potential is upside down: .* % of its variance, and .* count z from the other face"
    for off in (turned, upright[::-1], np.roll(turned, 1)):  # and a point off
        with pytest.raises(BadCrystal, match=wrong):
            demand_match(crystal, potential(off))
    exchanged = parse(
        Entry(0, "x", "json", _stack([("K", -3.0), ("Na", 0.0), ("Cl", 3.0)]), None, "")
    )
    demand_match(exchanged, potential(turned))  # K may have Cl's wells: nothing tells


def _stack(sites: list[tuple[str, float]]) -> str:
    """JSON of a slab of atoms at places in Å from the middle of the cell."""
    made_of = [
        {"species": [{"element": element, "occu": 1}], "abc": [0, 0, 0.5 + at / HEIGHT]}
        for element, at in sites
    ]
    return json.dumps({"lattice": {"matrix": np.diag([4, 4, HEIGHT]).tolist()}, "sites": made_of})


def test_generated_slabs_are_told_from_each_other() -> None:
    entries = list(GeneratedSlabs(60).entries())
    crystals = [parse(one) for one in entries]
    grid = Grid()
    refused = others = found = 0
    for place, one in enumerate(entries):
        own = Potential.read(one.target or "")
        demand_match(crystals[place], own)
        other = crystals[place - 1]
        with_its = Potential.of(own.potential, height=height_of(other), fermi=own.fermi)
        refused += _refused(other, with_its)
        moved = Potential.of(
            np.roll(own.potential, len(own.potential) // 2), height=own.height, fermi=own.fermi
        )
        assert _refused(crystals[place], moved)
        turned = Potential.of(np.roll(own.potential[::-1], 1), height=own.height, fermi=own.fermi)
        differ = np.sqrt(np.mean((grid.profile(turned) - grid.profile(own)) ** 2)) > 0.1
        others += differ
        found += differ and _refused(crystals[place], turned)
        assert differ or not _refused(crystals[place], turned)
    assert found > 0.5 * others > 5
    assert refused > 0.6 * len(entries) and LEAST_EXPLAINED < 0.9


def _refused(crystal: Crystal, potential: Potential) -> bool:
    try:
        demand_match(crystal, potential)
    except BadCrystal as bad:
        return str(bad).startswith(("atoms and wells do not match: ", "potential is upside down: "))
    return False
