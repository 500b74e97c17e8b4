"""The job `dos` without Ray: its command line, what it refuses, baselines, sections."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Structure

from analysis import densities as scores
from analysis.figures import densities as figures
from orchestrator import cli
from orchestrator.data import entries
from orchestrator.dos.entries import arrays_of
from orchestrator.dos.flags import parse
from orchestrator.dos.inputs import open_curves
from orchestrator.dos.results import covered, differences_of
from orchestrator.interface.errors import UsageError
from orchestrator.nodes import hardware
from tests.orchestrator.small_densities import ENERGIES, read, rows, write_densities


def said(*argv: str) -> str:
    """The error of a command line, which is one line."""
    with pytest.raises(UsageError) as caught:
        parse(argv)
    (line,) = str(caught.value).splitlines()
    return line


def test_wrong_command_lines_are_one_line() -> None:
    data = ("--data", "x.parquet")
    assert said(*data, "--phonons") == ("--phonons: give --range too, in the unit of the energies")
    assert said(*data, "--phonons", "--range", "0", "9").startswith("--phonons: give --sigma too")
    assert said(*data, "--range", "1", "-2") == (
        "--range 1 -2: is empty; give the lower energy first"
    )
    for low, high in (("nan", "5"), ("inf", "5"), ("-10", "1e10")):
        assert "--range" in (line := said(*data, "--range", low, high)) and "±1e9" in line
    parse([*data, "--range", "-10", "1e9"])
    assert "it must be from 2 to 10000" in said(*data, "--points", "10001")
    assert "it must be from 4 to 100" in said(*data, "--members", "3")


def test_a_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert cli.main(["dos", "--data", str(tmp_path / "no.parquet"), "--run", str(run)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no.parquet: no such file" in line and not run.exists()


def test_too_few_crystals_for_the_members(tmp_path: Path) -> None:
    path = write_densities(tmp_path / "x.parquet", rows(6))
    options = parse(["--data", str(path)])
    with pytest.raises(UsageError, match=r"fold \d has \d crystals to test and \d to learn from"):
        read(options)


def test_densities_that_do_not_fit_into_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million bytes of 40 crystals, of two orbits each, on 400 energies, in small blocks."""
    monkeypatch.setattr(hardware, "memory_here", lambda: 200_000.0)
    monkeypatch.setattr(entries, "LARGEST_TABLE", 500 * 400 * 8 * 3)
    options = parse(["--data", str(write_densities(tmp_path / "x.parquet", rows(40)))])
    with pytest.raises(UsageError, match=r"crystals already take .*lower --points") as told:
        read(options)
    assert int(str(told.value).split(" crystals")[0].split()[-1]) < 40


def test_phonons_are_not_read_as_electrons_nor_the_reverse(tmp_path: Path) -> None:
    table = rows(2)
    path = write_densities(tmp_path / "e.parquet", table)
    phonons = ("--phonons", "--range", "0", "9", "--sigma", "1")
    with pytest.raises(UsageError, match="column 'energy_ev' is one of electrons; leave --phonons"):
        open_curves(parse(["--data", str(path), *phonons]))
    table["Frequencies"], table["dos"] = table.pop("energy_ev"), table.pop("site_dos")
    path = write_densities(tmp_path / "p.parquet", table)
    with pytest.raises(UsageError, match="'Frequencies' is one of phonons; give --phonons"):
        open_curves(parse(["--data", str(path)]))
    assert open_curves(parse(["--data", str(path), *phonons])).curve_columns[0] == "Frequencies"


def test_a_json_list_of_pymatgen_is_the_same_data(tmp_path: Path) -> None:
    table = rows(25)
    objects = [
        {
            "material_id": name,
            "structure": Structure.from_str(str(text), fmt="poscar").as_dict(),
            "efermi": 2.0,
            "energies": (ENERGIES + 2).tolist(),
            "densities": {"1": [0.0] * len(ENERGIES)},
            "pdos": [{"s": {"densities": {"1": one.tolist()}}} for one in np.reshape(dos, (2, -1))],
        }
        for name, text, dos in zip(
            table["material_id"], table["poscar"], table["site_dos"], strict=True
        )
    ]
    path = tmp_path / "salts.json"
    path.write_text(json.dumps(objects))
    found = read(parse(["--data", str(path)]))
    other = read(parse(["--data", str(write_densities(tmp_path / "salts.parquet", table))]))
    assert found.densities.per_site and not found.bad
    assert found.densities.data.ids.tolist() == table["material_id"]
    np.testing.assert_allclose(found.densities.crystals, other.densities.crystals, atol=1e-9)
    phonons = ("--phonons", "--range", "0", "9", "--sigma", "1")
    with pytest.raises(UsageError, match="'energies - efermi' is one of electrons; leave"):
        open_curves(parse(["--data", str(path), *phonons]))


def test_bad_rows_are_listed_and_bounded(tmp_path: Path) -> None:
    table = rows(40)
    table["energy_ev"][3] = ENERGIES[::-1].tolist()
    path = write_densities(tmp_path / "x.parquet", table)
    options = parse(["--data", str(path)])
    given = read(options)
    (bad,) = given.bad
    assert len(given.densities) == 39
    assert (bad["file"], bad["row"], bad["id"]) == ("x.parquet", 4, "salt-3")
    assert bad["reason"] == "energies are not ascending: after point 1"
    options = parse(["--data", str(path), "--max-bad", "0"])
    with pytest.raises(UsageError, match=r"1 of 40 crystals are bad .*; mend the input"):
        read(options)


def test_keys_tell_all_settings_apart(tmp_path: Path) -> None:
    path = write_densities(tmp_path / "x.parquet")
    keys: set[str] = set()
    for flags in ((), ("--sigma", "0.2"), ("--width", "8"), ("--float64",), ("--seed", "1"),
                  ("--recipe", "paper"), ("--epochs", "2")):  # fmt: skip
        options = parse(["--data", str(path), "--folds", "0", "1", *flags])
        given = read(options)
        arrays = arrays_of(options, "salts", given.densities)
        found = {key for array in arrays for key in array.keys.values()}
        assert len(found) == 10 and not keys & found
        keys |= found
    options = parse(["--data", str(path), "--folds", "0", "--curve"])
    given = read(options)
    names = [array.id for array in arrays_of(options, "salts", given.densities)]
    assert names == ["salts/fold0/tensor", "salts/fold0/25%/tensor", "salts/fold0/50%/tensor"]


def test_scores_leave_out_what_a_curve_does_not_reach() -> None:
    energies = np.array([-1.0, 0.0, 1.0])
    true = np.array([[0.0, 1.0, np.nan], [1.0, 0.0, 0.0]])
    said = np.array([[0.5, 1.0, 9.0], [0.0, 0.0, 1.0]])
    assert scores.mean_squared(true, said) == pytest.approx((0.25 + 1 + 1) / 5)
    found = scores.score(true, said, energies)
    np.testing.assert_allclose(found.squared, [0.125, 2 / 3])
    np.testing.assert_allclose(found.wasserstein, [1 / 3, 2.0])
    np.testing.assert_allclose(found.at_zero, [[1, 1], [0, 0]])
    assert np.isnan(scores.wasserstein(energies, true[1], -said[1]))


def test_a_forest_learns_and_knows_the_volume() -> None:
    draw = np.random.default_rng(0)
    volume = draw.uniform(5, 20, 80)
    shares, properties = np.ones((80, 1)), np.array([[np.nan, 2.0]])
    seen = scores.features(shares, properties, volume)
    assert seen.shape == (80, 5) and np.isfinite(seen).all()
    crystals = np.column_stack([volume, 20 - volume])
    crystals[::9, 1] = np.nan
    said = scores.forest(seen[:60], crystals[:60], seen[60:])
    assert np.abs(said[:, 0] - volume[60:]).mean() < 1


def test_the_band_that_is_counted() -> None:
    true = np.array([[0.0, 1.0, np.nan, 2.0]])
    assert covered(true, np.zeros((1, 4)), np.full((1, 4), 0.6)) == pytest.approx(2 / 3)


def test_figures_of_known_curves() -> None:
    energies = np.linspace(-1, 1, 5)
    row = {"id": "mp-1", "elements": "Na Cl", "mse": 0.1, "trees_mse": 0.2,
           "mean_spectrum_mse": 0.3, "target": [1, 0, np.nan, 0, 1], "prediction": [0.5] * 5,
           "deviation": [0.1] * 5, "at_fermi": 0.0, "at_fermi_predicted": 0.5,
           "at_fermi_deviation": 0.1}  # fmt: skip
    table = pd.DataFrame([row, row | {"id": "mp-2", "mse": 0.01}, row | {"mse": 0.5}])
    assert scores.at_quantiles(table["mse"], 2) == [1, 2]
    drawn = figures.curves_at_quantiles(table, energies)
    names = [trace.name for trace in drawn.data if trace.name]
    assert names == ["computed", "predicted"] * 3
    assert drawn.data[1].y[2] is None
    band = drawn.data[0]
    assert max(band.y) == pytest.approx(0.7) and min(band.y) == pytest.approx(0.3)
    elements = [{"symbol": "Na", "crystals": 2, "target": None, "prediction": np.ones(5)}]
    assert [trace.name for trace in figures.by_element(elements, energies).data] == ["predicted"]
    assert len(figures.error_histogram(table).data) == 3
    assert figures.at_fermi(table).data[-1].x.tolist() == [0.0] * 3
    curve = pd.DataFrame([row | {"share": share, "learned": 100 * share} for share in (0.5, 1.0)])
    assert figures.learning_curve(curve).data[0].x.tolist() == [50, 100]


def test_formulas_are_looked_up_where_they_were_learned() -> None:
    shares = np.array([[1.0, 0.0], [0.5, 0.5], [2 / 3, 1 / 3], [0.5, 0.5], [1 / 3, 2 / 3]])
    numbers = scores.formulas(shares)
    assert numbers[1] == numbers[3] and len(set(numbers.tolist())) == 4
    crystals = np.array([[0.0, 1.0], [1.0, np.nan], [2.0, 0.0]])
    said, seen = scores.look_up(np.array([7, 8, 8]), crystals, np.array([8, 7, 9]))
    assert seen.tolist() == [True, True, False]
    np.testing.assert_allclose(said, [[1.5, 0], [0, 1], [1, 0.5]])
    alone, _ = scores.look_up(np.array([8, 7]), crystals[1:], np.array([8]))
    assert alone[0].tolist() == [1, 0]  # the mean spectrum where no curve of the formula reaches


def test_differences_are_of_folds_that_have_both() -> None:
    names = [f"{of}mse{part}" for of in ("", "trees_", "lookup_") for part in ("", "_seen")]
    of_unseen = ("mse_unseen", "trees_mse_unseen", "lookup_mse_unseen")
    unseen = [dict.fromkeys(of_unseen, 0.1), dict.fromkeys(of_unseen)]
    rows = [dict.fromkeys(names, 0.1) | one | {"trees_mse": 0.2} for one in unseen]
    rows[1]["trees_mse"] = 0.4
    found = differences_of(rows)
    assert [(one["baseline"], one["crystals"]) for one in found] == [
        ("trees", "all"), ("trees", "seen"), ("lookup", "all"), ("lookup", "seen")
    ]  # fmt: skip
    assert found[0]["mean"] == pytest.approx(-0.2) and found[0]["low"] < -0.2 < found[0]["high"]
