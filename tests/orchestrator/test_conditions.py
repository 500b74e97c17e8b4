"""Conditions as axes of a grid: cells, keys, columns, the report, and what refuses them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from orchestrator.grid.cells import Space, arrays
from orchestrator.grid.columns import NOTHING
from orchestrator.grid.config import build_config
from orchestrator.grid.inputs import demand_parts
from orchestrator.grid.strategies import Search, configurations
from orchestrator.hybrid_grid.flags import parse
from orchestrator.interface.errors import UsageError
from orchestrator.jobs import JOBS
from orchestrator.planning.estimate import estimate
from orchestrator.planning.measure import Costs, Line, Record
from orchestrator.planning.sample import Size
from orchestrator.report.job import write_report
from orchestrator.runs.finished_run import FinishedRun
from tests.orchestrator.finished_runs import make_run
from tests.orchestrator.small_data import ENERGY, cells_of, grid_array, with_rows
from trainables.crystals.condition import Condition
from trainables.testing.samples import made_up_dataset
from trainables.training.specification import ModelSpec

SMALL = {"folds": (0,), "dims": (8,), "mixing": ("H", "L"), "backbones": ("cgcnn",)}


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
        demand_parts(config, {("ionic", "cgcnn"): made_up_dataset("cgcnn", 40)})
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
    assert "Student's over the 2 models of a point" in body
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
