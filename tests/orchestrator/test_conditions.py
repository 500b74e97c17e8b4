"""Conditions as axes of a grid: cells, keys, columns, the report, and what refuses them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.selection import strategies
from orchestrator.data.unseen import with_elements
from orchestrator.grid.arrays import arrays
from orchestrator.grid.cells import Space
from orchestrator.grid.columns import NOTHING
from orchestrator.grid.conditions import LEAST, left_out
from orchestrator.grid.parts import conditions_of
from orchestrator.grid.request import build_config
from orchestrator.grid.strategies import Search, configurations
from orchestrator.hybrid_grid.flags import parse
from orchestrator.hybrid_grid.holdout_sections import held_out
from orchestrator.interface.errors import UsageError
from orchestrator.jobs import JOBS
from orchestrator.planning.estimate import estimate
from orchestrator.planning.measure import Costs, Line, Record
from orchestrator.planning.sample import Size
from orchestrator.planning.work import look
from orchestrator.report.job import write_report
from orchestrator.runs.finished_run import FinishedRun
from tests.orchestrator.finished_runs import make_run
from tests.orchestrator.small_data import ENERGY, cells_of, grid_array, with_rows
from trainables.crystals.condition import Condition
from trainables.crystals.symbols import NUMBERS, SYMBOLS
from trainables.representations.dataset import split_dataset
from trainables.testing.samples import made_up_dataset
from trainables.training.specification import ModelSpec

SMALL = {"folds": (0,), "dims": (8,), "mixing": ("H", "L"), "backbones": ("cgcnn",)}


_DATA = made_up_dataset("cgcnn", 30)
COMMON = max(SYMBOLS[1:], key=lambda name: int(_DATA.having([NUMBERS[name]]).sum()))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run at three sizes, the last of which is all that there is."""
    folder = tmp_path_factory.mktemp("conditions") / "run"
    return make_run(folder, backbones=("cgcnn",), dims=(4,), train_size=(4, 9, 0))


def test_sizes_repeat_configurations_in_arrays_of_their_own() -> None:
    config = build_config("demo", {**SMALL, "train_size": (100, 0)})
    found = arrays(cells_of(config))
    assert [array.id for array in found] == [
        "ionic/fold0/cgcnn/d8/train size 100", "ionic/fold0/cgcnn/d8"
    ]  # fmt: skip
    assert found[0].spec.condition == Condition(train_size=100)
    (usual,) = arrays(cells_of(build_config("demo", SMALL)))
    assert usual.keys == found[1].keys, "all crystals change no key"
    (model, _) = found[0].models
    assert ModelSpec.read(model.text) == model and "condition" in model.text


def test_the_ledger_has_the_size_and_the_condition() -> None:
    ledger = with_rows(cells_of(build_config("demo", {**SMALL, "train_size": (100, 0)})))
    assert ledger["train_size"].tolist() == [100, 100, 0, 0]
    assert ledger["condition"].tolist() == ["train size 100"] * 2 + [""] * 2
    assert set(ledger["setting"]) == {""}, "a condition is no setting"


def test_a_budget_counts_configurations_under_all_conditions() -> None:
    changes = {
        **SMALL,
        "strategy": "random",
        "budget": 3,
        "train_size": (50, 0),
        "lr": ("1e-4..1",),
    }
    config = build_config("demo", changes)
    search = Search(Space(config, {"ionic": ENERGY}, {}))
    ledger = with_rows(search.propose(NOTHING))
    assert len(ledger) == 3 * 2 and len(configurations(ledger)) == 3


def test_a_wrong_size_is_one_line() -> None:
    with pytest.raises(UsageError, match=r"^--train-size: -1 is wrong, it must be greater"):
        parse(["--tasks", "ionic", "--train-size", "-1"])
    config = build_config("demo", {**SMALL, "train_size": (10, 25)})
    with pytest.raises(UsageError) as caught:
        conditions_of(config, {("ionic", "cgcnn"): made_up_dataset("cgcnn", 40)})
    assert str(caught.value) == (
        "ionic: of fold 0, 24 crystals may be trained on, and --train-size 25 asks for more; name"
        " smaller sizes"
    )


def test_fewer_crystals_cost_less() -> None:
    line = Line(fixed=0.0, per_row=1.0)
    costs = Costs(
        members=2, seconds=line, alive=line, evaluating=0.0, resident=1.0, traffic=None,
        record=Record(fixed=0.0, crystal=0.0, epoch=0.0),
    )  # fmt: skip
    seconds = [
        estimate(grid_array(condition=Condition(train_size=size)), costs, Size(1000, 10.0), 1e9)
        for size in (60, 600, 0)
    ]
    few, most, whole = (one.seconds for one in seconds)
    assert most == whole and few / whole == pytest.approx((60 + 200 / 3) / (600 + 200 / 3))
    data = made_up_dataset("cgcnn", 60)
    few, whole = (grid_array(condition=Condition(train_size=size)).cost(data) for size in (12, 0))
    assert few / whole == pytest.approx((12 + 12) / (36 + 12))


def test_the_report_draws_the_error_against_the_size(made: Path) -> None:
    body = " ".join(write_report(made).read_text().split())
    assert "Number of training crystals</h2>" in body
    assert "Student's over the 2 folds and seeds of a point" in body
    assert "all 9 configurations" in body and "<td>train size 4</td>" in body
    assert "learned under a condition" not in body
    ledger = pd.read_parquet(made / "ledger.parquet")
    for _, own in ledger.groupby(["mixing", "train_size"]):
        assert f">{own['test_error'].mean():.4g}<" in body
    whole = ledger[ledger["train_size"] == 0]
    assert f"Drawn are 3 of {len(whole)} models" in body, "of the models that learned from all"


def test_other_sections_are_of_the_models_that_learned_from_all(made: Path) -> None:
    run = FinishedRun(made)
    assert len(run.done) == 18 and len(run.principal.done) == 6
    assert set(run.principal.done["n_train"]) == {18}
    assert run.principal.digest == run.digest
    assert run.principal.best["condition"].tolist() == [""]


def test_a_run_under_one_size_says_so(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", backbones=("cgcnn",), dims=(4,), train_size=9)
    body = " ".join(write_report(run).read_text().split())
    assert "These models learned under a condition: train size 9." in body
    assert "Number of training crystals</h2>" not in body


def test_an_ensemble_is_of_models_that_learned_from_all(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert JOBS["ensemble"].main([str(made)]) == 0
    assert "12 models under conditions are left out; ensembles are" in capsys.readouterr().err
    run = make_run(tmp_path / "run", backbones=("cgcnn",), dims=(4,), train_size=9)
    assert JOBS["ensemble"].main([str(run)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.endswith(
        "all its models are under conditions, as train size 9; ensembles are of models that learned"
        " from whole folds"
    )


# ------------------------------------------------------------------------------ elements held out


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with and without an element, which is named as one of the made-up crystals."""
    folder = tmp_path_factory.mktemp("held") / "run"
    changes = {"leave_out": ("none", COMMON), "shots": (0, 2)}
    return make_run(folder, backbones=("cgcnn",), dims=(4,), **changes)


@pytest.mark.parametrize(
    ("given", "parsed"),
    [
        ("Ta", "Ta"), ("S+O+S", "O+S"), ("none", ""), ("elements", "elements"),
        ("alkali-metal", "Li+Na+K+Rb+Cs+Fr"), ("halogen+O", "O+F+Cl+Br+I+At+Ts"),
    ],
)  # fmt: skip
def test_what_is_held_out_is_elements_in_order(given: str, parsed: str) -> None:
    assert left_out(given) == parsed


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--leave-out Xx", "--leave-out: 'Xx' is wrong, it must be an element as Ta, a class (al"),
        ("--leave-out O+", "--leave-out: '' is wrong"),
        ("--mixing residul", "--mixing: mixing 'residul' is neither H, L, residual, auto nor a"),
        ("--leave-out O+S S+O", "--leave-out: given twice: O+S"),
        ("--leave-out none --shots 3", "--shots: they are crystals with an element that is held"),
        ("--shots 3", "--shots: they are crystals with an element that is held out"),
    ],
)
def test_wrong_flags_are_one_line(flags: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(["--tasks", "ionic", *flags.split()])
    assert str(caught.value).startswith(words) and "\n" not in str(caught.value)


def test_what_is_held_out_is_named_and_shots_are_of_it_alone() -> None:
    changes = {"leave_out": ("none", "Ta", "alkali-metal"), "shots": (0, 3)}
    config = build_config("demo", {**SMALL, **changes})
    found = arrays(cells_of(config))
    assert [array.id.rpartition("/d8")[2] for array in found] == [
        "", "/without Ta", "/without Ta, shots 3", "/without alkali-metal",
        "/without alkali-metal, shots 3",
    ]  # fmt: skip
    ledger = with_rows(cells_of(config))
    assert ledger["leave_out"].drop_duplicates().tolist() == ["", "Ta", "Li+Na+K+Rb+Cs+Fr"]
    assert ledger["shots"].tolist() == [0, 0, 0, 0, 3, 3, 0, 0, 3, 3]
    again = parse(["--tasks", "ionic", "--leave-out", "none", "Ta", "alkali-metal", "--shots", "0"])
    assert again.config.leave_out == config.leave_out


def test_elements_in_turn_are_those_that_every_fold_can_test(
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = made_up_dataset("cgcnn", 150)
    config = build_config("demo", {**SMALL, "folds": (0, 1, 2, 3, 4), "leave_out": ("elements",)})
    (found,) = conditions_of(config, {("ionic", "cgcnn"): data}).values()
    names = [condition.leave_out for condition in found]
    enough = [name for name in SYMBOLS[1:] if data.having([NUMBERS[name]]).sum() >= LEAST]
    assert names and set(names) <= set(enough)
    for name in names:
        for fold in range(5):
            assert split_dataset(data, fold, 0, Condition(leave_out=name)).test.size
    said = capsys.readouterr()
    assert f"ionic: {len(names)} elements held out in turn" in said.out
    most = max(int(data.having([NUMBERS[name]]).sum()) for name in enough)
    shots = config.model_copy(update={"shots": (0, most)})
    with pytest.raises(UsageError, match=r"^--leave-out elements: no element of ionic is in 20"):
        conditions_of(shots, {("ionic", "cgcnn"): data})


def test_an_element_that_is_passed_over_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Some element has too few crystals in a training part for so many shots."""
    data = made_up_dataset("cgcnn", 150)
    config = build_config("demo", {**SMALL, "leave_out": ("elements",)})
    train = split_dataset(data, 0, 0).train
    counts = {
        name: int(data.having([NUMBERS[name]])[train].sum())
        for name in SYMBOLS[1:]
        if data.having([NUMBERS[name]]).sum() >= LEAST
    }
    fewest = min(counts.values())
    assert fewest < max(counts.values()), "or nothing is compared"
    shots = config.model_copy(update={"shots": (fewest + 1,)})
    (found,) = conditions_of(shots, {("ionic", "cgcnn"): data}).values()
    assert {one.leave_out for one in found} == {n for n, c in counts.items() if c > fewest}
    gone = [name for name, count in counts.items() if count == fewest]
    assert f"ionic: {', '.join(gone)} cannot be held out" in capsys.readouterr().err


def test_an_element_that_no_test_crystal_has_is_one_line() -> None:
    config = build_config("demo", {**SMALL, "leave_out": ("Og",)})
    with pytest.raises(UsageError) as caught:
        conditions_of(config, {("ionic", "cgcnn"): made_up_dataset("cgcnn", 40)})
    assert str(caught.value) == (
        "ionic: of fold 0, 24 training, 8 validation and 0 test crystals are left with Og held out;"
        " hold out another element, or name other --folds"
    )


def test_a_plan_needs_the_crystals_to_hold_elements_out_in_turn(tmp_path: Path) -> None:
    flags = ["--tasks", "ionic", "--leave-out", "groups", "--dry-run", "--run", str(tmp_path)]
    with pytest.raises(UsageError) as caught:
        look(parse(flags))
    assert str(caught.value) == (
        "--leave-out groups: which ones ionic has is known once it is featurised; name them, or"
        " leave --dry-run out"
    )


def test_streamed_data_get_the_elements_of_their_crystals(tmp_path: Path) -> None:
    data = made_up_dataset("cgcnn", 20)
    (found,) = with_elements({("salts", "cgcnn"): data}, {"salts": None}).values()  # type: ignore[dict-item]
    assert found.elements is not None and found.elements.sum() > 20
    for z in np.flatnonzero(found.elements.any(axis=0)):
        assert np.array_equal(found.having([z]), data.having([z]))


def test_the_report_compares_mixings_on_what_is_held_out(held: Path) -> None:
    body = " ".join(write_report(held).read_text().split())
    assert "Elements held out</h2>" in body and "of 1 element held out in turn" in body
    assert "How few crystals make an element known" in body
    ledger = pd.read_parquet(held / "ledger.parquet")
    own = ledger[(ledger["leave_out"] == COMMON) & (ledger["shots"] == 2)]
    for _, rows in own.groupby("mixing"):
        assert f">{rows['test_error'].mean():.4g}<" in body
    assert ">element known</th>" in body
    predictions = pd.read_parquet(held / "predictions.parquet")
    tested = predictions[predictions["part"] == "test"].set_index("key")
    errors = []
    for fold in (0, 1):
        mine = ledger[(ledger["mixing"] == "H") & (ledger["fold"] == fold) & (ledger["shots"] == 0)]
        keys = mine.set_index("leave_out")["key"]
        ids = tested.loc[[keys[COMMON]], "id"]
        whole = tested.loc[[keys[""]]]
        whole = whole[whole["id"].isin(ids)]
        assert len(whole) == len(ids)
        errors.append((whole["prediction"] - whole["target"]).abs().mean())
    assert f">{np.mean(errors):.4g}<" in body
    assert "Number of training crystals</h2>" not in body


def test_the_report_has_a_map_of_a_mixing_without_a_number(tmp_path: Path) -> None:
    changes = {"leave_out": (COMMON,), "shots": (0,), "mixing": ("H", "auto", "L")}
    run = make_run(tmp_path / "run", backbones=("cgcnn",), dims=(4,), **changes)
    shown = held_out(FinishedRun(run))
    assert shown is not None
    titles = [one["title"] for one in shown["maps"]]
    assert titles == [f"salts, CGCNN, γ = {mixing}" for mixing in ("H", "L", "auto")]
    assert shown["summary"]["mixing"].tolist() == ["H", "L", "auto"]


def test_tables_and_ensembles_have_no_model_with_an_element_held_out(held: Path) -> None:
    run = FinishedRun(held)
    whole = set(run.ledger.loc[run.ledger["condition"] == "", "key"])
    assert set().union(*strategies(run.ledger).values()) <= whole
    assert set(run.principal.done["key"]) == whole
    assert JOBS["ensemble"].main([str(held), "--dry-run"]) == 0
