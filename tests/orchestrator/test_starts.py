"""Controls start where the models of a run start."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from analysis.element_table import to_csv
from orchestrator.element_groups.untrained import Start, measured
from orchestrator.grid.handcrafted import usual_table
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.transfer.tables import load_tables
from tests.orchestrator.finished_runs import make_run
from trainables.elements import handcrafted

NUMBERS = np.arange(3, 40)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("starts") / "run"
    changes = {"backbones": ("cgcnn",), "dims": (4,), "mixing": ("H", "0", "L")}
    return make_run(folder, element_init=("zero",), handcrafted=("elements",), **changes)


def test_a_run_knows_its_handcrafted_table_and_start(made: Path) -> None:
    start = Start.of(FinishedRun(made))
    assert (start.handcrafted, start.element_init) == ("elements", "zero")
    assert np.array_equal(start.table, handcrafted.table_of("elements"))


def test_vectors_that_start_at_zero_have_no_shape_and_no_angle(made: Path) -> None:
    from_zero = measured([4], NUMBERS, 0, Start.of(FinishedRun(made)))
    assert from_zero["strategy"].tolist() == ["handcrafted", "mixed"]
    assert from_zero["angle_mean"].isna().all()
    table = handcrafted.table_of("cgcnn92")
    normal = Start(handcrafted="cgcnn92", table=table, element_init="normal")
    drawn = measured([4], NUMBERS, 0, normal).set_index("strategy")
    assert list(drawn.index) == ["handcrafted", "learned", "mixed"]
    assert abs(drawn.loc["mixed", "angle_mean"] - 90) < 5
    other = from_zero.set_index("strategy").loc["handcrafted", "effective_rank"]
    assert other != drawn.loc["handcrafted", "effective_rank"], "of other columns"


def test_transfer_takes_the_columns_of_the_grid(made: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(made, tmp_path / "run"))
    (run / "shards").mkdir()
    (run / "tables").mkdir()
    path = run / "tables" / "Mat2Vec-H-5.csv"
    path.write_text(to_csv(np.random.default_rng(0).normal(size=(118, 5))))
    path.with_suffix(".meta.json").write_text(json.dumps({"strategy": "H"}))
    found = {one.name: one for one in load_tables([str(path)], (0,), controls=True)}
    own = handcrafted.table_of("elements")[1:]
    assert np.linalg.matrix_rank(found["descriptor elements"].values) == np.linalg.matrix_rank(own)
    assert found["descriptor elements"].values.shape == own.shape
    assert found["untrained-5 elements"].values.shape == (118, 5)


def test_the_table_is_that_of_most_models_with_a_handcrafted_part(made: Path) -> None:
    finished = FinishedRun(made)
    finished.done.loc[finished.done["mixing"] == "L", "handcrafted"] = "cgcnn92"
    assert usual_table(finished)[0] == "elements"
