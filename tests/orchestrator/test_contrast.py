"""The job `contrast` without Ray: its command line, what it refuses, its models and results."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator import cli
from orchestrator.contrast import flags, job
from orchestrator.contrast.entries import LEARNS, ContrastArray, arrays_of
from orchestrator.contrast.flags import ContrastJobOptions, parse
from orchestrator.contrast.inputs import demand_parts
from orchestrator.contrast.results import Learned, part_of
from orchestrator.contrast.retrieval import (
    BASELINES,
    CHANCE,
    COMPOSITION,
    ENSEMBLE,
    GEOMETRY,
    UNTRAINED,
    WAYS,
)
from orchestrator.interface.errors import UsageError
from orchestrator.runs.record_contents import wrong_in_arrays
from orchestrator.training.networks import demand_room
from tests.orchestrator.small_slabs import (
    MATERIALS,
    asked,
    given,
    made_up,
    read,
    table_of_slabs,
    without_ray,
    write_slabs,
)
from trainables.crystals import slabs
from trainables.crystals.sources.curves import ENERGIES, OF_CRYSTALS, OF_SITES
from trainables.crystals.sources.potential_cells import FERMI, POTENTIAL, VACUUM, Z
from trainables.crystals.split import Split
from trainables.representations.pairs import pair_split
from trainables.training.contrast_spec import NETWORKS


def said(*argv: str) -> str:
    """The error of a command line, which is one line."""
    with pytest.raises(UsageError) as caught:
        parse(argv)
    (line,) = str(caught.value).splitlines()
    return line


def test_wrong_command_lines_are_one_line() -> None:
    made, file = ("--data", "generated"), ("--data", "x.parquet")
    assert said(*made, "--profiles", "p.parquet") == (
        "--profiles: generated materials have no file; leave it out"
    )
    assert said(*file, "--materials", "9") == "--materials: is of --data generated; leave it out"
    assert said(*file, "--perovskites", "p.csv").startswith("--perovskites: is of --data generated")
    assert "invalid choice: 'formulas'" in said(*file, "--split", "formulas")
    assert "it must be from 4 to 1000" in said(*file, "--span", "nan")
    assert "it must be from 1e-06 to 10" in said(*file, "--mask", "0")
    assert "it must be from 32 to 10000" in said(*file, "--points", "31")
    assert "--data" in said("--materials", "9")
    assert said(*made, "--width", "130").startswith("--width 130: is no multiple of 4")
    assert said(*made, "--split-seed", "3").startswith("--split-seed: has no effect without")
    assert parse([*made, "--split-seed", "3", "--curve"]).split_seed == 3
    assert parse(made).split_seed == flags.PUBLISHED_SEED


def test_the_flags_know_the_generator_and_the_networks() -> None:
    assert flags.MATERIALS == slabs.MATERIALS
    assert {one.options.heads for one in NETWORKS.values()} == {flags.HEADS}


@pytest.mark.parametrize(
    "more",
    [["--gpus-per-worker", "9999"], ["--cpus-per-worker", "9999"]],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_worker_that_does_not_fit_is_one_line_and_leaves_nothing(
    more: list[str], dry: list[str], tmp_path: Path
) -> None:
    options = asked("--run", str(tmp_path / "run"), *more, *dry)
    with (
        pytest.raises(UsageError, match="this machine takes 0 workers of") as caught,
        without_ray(),
    ):
        job.start(options)
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


def test_more_workers_than_the_machine_takes_are_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="and --workers is 9999; lower --workers, --cpus"),
        without_ray(),
    ):
        demand_room(asked("--workers", "9999"))


@pytest.mark.parametrize("flag", ["--data", "--perovskites"])
def test_a_missing_file_is_one_line_and_leaves_nothing(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, missing = tmp_path / "run", str(tmp_path / "no.parquet")
    more = [] if flag == "--data" else ["--data", "generated"]
    assert cli.main(["contrast", *more, flag, missing, "--run", str(run)]) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert "no.parquet: no such file" in line and not run.exists()


def test_too_few_materials_are_refused() -> None:
    said = r"generated: of 12 materials \d+ are to learn from, \d.*, or --split random, which"
    with pytest.raises(UsageError, match=said):
        read(asked("--materials", "12", "--split", "formula"))
    with pytest.raises(
        UsageError, match=r"48 are to learn from.* 60, 2 and 2 are needed: give more materials$"
    ):
        demand_parts(asked("--workers", "30"), given().pairs)


def from_files(data: Path, *more: str) -> ContrastJobOptions:
    return parse(["--data", str(data), "--points", "64", "--split", "random", *more])


def test_a_file_of_the_generated_slabs_is_read_as_they_are(tmp_path: Path) -> None:
    table = table_of_slabs()
    alone = read(from_files(write_slabs(tmp_path / "slabs.parquet", table)))
    assert (alone.source.name, alone.bad) == ("slabs", [])
    np.testing.assert_allclose(alone.pairs.data.target, given().pairs.data.target, atol=1e-9)
    table["U"], table["E"] = table.pop("potential_ev"), table.pop("fermi_ev")
    crystals = write_slabs(tmp_path / "crystals.parquet", table, "id", "structure")
    profiles = write_slabs(tmp_path / "profiles.parquet", table, "id", "U", "E", "vacuum_ev")
    joined = read(
        from_files(crystals, "--profiles", str(profiles), "--potential", "U", "--fermi", "E")
    )
    np.testing.assert_array_equal(joined.pairs.data.target, alone.pairs.data.target)


def test_bad_rows_are_listed_and_bounded(tmp_path: Path) -> None:
    table = table_of_slabs()
    table["potential_ev"][3][7] = float("nan")
    table["fermi_ev"][5] += 20.0
    path = write_slabs(tmp_path / "slabs.parquet", table)
    found = read(from_files(path))
    assert len(found.pairs) == MATERIALS - 2
    told = [(row["file"], row["row"], str(row["reason"]).split(":")[0]) for row in found.bad]
    assert told == [
        ("slabs.parquet", 4, "potential is not finite"),
        ("slabs.parquet", 6, "Fermi level outside"),
    ]
    with pytest.raises(UsageError, match=r"2 of 60 crystals are bad .*; mend the input"):
        read(from_files(path, "--max-bad", "0"))


def test_a_file_of_another_unit_is_refused_whatever_the_limit(tmp_path: Path) -> None:
    table = table_of_slabs()
    for name in ("potential_ev", "fermi_ev", "vacuum_ev"):
        table[name] = [(np.asarray(one) / 27.2114).tolist() for one in table[name]]
    path = write_slabs(tmp_path / "hartree.parquet", table)
    with pytest.raises(UsageError, match=r"60 rows are refused for their unit and 0 are kept"):
        read(from_files(path, "--max-bad", "1"))


def test_a_file_of_another_kind_is_one_line(tmp_path: Path) -> None:
    path = write_slabs(tmp_path / "x.parquet", {"id": ["a"], "structure": ["{}"], "gap": [1.0]})
    with pytest.raises(UsageError, match=r"x\.parquet: .*potential") as caught:
        read(from_files(path))
    line = str(caught.value)
    assert "\n" not in line and "give --profiles if another" in line and "it has id, st" in line
    with pytest.raises(UsageError, match=r"p\.csv: --profiles takes Parquet"):
        read(from_files(path, "--profiles", "p.csv"))


def test_keys_tell_all_settings_apart() -> None:
    keys: set[str] = set()
    for changed in ((), ("--seed", "1"), ("--split-seed", "1"), ("--split", "formula"),
                    ("--recipe", "paper"), ("--epochs", "3"), ("--width", "16"),
                    ("--float64",)):  # fmt: skip
        arrays = arrays_of(asked(*changed), "slabs", given().pairs)
        found = {key for array in arrays for key in array.keys.values()}
        assert len(found) == 4 and not keys & found
        keys |= found
    # the mask is no setting of a regression
    masked = arrays_of(asked("--mask", "0.1"), "slabs", given().pairs)
    assert [key in keys for array in masked for key in array.keys.values()] == 2 * [False] + [
        True, True
    ]  # fmt: skip


def test_a_curve_has_one_member_of_each_kind_a_size() -> None:
    pairs = given().pairs
    assert len(arrays_of(asked("--curve"), "slabs", pairs)) == 2  # 48 learn: no size is smaller
    tenfold = pairs.take(np.tile(np.arange(len(pairs)), 5))
    arrays = arrays_of(asked("--curve"), "slabs", tenfold)
    assert [(array.id, len(array.models)) for array in arrays] == [
        ("slabs/contrast", 2), ("slabs/regression", 2), ("slabs/contrast/50", 1),
        ("slabs/regression/50", 1), ("slabs/contrast/200", 1), ("slabs/regression/200", 1),
    ]  # fmt: skip
    # as many steps as of all 240, and no more than ten times the epochs
    assert [array.epochs for array in arrays[::2]] == [2, 10, 2]
    many = pairs.take(np.tile(np.arange(len(pairs)), 20))
    assert arrays_of(asked("--curve"), "slabs", many)[2].epochs == 20
    first = arrays[2]
    assert first.cost(tenfold) < arrays[0].cost(tenfold)
    row = first.row("member 0")
    assert ContrastArray.describe(row) == "contrast of 50 member 0"
    assert ContrastArray.member(row) == "member 0"


@cache
def whole() -> Split:
    return pair_split(given().pairs, "random", 42)


def learned(split: Split, *noise: float) -> Learned:
    """What models found whose vectors of partners differ by some noise."""
    contrasts = tuple(made_up(split, seed, one) for seed, one in enumerate(noise))
    row = {"seconds": 2.0, "epochs": 3, "n_train": len(split.train), "parameters": 7,
           "best_epoch": 2, "val_error": 1.0, "test_error": 1.0}  # fmt: skip
    rows = pd.DataFrame([row | {"learns": one} for one in LEARNS for _ in noise])
    said = given().pairs.work_function + 0.5
    regressions = tuple({"predictions/work_function": said} for _ in noise)
    return Learned(given().pairs, None, rows, contrasts, regressions, 0)


def test_retrieval_of_partners_that_are_the_same() -> None:
    found = learned(whole(), 0.0, 0.0)
    rows = {(row["way"], row["method"]): row for row in found.retrieval.facts()}
    for way in WAYS:
        assert rows[way, ENSEMBLE]["recall"] == {"1": 1, "5": 1, "10": 1}
        assert rows[way, ENSEMBLE]["recall_1_interval"] is None  # it does not scatter
        assert rows[way, CHANCE]["recall"]["1"] == pytest.approx(1 / len(whole().test))
        assert rows[way, COMPOSITION]["recall"]["1"] < 1 and rows[way, ENSEMBLE]["mean_rank"] == 1
        assert all(
            row["near_recall"][top] >= row["recall"][top] - 1e-12
            for row in rows.values()
            for top in row["recall"]
        )
        # knows where the planes lie, and nothing else
        assert rows[way, CHANCE]["recall"]["1"] < rows[way, GEOMETRY]["recall"]["1"] < 1
    assert {row["against"] for row in found.retrieval.differences()} == {*BASELINES}
    # six noise-free partners before training too
    assert rows["crystal_to_profile", UNTRAINED]["recall"]["10"] == 1
    json.dumps([found.retrieval.facts(), found.retrieval.curve(), found.retrieval.differences()],
               allow_nan=False)  # fmt: skip
    ends = [row["recall"][-1] for row in found.retrieval.curve()]
    np.testing.assert_allclose(ends, 1)


def test_work_functions_by_all_ways() -> None:
    found = learned(whole(), 0.0, 0.3).work_functions
    true = given().pairs.work_function
    errors = {row["method"]: row["mae"] for row in found.facts()}
    assert errors["regression"] == pytest.approx(0.5)
    apart = np.abs(true[whole().test] - true[whole().train].mean()).mean()
    assert errors["mean"] == pytest.approx(apart)
    nearest, _ = found.library
    assert np.isin(nearest, whole().train).all()
    assert (nearest[whole().train] != whole().train).all()
    assert errors["retrieval"] == pytest.approx(np.abs(true[nearest] - true)[whole().test].mean())
    summary = found.summary()
    assert summary["heads"][summary["head"]]["mae"] == pytest.approx(errors["head"])
    validation = {kind: one["validation_mae"] for kind, one in summary["heads"].items()}
    assert len(validation) == 2
    json.dumps(summary, allow_nan=False)


def test_the_gallery_with_the_truth_is_no_prediction() -> None:
    assert learned(whole(), 0.0).work_functions.in_gallery() == 0


def test_a_single_formula_has_no_interval_and_no_test() -> None:
    formulas = np.asarray(given().pairs.formulas)
    one = np.flatnonzero(formulas == formulas[whole().test[0]])
    rest = np.setdiff1d(np.arange(MATERIALS), one)
    found = learned(Split(rest[5:], rest[:5], one), 0.1)
    assert found.retrieval.differences() == [] == found.work_functions.differences()
    facts = [*found.retrieval.facts(), *found.work_functions.facts()]
    assert all(row.get("recall_1_interval", row.get("interval")) is None for row in facts)
    json.dumps(facts, allow_nan=False)


def test_rows_of_the_files_are_of_the_parts() -> None:
    found = learned(whole(), 0.1, 0.2)
    embedded = pd.DataFrame(found.embeddings())
    assert len(embedded) == 2 * MATERIALS
    np.testing.assert_array_equal(
        embedded["work_function"], np.tile(given().pairs.work_function, 2)
    )
    assert found.cost()[0]["best_epochs"] == [3, 3]  # the ledger counts from 0
    predicted = pd.DataFrame(found.predictions())
    counts = predicted["part"].value_counts()
    assert counts.to_dict() == {"test": len(whole().test), "validation": len(whole().validation)}
    assert predicted.loc[predicted["part"] == "validation", "rank_to_profile"].isna().all()
    assert (predicted["head_lower"] <= predicted["head"]).all()
    levels = predicted[["vacuum_bottom", "vacuum_top"]].mean(axis=1)
    np.testing.assert_allclose(levels, predicted["work_function"])
    smaller = Split(whole().train[:9], whole().validation, whole().test)
    assert (part_of(smaller, MATERIALS) == "").sum() == len(whole().train) - 9


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("embeddings/crystal", None, "without embeddings/crystal"),
        ("untrained/features/crystal", None, "without untrained/features/crystal"),
        ("embeddings/profile", np.ones((3, 5)), "embeddings/profile is of another size"),
        ("features/crystal", np.ones((MATERIALS, 5), int), "features/crystal is of another type"),
        ("split/test", np.array([0]), "split/test is of another size"),
        ("split/test", np.arange(6) + MATERIALS, "split/test is of other materials"),
    ],
)
def test_a_record_that_holds_no_such_model(name: str, change: np.ndarray | None, why: str) -> None:
    row = {"learns": "pairs", "n_train": 48, "n_val": 6, "n_test": 6}
    arrays = made_up(whole())
    assert wrong_in_arrays(arrays, row) == ""
    changed = {key: one for key, one in arrays.items() if key != name}
    assert wrong_in_arrays(changed if change is None else changed | {name: change}, row) == why


def test_a_record_of_a_regression_needs_its_predictions() -> None:
    row = {"learns": "work_function", "n_train": 48, "n_val": 6, "n_test": 6}
    arrays = {name: one for name, one in made_up(whole()).items() if name.startswith("split/")}
    assert wrong_in_arrays(arrays, row) == "without predictions/work_function"
    assert wrong_in_arrays(arrays | {"predictions/work_function": np.ones(MATERIALS)}, row) == ""


@pytest.mark.parametrize(
    ("job", "names"),
    [
        ("contrast", (*POTENTIAL, *FERMI, *VACUUM, *Z)),
        ("dos", (*ENERGIES, *OF_SITES, *OF_CRYSTALS)),
    ],
)
def test_the_help_has_all_usual_names_of_columns(
    job: str, names: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main([job, "--help"])
    said = capsys.readouterr().out.replace(",", " ").split()
    assert set(names) <= set(said)
