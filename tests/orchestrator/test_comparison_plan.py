"""What a comparison can establish: `transfer --plan`."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.power import Spread, detectable, seeds_needed
from orchestrator.jobs import JOBS
from orchestrator.runs import sums
from orchestrator.transfer.files import FACTS, write_scores
from orchestrator.transfer.flags import parse
from orchestrator.transfer.plan import Design, designs_of
from orchestrator.transfer.results import compare
from tests.compositions_for_tests import made_up_compositions, write_formulas, write_table

FOLDS, SEEDS = range(5), range(2)


def scores_of(task: str = "made-up") -> pd.DataFrame:
    """Two tables whose differences scatter between seeds, and hardly between folds."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {"table": table, "task": task, "fold": fold, "seed": seed, "metric": "mae",
         "value": 10.0 + random.normal(0, 0.5)}
        for table in ("one", "two") for fold in FOLDS for seed in SEEDS
    )  # fmt: skip


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    tables = [str(write_table(tmp_path / f"{name}.csv", 3)) for name in ("one", "two")]
    formulas = write_formulas(tmp_path / "formulas.csv", 40)
    return [
        *("--tasks", f"made-up={formulas}", "--tables", *tables, "--no-controls"),
        *("--plan", "--run", str(tmp_path / "run")),
    ]


def plan(capsys: pytest.CaptureFixture[str], flags: list[str]) -> str:
    assert JOBS["transfer"].main(flags) == 0
    return capsys.readouterr().out


def test_without_results_the_noise_of_seeds_is_assumed(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = plan(capsys, [*flags, "--noise", "10%", "--detect", "8%"])
    spread = Spread(folds=0.0, seeds=2 * 0.1**2)
    smallest = detectable(spread.deviation(3), 5, 0.25)
    assert "made-up: 5 folds, 3 seeds, 1 table compared with one" in said
    assert f"a difference of {smallest:.1%} of its error is the smallest" in said
    assert f"8.0% takes {seeds_needed(0.08, spread, 5, 0.25)} seeds" in said
    assert "assumed, as " in said and "by 10.0%" in said
    assert not (tmp_path / "run").exists()
    assert "by 4.1%" in plan(capsys, flags), "expt_gap's"


def test_controls_are_comparisons_too(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    own = [flag for flag in flags if flag != "--no-controls"]
    assert "4 tables compared with one" in plan(capsys, own)


def test_results_say_how_far_differences_scatter(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plan for as many seeds as the run has is what the run itself detects."""
    run, scores = tmp_path / "run", scores_of()
    write_scores(run, scores)
    sums.write_json(run, FACTS, {"recipe": "tuned", "epochs": {"made-up": 2}, "seeds": [0, 1]})
    said = plan(capsys, [*flags, "--seeds", "0", "1"])
    assert "(recipe tuned, 2 epochs): differences scatter by" in said
    data = {"made-up": made_up_compositions()}
    row = compare(scores, data, ["one", "two"], "one", 0.25, 0.05)[1]
    own = re.search(r"a difference of (\S+)% of its error \((\S+)\) is the smallest", said)
    assert own is not None
    (told,) = designs_of(scores, [row], "one", 0.25, 0.05)
    assert own[0] in told
    assert float(own[2]) == pytest.approx(row["detectable"], rel=1e-3)
    apart = scores.pivot(index=["fold", "seed"], columns="table", values="value")
    between = (apart["two"] - apart["one"]).groupby("fold").var().mean()
    error = apart["one"].mean()
    assert f"scatter by {math.sqrt(between) / error:.1%} of the error between seeds" in said
    # of other data sets it says nothing
    elsewhere = plan(capsys, [*flags, "--reference", "two", "--noise", "7%"])
    assert "(recipe tuned" in elsewhere
    flags[1] = flags[1].replace("made-up=", "other=")
    assert "assumed" in plan(capsys, [*flags, "--noise", "7%"])


def test_one_seed_cannot_tell_folds_from_seeds(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = scores_of()
    write_scores(tmp_path / "run", scores[scores["seed"] == 0])
    sums.write_json(
        tmp_path / "run", FACTS, {"recipe": "tuned", "epochs": {"made-up": 2}, "seeds": [0]}
    )
    assert "its one seed cannot tell the two apart" in plan(capsys, flags)


def test_what_no_seeds_help() -> None:
    given = {"task": "t", "reference": "one", "seeds": 3, "tests": 1, "test_by_train": 0.25}
    scattered = Design(folds=5, error=None, spread=Spread(folds=1.0, seeds=1.0), **given)
    assert "no number of seeds is enough for 5.0%" in scattered.line(0.05)
    two = Design(folds=2, error=None, spread=Spread(folds=0.0, seeds=0.01), **given)
    assert two.line(0.05).endswith("3 folds are the least that can establish a difference")


def test_a_table_alone_has_no_rival(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    del flags[4]
    assert "one is the only table" in plan(capsys, flags)


def test_shares_are_per_cent_or_fractions(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("5%", "0.05", " 5 %"):
        assert parse(["--tasks", "steels", "--detect", text]).detect == pytest.approx(0.05)
    for wrong in ("5", "0%", "x%", "150%", "nan%"):
        assert JOBS["transfer"].main(["--tasks", "steels", "--detect", wrong]) == 2
        assert "--detect" in capsys.readouterr().err
