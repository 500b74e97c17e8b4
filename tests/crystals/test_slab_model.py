"""The Poisson equation in closed form, and the model of slabs that rests on it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import erf

from trainables.crystals.poisson import COUPLING, Charges, solve
from trainables.crystals.potentials import Grid, Potential
from trainables.crystals.slab_model import (
    HARDNESS,
    SCREENING,
    Slab,
    electron_clouds,
    fermi_level,
    ionic_charges,
    known_elements,
    potential_of,
)

HEIGHT, AREA = 30.0, 12.0
Z = np.arange(600) / 600 * HEIGHT


def layers(charge: list[float], z: list[float], width: float = 0.3) -> Charges:
    return Charges(
        charge=np.array(charge), z=np.array(z), width=np.full(len(z), width), area=AREA,
        height=HEIGHT,
    )  # fmt: skip


def test_the_constant_is_that_of_nature() -> None:
    assert pytest.approx(1.602176634e-19 / 8.8541878128e-12 * 1e10, rel=1e-7) == COUPLING


def test_a_double_layer_drops_by_charge_times_distance() -> None:
    """σ d / ε₀: the electron is lower above the positive layer."""
    two = layers([-0.1, 0.1], [13.0, 15.5])
    wanted = -COUPLING * 0.1 / AREA * 2.5
    assert two.drop == pytest.approx(wanted)
    profile = solve(two, 600).corrected(Z)
    np.testing.assert_allclose(profile[450:] - profile[:150][::-1], wanted, atol=1e-9)
    np.testing.assert_allclose(profile[450:], profile[450], atol=1e-9)  # flat


def test_gaussian_layers_have_the_closed_form() -> None:
    """(e²/2ε₀) Σ σ (z erf(z/√2w) + w √(2/π) exp(-z²/2w²)), up to a constant."""
    charges = replace(layers([0.3, -0.7, 0.4], [12.0, 14.4, 17.0]), width=np.array([0.3, 0.8, 0.5]))
    apart = Z[:, None] - charges.z
    scaled = apart / (math.sqrt(2) * charges.width)
    single = apart * erf(scaled)
    single += charges.width * math.sqrt(2 / math.pi) * np.exp(-(scaled**2))
    wanted = COUPLING / 2 / AREA * single @ charges.charge
    found = solve(charges, 600).corrected(Z)
    np.testing.assert_allclose(found - found.mean(), wanted - wanted.mean(), atol=1e-9)


def test_the_solution_obeys_the_equation() -> None:
    charges = layers([0.3, -0.3], [12.0, 14.4], width=0.5)
    gauss = np.exp(-0.5 * ((Z[:, None] - charges.z) / 0.5) ** 2) / (0.5 * math.sqrt(2 * math.pi))
    density = gauss @ charges.charge / AREA
    found = solve(charges, 600).periodic(Z)
    step = HEIGHT / 600
    curvature = (np.roll(found, 1) - 2 * found + np.roll(found, -1)) / step**2
    np.testing.assert_allclose(curvature, COUPLING * density, atol=2e-2)


def test_without_a_dipole_the_correction_does_nothing() -> None:
    symmetric = layers([-0.2, 0.4, -0.2], [13.0, 15.0, 17.0])
    assert abs(symmetric.drop) < 1e-12
    waves = solve(symmetric, 600)
    np.testing.assert_allclose(waves.periodic(Z), waves.corrected(Z), atol=1e-9)


def test_the_periodic_boundary_closes_the_drop_by_a_field() -> None:
    two = layers([-0.1, 0.1], [13.0, 15.5])
    profile = solve(two, 600).periodic(Z)
    field = np.diff(profile[450:]) / (HEIGHT / 600)
    np.testing.assert_allclose(field, -two.drop / HEIGHT, atol=1e-9)


def test_charges_with_a_sum_have_no_potential() -> None:
    with pytest.raises(ValueError, match=r"add up to 0\.1 e instead of 0"):
        solve(layers([0.2, -0.1], [12.0, 14.0]), 600)


def slab(numbers: list[int], z: list[float], area: float = AREA, height: float = HEIGHT) -> Slab:
    return Slab(numbers=np.array(numbers), z=np.array(z), area=area, height=height)


OXIDE = slab([12, 8, 8, 12], [13.0, 14.2, 16.1, 17.3])  # mirror planes: no dipole
POLAR = slab([30, 8, 30, 8], [13.0, 13.7, 15.6, 16.3])


def test_charges_follow_electronegativity_and_are_neutral() -> None:
    charge = ionic_charges(OXIDE).charge
    assert abs(charge.sum()) < 1e-14 and charge[0] == charge[3] > 0 > charge[1]
    chi = 2.27 * np.array([1.31, 3.44]) + 0.34
    assert charge[0] == pytest.approx(np.ptp(chi) / 2 / (HARDNESS * SCREENING))
    assert abs(electron_clouds(OXIDE).charge.sum()) < 1e-12


def test_an_elemental_slab_has_the_work_function_of_its_element() -> None:
    found = potential_of(slab([13, 13, 13], [12.0, 14.0, 16.0]))
    assert found.work_function == pytest.approx(2.27 * 1.61 + 0.34, abs=1e-6)
    assert abs(found.step) < 1e-9


def test_a_symmetric_slab_has_equal_levels_and_a_polar_one_two() -> None:
    assert abs(potential_of(OXIDE).step) < 1e-9
    found = potential_of(POLAR)
    assert found.step == pytest.approx(ionic_charges(POLAR).drop, abs=1e-6)
    assert found.step > 1  # oxygen lies above: its face is negative, and holds electrons off


def test_a_work_function_is_the_mean_potential_less_electronegativity() -> None:
    ions = solve(ionic_charges(OXIDE), 600)
    vacuum = ions.corrected(np.array([0.0]))[0]
    wanted = vacuum - np.mean(ions.corrected(OXIDE.z) - OXIDE.electronegativity)
    assert potential_of(OXIDE).work_function == pytest.approx(wanted, abs=1e-6)
    assert fermi_level(OXIDE, ions) == pytest.approx(vacuum - wanted)


def test_the_drop_of_a_polar_stack_stops_at_the_gap() -> None:
    drops = []
    for count in range(1, 7):
        z = np.concatenate([[10 + 2.6 * one, 10.7 + 2.6 * one] for one in range(count)])
        stack = slab([30, 8] * count, z.tolist(), height=40.0)
        charges = ionic_charges(stack)
        drops.append(abs(charges.drop))
        assert abs(charges.charge.sum()) < 1e-12
    assert drops[0] < drops[1] <= stack.gap
    assert drops[-1] == pytest.approx(stack.gap) == drops[-2]
    assert stack.gap == pytest.approx(2.27 * (3.44 - 1.65))


@pytest.mark.parametrize("one", [OXIDE, POLAR])
def test_twice_the_points_change_nothing(one: Slab) -> None:
    coarse, fine = potential_of(one), potential_of(one, 2 * len(potential_of(one).potential))
    np.testing.assert_allclose(coarse.vacuum - coarse.fermi, fine.vacuum - fine.fermi, atol=1e-6)
    np.testing.assert_allclose(coarse.potential, fine.potential[::2], atol=1e-3)


@pytest.mark.parametrize("one", [OXIDE, POLAR])
def test_place_supercell_order_and_vacuum_change_nothing(one: Slab) -> None:
    grid = Grid()
    own = potential_of(one)

    def same(other: Potential, atol: float = 1e-9) -> None:
        np.testing.assert_allclose(other.vacuum - other.fermi, own.vacuum - own.fermi, atol=1e-9)
        np.testing.assert_allclose(grid.profile(other), grid.profile(own), atol=atol)

    order = np.array([2, 0, 3, 1])
    same(potential_of(replace(one, numbers=one.numbers[order], z=one.z[order])))
    same(potential_of(replace(one, numbers=np.tile(one.numbers, 3), z=np.tile(one.z, 3),
                              area=3 * AREA)))  # fmt: skip
    same(potential_of(replace(one, z=(one.z + 1.7) % HEIGHT)))
    same(potential_of(replace(one, z=(one.z + 15.0) % HEIGHT)))
    same(potential_of(replace(one, z=one.z + 0.033)), atol=2e-3)
    same(potential_of(replace(one, height=40.0)), atol=2e-3)


def test_a_slab_upside_down_has_swapped_levels() -> None:
    one, other = (potential_of(replace(POLAR, z=z)) for z in (POLAR.z, HEIGHT - POLAR.z))
    np.testing.assert_allclose(one.vacuum - one.fermi, (other.vacuum - other.fermi)[::-1])


def test_noble_gases_have_no_electronegativity() -> None:
    assert {3, 8, 22, 57} <= known_elements() and not known_elements() & {2, 10, 18}
