"""Planar-averaged potentials: what may not matter, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.crystals.made_potentials import FERMI, made, monolayer, potential
from trainables.crystals.crystal import BadCrystal, Entry
from trainables.crystals.parsing import parse
from trainables.crystals.potentials import Grid, Potential
from trainables.crystals.slab_cell import demand_slab, height_of

GRID = Grid()
HEIGHT = 25.0
Z = np.arange(400) * HEIGHT / 400
NOISE = np.random.default_rng(1).uniform(-0.008, 0.008, 400)


def refusal(values: np.ndarray | None = None, **changes: Any) -> str:
    given = {"height": HEIGHT, "fermi": FERMI} | changes
    with pytest.raises(BadCrystal) as caught:
        Potential.of(made() if values is None else values, **given)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_levels_of_a_slab_with_and_without_a_dipole() -> None:
    plain, polar = potential(), potential(step=1.5)
    assert plain.work_function == pytest.approx(5.0, abs=1e-6) and abs(plain.step) < 1e-9
    assert polar.work_function == pytest.approx(5.75, abs=1e-4)
    assert polar.step == pytest.approx(1.5, abs=1e-4)


def test_profiles_end_at_the_work_functions() -> None:
    for one in (potential(), potential(step=1.5)):
        profile = GRID.profile(one)
        assert profile[0] == one.vacuum[0] - one.fermi and profile[-1] == one.vacuum[1] - one.fermi
        assert profile[[0, -1]].mean() == pytest.approx(one.work_function)


@pytest.mark.parametrize("step", [0.0, 1.5])
def test_the_place_of_the_slab_does_not_matter(step: float) -> None:
    wanted = GRID.profile(potential(step=step))
    for points in (1, 37, 180, 399):
        moved = potential(step=step, shift=points * HEIGHT / 400)
        np.testing.assert_allclose(GRID.profile(moved), wanted, atol=1e-9)
    for shift in (0.03, 7.77, 12.5001):
        found = GRID.profile(potential(step=step, shift=shift))
        np.testing.assert_allclose(found, wanted, atol=1e-3)


@pytest.mark.parametrize("step", [0.0, -0.8])
def test_more_vacuum_and_finer_points_do_not_matter(step: float) -> None:
    wanted = GRID.profile(potential(step=step))
    for points, height in ((640, 40.0), (1234, 31.7), (1600, 25.0)):
        found = GRID.profile(potential(points=points, height=height, step=step))
        np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_a_slab_upside_down_has_the_reversed_profile_and_swapped_levels() -> None:
    one = potential(step=1.5, shift=4.2)
    flipped = np.roll(one.potential[::-1], 1)
    other = Potential.of(flipped, height=HEIGHT, fermi=FERMI)
    np.testing.assert_allclose(other.vacuum, one.vacuum[::-1], atol=1e-9)
    assert other.step == pytest.approx(-one.step) and abs(one.step) > 1
    np.testing.assert_allclose(GRID.profile(other), GRID.profile(one)[::-1], atol=1e-9)


def test_a_shift_of_all_energies_moves_nothing() -> None:
    moved = Potential.of(made() - 7.5, height=HEIGHT, fermi=FERMI - 7.5)
    np.testing.assert_allclose(GRID.profile(moved), GRID.profile(potential()), atol=1e-9)


def test_the_grid_is_centred_on_the_slab_and_symmetric() -> None:
    alone = 3.0 - 20.0 * np.exp(-(((Z - 9.1) / 0.6) ** 2) / 2)
    profile = GRID.profile(Potential.of(alone, height=HEIGHT, fermi=FERMI))
    np.testing.assert_allclose(profile, profile[::-1], atol=1e-4)
    np.testing.assert_allclose(profile, 5.0 - 20.0 * np.exp(-((GRID.z / 0.6) ** 2) / 2), atol=1e-3)
    assert abs(GRID.z + GRID.z[::-1]).max() < 1e-12 and np.ptp(GRID.z) < GRID.span


def test_a_potential_survives_as_text() -> None:
    one = potential(step=0.3).rounded(6)
    back = Potential.read(one.text)
    assert np.array_equal(back.potential, one.potential) and "\n" not in one.text
    assert back.vacuum.tolist() == one.vacuum.tolist()
    assert (back.height, back.fermi) == (one.height, one.fermi)


def test_coordinates_may_reach_both_ends_of_the_cell() -> None:
    closed = Potential.of(np.append(made(), made()[0]), height=HEIGHT, fermi=FERMI,
                          z=np.linspace(0, HEIGHT, 401))  # fmt: skip
    middle = Potential.of(made(), height=HEIGHT, fermi=FERMI, z=Z.round(4) + 0.03)
    for one in (closed, middle):
        np.testing.assert_array_equal(one.potential, made())


def test_given_levels_are_those_that_count() -> None:
    assert Potential.of(made(), height=HEIGHT, fermi=FERMI, vacuum=[3.02]).work_function == 5.02
    two = Potential.of(made(step=1.5), height=HEIGHT, fermi=FERMI, vacuum=[3.01, 4.48])
    assert two.vacuum.tolist() == [3.01, 4.48]
    for one in (3.0, 3.75, 4.5):  # which side, or the mean: the profile knows both
        found = Potential.of(made(step=1.5), height=HEIGHT, fermi=FERMI, vacuum=[one])
        np.testing.assert_allclose(found.vacuum, [3.0, 4.5], atol=1e-3)


def test_noise_of_some_meV_is_still_a_vacuum() -> None:
    noise = np.random.default_rng(0).uniform(-0.008, 0.008, 400)
    found = Potential.of(made(step=0.5) + noise, height=HEIGHT, fermi=FERMI)
    np.testing.assert_allclose(found.vacuum, [3.0, 3.5], atol=0.01)


def test_a_stretch_without_noise_is_not_the_level() -> None:
    values = made() + NOISE
    values[:50] = 3.008
    found = Potential.of(values, height=HEIGHT, fermi=FERMI)
    np.testing.assert_allclose(found.vacuum, 3.0, atol=3e-3)


def changed(place: int, value: float) -> np.ndarray:
    values = made()
    values[place] = value
    return values


FIELD = 0.08 * Z
CLOSED = np.linspace(0, HEIGHT, 401)
APART = 3.0 - 20.0 * sum(np.exp(-(((Z - at) / 0.6) ** 2) / 2) for at in (4.0, 12.0))
REFUSED: dict[str, tuple[np.ndarray | None, dict[str, Any]]] = {
    "too few points: 15": (made(points=15), {}),
    "too many points: 100001": (np.zeros(100_001), {}),
    "too coarse: 1.25 Å between points": (made(points=20), {}),
    "potential is not finite: point 8": (changed(7, np.nan), {}),
    "potential is not finite: point 1": (changed(0, np.inf), {}),
    "potential too large: point 3 is beyond": (changed(2, -1e31), {}),
    "Fermi level is no finite number": (None, {"fermi": np.nan}),
    "vacuum level is no finite number": (None, {"vacuum": [np.inf]}),
    "constant potential: it is flat within": (np.full(400, 3.0), {}),
    "constant potential: it is flat but for steps": (np.repeat([1.0, 3.0], 200), {}),
    "no vacuum: the potential is nowhere flat": (made() + FIELD, {}),
    "no vacuum: the potential is nowhere": (np.cos(Z * 2 * np.pi / 5), {}),
    "tilted vacuum: the potential changes by 0.1": (made() + 0.1 * FIELD, {}),
    "tilted vacuum: the potential changes by 0.": (made() + 0.1 * FIELD + 0.4 * NOISE, {}),
    "flat in several places: the potential is flat in 2": (APART, {}),
    "potential too deep: point 201 is 1e+29 eV below": (changed(200, -1e29), {}),
    "potential too deep: point 201 is 1e+05 eV below the vacuum": (changed(200, -1e5), {}),
    "potential too high: point 202 is 199 eV above the vacuum level": (changed(201, 202.0), {}),
    "the last point does not repeat the first: z spans a whole period, up to 25 Å, and the": (
        np.append(made(), 3.1),
        {"z": CLOSED},
    ),
    "atoms are hills of the potential": (-made(), {"fermi": -5.0}),
    "no wells: the potential goes 0.4 eV below": (0.02 * made(), {"fermi": 0.0}),
    "Fermi level outside: -40 eV lies below": (None, {"fermi": -40.0}),
    "Fermi level outside: 3.5 eV lies above": (None, {"fermi": 3.5}),
    "work function outside 1 to 15 eV: 0.184 eV; is the unit eV?": (
        made() / 27.2114,
        {"fermi": FERMI / 27.2114},
    ),
    "work function outside 1 to 15 eV: 50 eV": (10 * made(), {"fermi": 10 * FERMI}),
    "vacuum level off: 3.2 eV is given, and": (None, {"vacuum": [3.2]}),
    "vacuum level off: 4.5 and 3 eV is given": (made(step=1.5), {"vacuum": [4.5, 3.0]}),
    "number of vacuum levels: 3": (None, {"vacuum": [3.0, 3.0, 3.0]}),
    "z and potential differ in length: 399 and 400": (None, {"z": Z[1:]}),
    "z is not finite: point 1": (None, {"z": np.where(Z > 0, Z, np.nan)}),
    "z is not ascending: after point 1": (None, {"z": Z[::-1]}),
    "z is not evenly spaced: after point": (None, {"z": Z + 0.02 * (Z > 3)}),
    "z does not span the cell: 400 points": (None, {"z": Z / 2}),
    "z does not span the cell": (None, {"height": 25.4, "z": Z}),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_no_potential_of_a_slab_is_refused(reason: str) -> None:
    values, changes = REFUSED[reason]
    assert refusal(values, **changes).startswith(reason)


def test_a_slab_thicker_than_the_grid_is_refused() -> None:
    narrow = Grid(points=64, span=8.0)
    with pytest.raises(BadCrystal, match=r"slab too thick: it reaches .* and the grid 4 Å"):
        narrow.profile(potential())
    assert len(Grid(points=64, span=16.0).profile(potential())) == 64


def test_a_grid_has_to_be_one() -> None:
    for wrong in ({"points": 1}, {"span": 0.0}, {"span": float("nan")}):
        with pytest.raises(ValueError, match=r"points|span"):
            Grid(**wrong)  # type: ignore[arg-type]


def test_cells_without_vacuum_and_of_another_height_are_refused() -> None:
    crystal = parse(Entry(0, "x", "json", monolayer(), None, ""))
    assert height_of(crystal) == pytest.approx(HEIGHT)  # c leans, and its height counts
    demand_slab(crystal, HEIGHT * 1.009)
    with pytest.raises(BadCrystal, match=r"heights differ: the potential spans 25\.5 Å, and the"):
        demand_slab(crystal, HEIGHT * 1.02)
    dense = parse(Entry(0, "x", "json", monolayer(12.0, 7.9), None, ""))
    with pytest.raises(BadCrystal, match=r"too little vacuum: atoms are 7\.9 Å .*, 8 Å are needed"):
        demand_slab(dense, 12.0)
    apart = parse(Entry(0, "x", "json", monolayer(25.0, 19.5), None, ""))
    with pytest.raises(BadCrystal, match=r"two slabs in one cell: gaps of 5\.5 and 19\.5 Å betw"):
        demand_slab(apart, 25.0)
