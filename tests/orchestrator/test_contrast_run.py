"""A run of `contrast` in processes of this machine: what it leaves, and what it refuses."""

from __future__ import annotations

import ast
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

import elemgrid
from orchestrator import cli
from orchestrator.contrast import job
from orchestrator.contrast.caveats import of_intervals, of_retrieval
from orchestrator.contrast.files import FinishedContrast
from orchestrator.contrast.sections import CONTRAST_SECTIONS, curve
from orchestrator.interface.errors import UsageError
from orchestrator.runs import sums
from tests.orchestrator.small_slabs import MATERIALS, asked
from tests.orchestrator.without_ray import without_ray


def contrast(run: Path, *flags: str) -> int:
    with without_ray():
        return job.start(asked("--run", str(run), *flags))


@pytest.fixture(scope="module")
def run(contrast_run: Path) -> Path:
    return contrast_run


def test_what_it_leaves(run: Path) -> None:
    facts = json.loads((run / "contrast.json").read_text())
    assert facts["data"]["materials"] == MATERIALS and facts["data"]["generated"]
    assert (facts["split"]["train"], facts["split"]["validation"], facts["split"]["test"]) == (
        48, 6, 6
    )  # fmt: skip
    assert facts["members_done"] == facts["regressions_done"] == 2 and facts["curve"] == []
    assert len(facts["retrieval"]) == 12 and len(facts["work_function"]["methods"]) == 7
    assert {row["learns"] for row in facts["cost"]} == {"pairs", "work_function"}
    found = FinishedContrast(run)
    ranks = found.tested[["rank_to_profile", "rank_to_crystal"]]
    assert ranks.min().min() >= 1 and ranks.max().max() <= 6
    vectors = np.stack(found.embeddings["profile"].to_list())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert not (run / ".tune").exists() and not (run / "checkpoints").exists()
    documented = (Path(__file__).parents[2] / "docs" / "contrast.md").read_text()
    cells = re.findall(r"^\| `([\w, ]+)` \|", documented.split("## What it leaves")[1], re.M)
    assert facts.keys() - {"made_from"} == set(", ".join(cells).split(", "))


def test_the_report_has_all_sections_but_the_curve(run: Path) -> None:
    page = " ".join((run / "report.html").read_text().split())
    for title, _ in CONTRAST_SECTIONS:
        assert (f">{title}</h2>" in page) == (title != "Learning curves")


def test_the_same_command_trains_nothing_again(
    run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in (run / "records").iterdir()}
    facts = (run / "contrast.json").read_bytes()
    assert contrast(run) == 0
    assert {path: path.stat().st_mtime_ns for path in (run / "records").iterdir()} == before
    assert "4 models, 4 recorded before" in capfd.readouterr().out
    assert (run / "contrast.json").read_bytes() == facts


def test_a_model_that_was_lost_is_trained_again(run: Path, tmp_path: Path) -> None:
    again = Path(shutil.copytree(run, tmp_path / "again"))
    ledger = pd.read_parquet(run / "contrast_ledger.parquet")
    lost = ledger.loc[(ledger["learns"] == "pairs") & (ledger["member"] == 1), "key"].item()
    (again / "records" / f"{lost}.json").unlink()
    assert contrast(again) == 0
    before, after = (load_file(one / "records" / f"{lost}.safetensors") for one in (run, again))
    assert before.keys() == after.keys()
    for name, values in before.items():  # alone it is stacked differently
        np.testing.assert_allclose(after[name], values, rtol=1e-3, atol=1e-4, err_msg=name)


def test_other_settings_are_refused_and_change_nothing(run: Path) -> None:
    before = sums.read(run)
    with pytest.raises(UsageError, match=r"holds another run .*members") as caught:
        contrast(run, "--members", "3")
    assert "\n" not in str(caught.value) and sums.read(run) == before


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("export RUN exported", "only runs of fit and hybrid_grid are exported"),
        ("ensemble RUN", "a run of contrast; runs of fit and hybrid_grid are taken"),
    ],
)
def test_other_jobs_do_not_take_such_a_run(
    command: str,
    reason: str,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.cif").write_text("data_x\n")
    assert cli.main(command.replace("RUN", str(run)).split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {run}") and reason in line
    assert [path.name for path in tmp_path.iterdir()] == ["x.cif"]


@pytest.mark.parametrize("command", ["ensemble", "report", "export"])
def test_a_folder_that_is_not_there_is_told_alike(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing, new = tmp_path / "missing", tmp_path / "new"
    assert cli.main([command, str(missing), *([str(new)] if command == "export" else [])]) == 2
    assert capsys.readouterr().err == f"error: {missing}: no such folder; check the path\n"
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_has_not_ended_has_no_report(run: Path, tmp_path: Path, capsys: Any) -> None:
    again = Path(shutil.copytree(run, tmp_path / "again"))
    (again / "contrast.json").unlink()
    assert cli.main(["report", str(again)]) == 2
    assert "is no finished run; let contrast end first" in capsys.readouterr().err


def test_a_run_has_its_own_ledger(run: Path) -> None:
    assert set(elemgrid.load_run(run).ledger["learns"]) == {"pairs", "work_function"}


def test_a_dry_run_writes_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert contrast(tmp_path / "run", "--dry-run", "--epochs", "1") == 0
    out, err = capfd.readouterr()
    stages = ("making 60 slabs", "reading and featurising generated", "measuring what models cost")
    assert [line for line in err.splitlines() if line.startswith(stages)] == err.splitlines()
    assert len(err.splitlines()) == 3
    assert "48 materials of 18 formulas learn, 6 materials of 6 formulas validate, 6 mat" in out
    assert "intervals: the test part has 4 formulas, over which intervals are taken" in out
    assert "4 models in 2 arrays, at most 1 epoch each" in out and "nothing is written" in out
    assert "60 materials of 19 formulas, 0 quarantined" in out
    assert list(tmp_path.iterdir()) == []


def test_the_learning_curve_is_drawn(run: Path, tmp_path: Path) -> None:
    facts = json.loads((run / "contrast.json").read_text())
    errors = facts["work_function"]["methods"]
    recall = {row["way"]: row["recall"] for row in facts["retrieval"] if row["method"] == "member"}
    points = [{"materials": size, "work_functions": errors, "recall": recall} for size in (48, 20)]
    for name in ("contrast_embeddings.parquet", "contrast_predictions.parquet"):
        sums.write_bytes(tmp_path, name, (run / name).read_bytes())
    sums.write_json(tmp_path, "contrast.json", facts | {"curve": points})
    drawn = curve(FinishedContrast(tmp_path))
    assert drawn is not None
    assert drawn["errors"]["materials"].tolist() == ["20", "48"]
    assert {"untrained (eV)", "mean (eV)"} < set(drawn["errors"]) and "least" not in drawn["errors"]
    assert drawn["drawn"].data[-1].name == "chance" and drawn["drawn"].data[-1].y == (1 / 6, 1 / 6)
    assert drawn["drawn"].data[0].x.tolist() == [20, 48]


def test_what_cannot_be_trusted_is_told(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    facts = json.loads((run / "contrast.json").read_text())
    told = [*of_retrieval(facts), *of_intervals(facts)]
    assert any(
        "6 validation materials can promise at most 86%; 95% needs 19" in one for one in told
    )
    assert any(re.search(r"the test part has \d formula", one) for one in told)
    assert any("not above" in one and "nothing was learned" in one for one in told)
    assert contrast(run) == 0
    out, page = capfd.readouterr().out, (run / "report.html").read_text()
    for line in told:
        assert line in out and line[1:] in page
    assert "(few formulas)" in page
    good = json.loads(json.dumps(facts))
    good["split"] |= {"validation": 19, "validation_formulas": 10, "test_formulas": 10}
    for row in good["retrieval"]:
        row["recall_1_interval"] = [0.5, 0.7]
    for row in good["retrieval_differences"]:
        row |= {"mean": 0.5, "p": 0.049}
    good["work_function"]["interval"]["covered"] = 0.86
    assert of_retrieval(good) == [] == of_intervals(good)
    good["work_function"]["interval"]["covered"] = 0.84
    assert "84% of the test materials lie within what is to hold 95%" in of_intervals(good)[0]
    good["retrieval_differences"] = [row | {"p": 0.05} for row in good["retrieval_differences"]]
    assert "not above the untrained encoders (p" in of_retrieval(good)[0]
    assert all(best >= 1 for row in facts["cost"] for best in row["best_epochs"])


def test_the_documented_way_to_rank_is_that_of_the_job(
    run: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    text = (Path(__file__).parents[2] / "docs" / "contrast.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    monkeypatch.chdir(run)
    exec(code.replace("runs/contrast/", ""), {})  # noqa: S102
    found = FinishedContrast(run).tested.set_index("id")
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == len(found)
    for line in lines:
        id, _, best = line.partition(" ")
        ((nearest, value), *_) = ast.literal_eval(best)
        assert nearest == found.loc[id, "nearest"]
        assert value == pytest.approx(found.loc[id, "retrieval"])


@pytest.mark.parametrize(
    ("dry", "words"),
    [
        ((), "the same command goes on where this ended"),
        (("--dry-run",), "nothing was to be written"),
    ],
)
def test_ctrl_c_promises_no_more_than_the_job_does(
    dry: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def interrupted(options: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "start", interrupted)
    assert cli.main(["contrast", "--data", "generated", *dry]) == 130
    assert capsys.readouterr().err == f"\nstopped; {words}\n"
