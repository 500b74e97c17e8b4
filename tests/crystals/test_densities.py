"""Densities of states: broadening onto a grid, scaling, and what is refused."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import erf

from tests.orchestrator.small_densities import ENERGIES, rows, write_densities
from trainables.crystals.crystal import BadCrystal
from trainables.crystals.densities import Curve, Window, hats, scaled
from trainables.crystals.sources import SourceError
from trainables.crystals.sources.curves import CurveTable
from trainables.representations.densities import (
    Densities,
    by_element,
    fold_of,
    fold_split,
    join,
    mean_spectrum,
)
from trainables.representations.density_table import featurise_densities
from trainables.representations.full_graph import FullGraph
from trainables.representations.orbit_graph import OrbitGraph

ORBITS = OrbitGraph(name="orbits", version=1, cutoff=4.0, max_neighbours=None)
ATOMS = FullGraph(name="atoms", version=1, cutoff=4.0, max_neighbours=None)
WINDOW = Window(points=80)


def densities(table: dict[str, list[Any]], path: Path, kind: Any = ORBITS) -> Densities:
    source = CurveTable(write_densities(path, table))
    entries = list(source.entries())
    made = featurise_densities(entries, kind, WINDOW, 100)
    assert not any(made.reasons)
    return join([made.content], kind, WINDOW, per_site=source.per_site, total=len(entries))


def test_broadening_is_the_integral_of_the_line_between_points() -> None:
    """Against a sum over a grid a thousand times finer, at uneven spacings up to five widths."""
    draw = np.random.default_rng(0)
    energies = np.cumsum(draw.uniform(0.01, 0.5, 60)) - 8
    density = draw.uniform(0, 2, 60)
    window = Window(low=-6, high=4, points=41, sigma=0.1)
    fine = np.linspace(energies[0], energies[-1], 400_001)
    line = np.interp(fine, energies, density)
    gauss = np.exp(-0.5 * ((window.energies[:, None] - fine) / 0.1) ** 2) / (
        0.1 * (2 * np.pi) ** 0.5
    )
    wanted = np.trapezoid(gauss * line, fine, axis=1)
    found = window.broadened(Curve(energies, density[None], per_site=False))[0]
    known = np.isfinite(found)
    assert known.sum() > 30
    np.testing.assert_allclose(found[known], wanted[known], rtol=1e-6)


def test_a_constant_stays_constant_and_the_area_is_kept() -> None:
    at = np.linspace(-3, 3, 7)
    weights = hats(at, np.sort(np.random.default_rng(1).uniform(-20, 20, 200)), 0.5)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-12)


def test_what_a_curve_does_not_reach_is_missing() -> None:
    curve = Curve(np.linspace(-4, 2, 300), np.ones((1, 300)), per_site=False)
    found = Window(low=-5, high=5, points=11, sigma=0.3).broadened(curve)[0]
    assert np.isnan(found).tolist() == [True] * 2 + [False] * 5 + [True] * 4


def test_a_constant_is_one_up_to_where_it_is_masked() -> None:
    curve = Curve(np.linspace(-4, 10, 300), np.ones((1, 300)), per_site=False)
    for window in (Window(low=-5, high=5), Window(sigma=0.7)):
        found = window.broadened(curve)[0]
        known = window.energies[np.isfinite(found)]
        assert known[0] >= -4 + 3 * window.sigma and known[-1] <= 10 - 3 * window.sigma
        np.testing.assert_allclose(found[np.isfinite(found)], 1, atol=2e-3)
    phonons = Curve(np.linspace(0, 10, 300), np.ones((1, 300)), per_site=False)
    found = Window(low=0, high=30, points=31, fermi=False).broadened(phonons)[0]
    assert np.isfinite(found).tolist() == [True] * 10 + [False] * 21


def test_long_curves_are_broadened_in_bounded_memory() -> None:
    energies = np.linspace(-12, 12, 100_000)
    curve = Curve(energies, np.cos(energies)[None] + 1, per_site=False)
    window = Window(low=-8, high=8, points=2000)
    tracemalloc.start()
    found = window.broadened(curve)[0]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200e6  # L × P would be 1.6 GB
    wanted = 1 + np.exp(-0.5 * window.sigma**2) * np.cos(window.energies)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    with pytest.raises(BadCrystal, match="too many energies: 100001, a curve has 100000 at most"):
        Curve.of(np.zeros(100_001), np.zeros(100_001), per_site=False)


@pytest.mark.parametrize("gap", [1e-15, 1e-13, 1e-11, 1e-9, 1e-6, 1e-4])
def test_a_step_between_nearly_equal_energies(gap: float) -> None:
    energies = np.array([-9.0, 0.5, 0.5 + gap, 9.0])
    curve = Curve(energies, np.array([[0.0, 0, 1, 1]]), per_site=False)
    window = Window(low=-2, high=2, points=401)
    wanted = 0.5 * (1 + erf((window.energies - 0.5 - gap / 2) / (window.sigma * 2**0.5)))
    np.testing.assert_allclose(window.broadened(curve)[0], wanted, atol=1e-7)


def test_sites_are_scaled_so_that_their_mean_has_the_maximum_1() -> None:
    curve = Curve(ENERGIES, np.stack([ENERGIES * 0 + 3, np.exp(-(ENERGIES**2))]), per_site=True)
    made = scaled(curve, WINDOW, 2)
    assert np.nanmax(made.sites.mean(axis=0)) == pytest.approx(1)
    assert made.peak == pytest.approx(np.nanmax(WINDOW.broadened(curve).sum(axis=0)))
    whole = scaled(Curve(ENERGIES, curve.densities.sum(axis=0)[None], per_site=False), WINDOW, 2)
    np.testing.assert_allclose(whole.sites.mean(axis=0), made.sites.mean(axis=0))


def test_a_curve_survives_as_text() -> None:
    curve = Curve(ENERGIES, np.random.default_rng(2).random((3, len(ENERGIES))), per_site=True)
    back = Curve.read(curve.text)
    assert back.per_site and np.array_equal(back.densities, curve.densities)
    assert np.array_equal(back.energies, curve.energies)


def test_atoms_and_orbits_have_the_same_density(tmp_path: Path) -> None:
    """Also of a cell four times as large, whose sites are merged by symmetry."""
    table = rows(4)
    one = densities(table, tmp_path / "a.parquet")
    other = densities(table, tmp_path / "b.parquet", ATOMS)
    np.testing.assert_allclose(one.crystals, other.crystals)
    assert np.nanmax(one.crystals, axis=1) == pytest.approx(1)
    mine, theirs = (by_element(d, np.arange(4), d.data.target) for d in (one, other))
    assert np.array_equal(mine[0], theirs[0])
    np.testing.assert_allclose(mine[1], theirs[1])
    assert np.array_equal(mine[2], theirs[2])


def test_an_element_has_the_mean_over_the_crystals_that_are_known_there(tmp_path: Path) -> None:
    """Salts 0 and 5 share their sodium; the curve of the second ends at 5 eV."""
    table = {name: [column[0], column[5]] for name, column in rows(6).items()}
    keep = int((ENERGIES < 5).sum())
    table["energy_ev"][1] = ENERGIES[:keep].tolist()
    table["site_dos"][1] = np.array(table["site_dos"][1]).reshape(2, -1)[:, :keep].ravel().tolist()
    found = densities(table, tmp_path / "x.parquet")
    target = found.data.target
    numbers, own, known = by_element(found, np.arange(2), target)
    assert numbers.tolist() == [9 + 2, 17, 35] and np.isnan(target[-1]).any()
    high = WINDOW.energies > 5
    assert known[:2].all() and known[2].sum() == np.isfinite(target[-1]).sum()
    sodium = [one for one, z in zip(target, found.data.graphs.z, strict=True) if z == 11]
    np.testing.assert_allclose(own[0], np.nanmean(sodium, axis=0))
    _, said, _ = by_element(found, np.arange(2), np.ones_like(target))
    np.testing.assert_allclose(said[0], 1)
    np.testing.assert_allclose(own[0][high], sodium[0][high])


def test_the_density_of_an_orbit_is_the_mean_of_its_atoms(tmp_path: Path) -> None:
    table = rows(1)
    supercell = table["poscar"][0].splitlines()
    vectors = np.array([[float(x) for x in line.split()] for line in supercell[2:5]])
    vectors[0] *= 2
    frac = [[0, 0, 0], [0.5, 0, 0], [0.25, 0.5, 0.5], [0.75, 0.5, 0.5]]
    lines = [" ".join(map(str, row)) for row in vectors]
    atoms = [" ".join(map(str, row)) for row in frac]
    table["poscar"] = ["\n".join(["x", "1.0", *lines, "Na Cl", "2 2", "direct", *atoms])]
    points = len(ENERGIES)
    na, cl = np.split(np.array(table["site_dos"][0]), 2)
    table["site_dos"] = [[*(2 * na), *(0 * na), *cl, *cl]]
    found = densities(table, tmp_path / "s.parquet")
    assert found.data.graphs.multiplicity.tolist() == [2, 2] and points == len(na)
    alone = densities(rows(1), tmp_path / "one.parquet")
    np.testing.assert_allclose(found.data.target, alone.data.target)


BAD = {
    "energies are not ascending: after point 5": {"energy_ev": (5, -20.0)},
    "energies are not finite: point 3": {"energy_ev": (2, float("nan"))},
    "density is negative: site 1, point 8": {"site_dos": (7, -0.5)},
    "density is beyond 1e+30: site 2, point 1": {"site_dos": (len(ENERGIES), 1e308)},
    "energy too large: point 320 is beyond 1e+30": {"energy_ev": (len(ENERGIES) - 1, 1e300)},
    "density is not finite: site 2, point 1": {"site_dos": (len(ENERGIES), float("inf"))},
}


@pytest.mark.parametrize("reason", BAD)
def test_bad_curves_are_quarantined_with_the_reason(tmp_path: Path, reason: str) -> None:
    table = rows(3)
    for name, (place, value) in BAD[reason].items():
        table[name][1] = [*table[name][1][:place], value, *table[name][1][place + 1 :]]
    entries = list(CurveTable(write_densities(tmp_path / "x.parquet", table)).entries())
    reasons = featurise_densities(entries, ORBITS, WINDOW, 100).reasons
    assert reasons[0] == reasons[2] == "" and reasons[1].startswith(reason)


def test_sites_fermi_level_and_empty_windows(tmp_path: Path) -> None:
    table = rows(4)
    points = len(ENERGIES)
    table["site_dos"][0] = table["site_dos"][0][:points]
    table["energy_ev"][1] = (ENERGIES + 15).tolist()
    table["site_dos"][2] = [0.0] * (2 * points)
    table["site_dos"][3] = table["site_dos"][3][:-1]
    entries = list(CurveTable(write_densities(tmp_path / "x.parquet", table)).entries())
    reasons = featurise_densities(entries, ORBITS, WINDOW, 100).reasons
    assert reasons[0] == "sites and densities differ in number: 2 sites, 1 curves"
    assert reasons[1].startswith("Fermi level outside: energies go from 1 to 27")
    assert reasons[2].startswith("no density of states between -10 and 10")
    assert reasons[3].startswith("energies and densities differ in length")


def test_phonons_have_no_fermi_level_and_no_sites(tmp_path: Path) -> None:
    table = rows(2)
    table["frequency"] = [(ENERGIES + 15).tolist()] * 2
    table["phdos"] = [np.add(*np.split(np.array(one), 2)).tolist() for one in table.pop("site_dos")]
    del table["energy_ev"]
    source = CurveTable(write_densities(tmp_path / "x.parquet", table))
    assert not source.per_site
    window = Window(low=0, high=30, points=50, sigma=0.3, fermi=False)
    made = featurise_densities(list(source.entries()), ORBITS, window, 100)
    assert made.reasons == ["", ""]
    with pytest.raises(BadCrystal, match="energies begin at 0: those of phonons do"):
        Curve(np.arange(9.0), np.ones((1, 9)), per_site=False).demand(WINDOW, 2)
    found = join([made.content], ORBITS, window, per_site=False, total=2)
    assert np.nanmax(found.crystals, axis=1) == pytest.approx(1)


def test_a_file_without_curves_is_refused_in_one_line(tmp_path: Path) -> None:
    table = rows(2)
    del table["site_dos"]
    with pytest.raises(SourceError, match="no column site_dos or ldos or pdos; name it by"):
        CurveTable(write_densities(tmp_path / "x.parquet", table))
    with pytest.raises(SourceError, match=r"no column 'sitedos' \(did you mean 'site_dos'\?\)"):
        CurveTable(write_densities(tmp_path / "y.parquet"), densities="sitedos")


def test_parts_are_nested_and_folds_cover_all() -> None:
    ids = np.array([f"mp-{one}" for one in range(200)])
    splits = [fold_split(ids, fold, 0) for fold in range(5)]
    assert sorted(np.concatenate([one.test for one in splits]).tolist()) == list(range(200))
    half, whole = fold_split(ids, 2, 0, 0.5), splits[2]
    assert set(half.learned) < set(whole.learned) and np.array_equal(half.test, whole.test)
    assert fold_of(np.array(["mp-1008283"])) == 4


def test_the_mean_spectrum_leaves_out_what_is_missing() -> None:
    found = mean_spectrum(np.array([[1.0, np.nan, np.nan], [3.0, 2.0, np.nan]]))
    assert found.tolist() == [2, 2, 0]


def test_a_window_has_to_be_one() -> None:
    for wrong in ({"low": 1.0, "high": 1.0}, {"points": 1}, {"sigma": 0.0}):
        with pytest.raises(ValueError, match=r"range|points|sigma"):
            Window(**wrong)  # type: ignore[arg-type]


def test_the_baselines_of_the_reference(shared_data: Path) -> None:
    """Mean spectrum and zero on the 28 crystals of fold 0, as an independent program has them."""
    source = CurveTable(shared_data / "edos_151.parquet")
    made = featurise_densities(list(source.entries()), ATOMS, Window(), 500)
    assert not any(made.reasons)
    found = join([made.content], ATOMS, Window(), per_site=True, total=151)
    assert np.isnan(found.crystals).any(axis=1).sum() == 42
    split = fold_split(found.data.ids, 0, 0)
    assert len(split.test) == 28
    filled = np.nan_to_num(found.crystals)  # which counts what no curve reaches as 0
    assert np.square(filled[split.test]).mean() == pytest.approx(0.167, abs=5e-4)
    mean = filled[split.learned].mean(axis=0)
    assert np.square(filled[split.test] - mean).mean() == pytest.approx(0.0846, abs=5e-4)


def test_a_curve_of_the_wrong_form_is_a_bad_crystal() -> None:
    with pytest.raises(BadCrystal, match="too few energies: 1"):
        Curve.of(np.zeros(1), np.zeros(1), per_site=False)
