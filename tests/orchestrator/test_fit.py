"""`elemgrid fit`: its designs, its results and its part of the report, without Ray."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator.fit import files
from orchestrator.fit.design import ALL, Design, Plan
from orchestrator.fit.flags import parse
from orchestrator.fit.job import say
from orchestrator.fit.results import curve_of, results_of
from orchestrator.interface.errors import UsageError
from orchestrator.interface.job import USAGE
from orchestrator.jobs import JOBS
from orchestrator.report.job import write_report
from orchestrator.runs import sums
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.runs.run_directory import locked
from tests.orchestrator.finished_runs import make_run, write_shards
from tests.orchestrator.small_grids import rows, write_matbench
from trainables.testing.crystals import made_up

FIRST = Design(inner_folds=2, epochs=5, curve=(6, 12))


class Priced(Plan):
    """A plan in which a model costs a second, and MEGNet's three."""

    def __init__(self) -> None:
        pass

    def seconds(self, design: Design, done: Design | None = None) -> float:
        each = sum({"cogn": 1.0, "megnet": 3.0}[name] for name in design.backbones)
        sizes = 1 + len(design.curve)
        whole = each * len(design.mixing) * design.seeds * sizes * design.inner_folds
        return whole - (0 if done is None else self.seconds(done))


def test_each_larger_design_keeps_all_models_of_the_smaller() -> None:
    asked = parse(["ionic"])
    for larger in FIRST.larger():
        small, large = (one.options(asked).config for one in (FIRST.bare, larger))
        for axis in ("folds", "backbones", "mixing", "seed", "dims", "epochs"):
            assert set(getattr(small, axis)) <= set(getattr(large, axis)), axis
        assert large.inner_folds == small.inner_folds and large.train_size is None


def test_designs_grow_as_far_as_there_is_time() -> None:
    plan, done, grown, left = Priced(), FIRST.bare, [], 16.0
    while design := plan.next(done, left):
        grown.append(design)
        left -= plan.seconds(design, done)
        done = design
    assert left == 2
    assert [(one.backbones, one.mixing, one.seeds) for one in grown] == [
        (("cogn",), ("H", "residual"), 1),
        (("cogn", "megnet"), ("H", "residual"), 1),
    ]
    assert plan.next(ALL, 63) is None and plan.next(ALL, 64) is not None
    cheap = plan.next(dataclasses.replace(FIRST.bare, mixing=("H", "residual")), 4)
    assert cheap is not None and cheap.seeds == 2 and cheap.backbones == ("cogn",)


def test_the_first_design_leaves_half_of_the_time() -> None:
    plan = Priced()
    found = plan.first(48, 1000)
    assert found.inner_folds == 8 and found.epochs == 100 and found.curve == (200, 400)
    assert plan.first(47, 1000).epochs == 40, "the first that costs half"
    assert plan.first(1, 1000) == Design(inner_folds=2, epochs=5)
    assert plan.first(48, 40).curve == (), "too few crystals for parts of parts"


def test_a_plan_is_told_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("orchestrator.fit.design.FIRST", ((2, 2),))
    data, run = write_matbench(tmp_path / "mine.json.gz", rows(60)), tmp_path / "run"
    flags = [str(data), "--run", str(run), "--minutes", "9", "--folds", "0", "--dry-run"]
    assert JOBS["fit"].main(flags) == 0 and not run.exists()
    first, *more = capsys.readouterr().out.splitlines()
    assert first.startswith("first: cogn, H, 2 parts, 2 epochs, and its learning curve: about")
    assert more[0].startswith("then, as there is time: cogn, H and residual, 2 parts, 2 epochs")
    assert len(more) == 2 + 3 and more[-1].endswith(" in all"), "all networks, then seeds"


def broken(folder: Path, number: int) -> list[str]:
    """The flags of a fit of 60 crystals, of which so many have no lattice."""
    crystals = rows(60)
    for place in range(number):
        crystals[place] = ({"lattice": {}, "sites": []}, 1.0)
    data = write_matbench(folder / "mine.json.gz", crystals)
    return [str(data), "--run", str(folder / "run"), "--minutes", "1", "--folds", "0"]


def test_a_dry_run_lists_the_bad_crystals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("orchestrator.fit.design.FIRST", ((2, 2),))
    assert JOBS["fit"].main([*broken(tmp_path, 2), "--dry-run"]) == 0
    head, *bad = capsys.readouterr().out.splitlines()[:3]
    assert head == "of 60 crystals that were read, 2 are bad:"
    assert bad == [
        f"  mine.json.gz row {row + 1} ({row}): no structure: the JSON lacks 'matrix'"
        for row in range(2)
    ]


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_too_many_bad_crystals_leave_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dry: list[str]
) -> None:
    assert JOBS["fit"].main([*broken(tmp_path, 15), *dry]) == USAGE
    said = capsys.readouterr().err
    assert "mine.json.gz: 15 of 60 crystals are bad (25 %)" in said and "--max-bad" in said
    assert not (tmp_path / "run").exists()


def test_a_fit_that_is_refused_later_leaves_no_files(tmp_path: Path) -> None:
    """As more crystals are bad than the sample of the plan showed."""
    run = tmp_path / "run"
    with pytest.raises(UsageError, match="bad"), locked(run):
        files.Progress(asked=ASKED, first=FIRST).write(run)
        files.withdraw(run)
        raise UsageError("bad")
    assert not run.exists()
    files.Progress(asked=ASKED, first=FIRST).write(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    files.withdraw(tmp_path)
    assert files.read_progress(tmp_path, ASKED) is not None, "models may be recorded"


ASKED = {"structures": "mine", "folds": (0, 1), "seed": 0}


def test_a_fit_is_taken_up_again(tmp_path: Path) -> None:
    assert files.read_progress(tmp_path, ASKED) is None
    curve = [{"fold": 0, "crystals": 6.0, "error": 0.5}]
    state = files.Progress(asked=ASKED, first=FIRST, done=ALL, seconds=3.0, slower=2.0, curve=curve)
    state.write(tmp_path)
    found = files.read_progress(tmp_path, ASKED)
    assert found is not None and (found.first, found.done) == (FIRST, ALL)
    assert (found.seconds, found.slower, found.curve) == (3.0, 2.0, curve)


def test_a_run_that_is_no_such_fit_is_not_touched(tmp_path: Path, fitted: Path) -> None:
    with pytest.raises(UsageError, match="holds a run that is no fit; name another folder"):
        files.read_progress(fitted, ASKED)
    files.Progress(asked=ASKED, first=FIRST).write(tmp_path)
    with pytest.raises(UsageError, match=r"holds a fit of structures mine, folds \[0, 1\], seed 0"):
        files.read_progress(tmp_path, ASKED | {"seed": 1})
    content = json.loads((tmp_path / files.PROGRESS).read_text())
    sums.write_json(tmp_path, files.PROGRESS, content | {"strange": 1})
    with pytest.raises(UsageError, match="damaged"):
        files.read_progress(tmp_path, ASKED)
    (tmp_path / files.PROGRESS).write_text(json.dumps(content))
    with pytest.raises(UsageError, match="SHA-256"):
        files.read_progress(tmp_path, ASKED)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("fit") / "run"
    changes = {"backbones": ("cgcnn",), "dims": (4,), "mixing": ("H",), "inner_folds": 2}
    make_run(run, folds=(0, 1, 2, 3, 4), train_size=(8, 16, 0), **changes)
    write_shards(run, 30)
    assert JOBS["ensemble"].main([str(run)]) == 0
    return run


def test_the_curve_has_a_point_a_fold_and_size(fitted: Path) -> None:
    curve = pd.DataFrame(curve_of(fitted))
    assert len(curve) == 15 and curve["fold"].nunique() == 5
    ledger = pd.read_parquet(fitted / "ledger.parquet")
    own = ledger[(ledger["fold"] == 2) & (ledger["train_size"] == 8)]
    row = curve[(curve["fold"] == 2) & (curve["crystals"] == own["n_train"].mean())]
    assert row["error"].tolist() == pytest.approx([own["test_error"].mean()])


def test_results_are_those_of_the_ensemble_and_of_its_crystals(
    fitted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not results_of(FinishedRun(fitted), curve_of(fitted))["elements"], "too few crystals"
    monkeypatch.setattr("orchestrator.fit.results.LEAST", 3)
    facts = results_of(FinishedRun(fitted), curve_of(fitted))
    told = pd.read_parquet(fitted / "ensemble.parquet")
    apart = (told["prediction"] - told["target"]).abs()
    means = apart.groupby(told["fold"]).mean()
    assert facts["error"]["mean"] == pytest.approx(means.mean())
    assert facts["error"]["low"] < means.mean() < facts["error"]["high"]
    crystals = made_up(30)
    assert facts["elements"]
    for one in facts["elements"]:
        has = [one["z"] in crystals[int(name.removeprefix("made-"))].numbers for name in told["id"]]
        assert one["crystals"] == sum(has) >= 3
        assert one["error"] == pytest.approx(apart[np.array(has)].mean())
        assert one["ratio"] == pytest.approx(apart[np.array(has)].mean() / apart.mean())
    assert all(one["ratio"] > 1 for one in facts["weak"])
    assert facts["double"]["mean"] != facts["error"]["mean"]


def test_one_fold_has_no_interval(fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = results_of(FinishedRun(fitted), curve_of(fitted))
    for name in ("error", "double"):
        facts[name] |= {"low": None, "high": None}
    say(facts)
    assert f"salts: MAE {facts['error']['mean']:.4g} eV on crystals" in capsys.readouterr().out


def test_the_report_begins_with_the_model(fitted: Path) -> None:
    facts = results_of(FinishedRun(fitted), curve_of(fitted))
    sums.write_json(
        fitted, files.FACTS, facts | {"minutes": 1.0, "spent": 0.5, "design": str(FIRST)}
    )
    page = write_report(fitted).read_text()
    assert page.index("Your model") < page.index("Overview")
    assert f"elemgrid predict {fitted} STRUCTURES" in page and "twice the data would give" in page
    assert "<title>A model of salts" in page and "In brackets the 95 % interval" in page
    ours = page[page.index("Your model", page.index("</nav>")) : page.index(">Overview</h2>")]
    assert "Predictions of the ensemble on the test parts" in ours
    ledger = json.loads((fitted / files.FACTS).read_text())
    ledger["made_from"]["ledger"] = "another"
    sums.write_json(fitted, files.FACTS, ledger)
    assert "Your model" not in write_report(fitted).read_text()
    files.forget(fitted)
    assert not list(fitted.glob("ensemble.*")), "of fewer models than there will be"


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("ionic --minutes 0", "--minutes: 0 is wrong, it must be more than 0"),
        ("ionic --folds 5", "--folds: 5 is wrong, it must be from 0 to 4"),
        ("ionic --minuts 3", "did you mean --minutes?"),
        ("", "the following arguments are required: STRUCTURES"),
    ],
)
def test_wrong_flags_are_one_line(flags: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(flags.split())
    assert told in str(caught.value) and "\n" not in str(caught.value)
