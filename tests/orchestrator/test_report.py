"""The report, written from the files of a run that was made without Ray."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from orchestrator.hybrid_grid.training_sections import curves
from orchestrator.interface import page as html
from orchestrator.interface.errors import UsageError
from orchestrator.jobs import JOBS
from orchestrator.report import job as report
from orchestrator.report.job import write_report
from orchestrator.report.part import Values
from orchestrator.runs import sums
from orchestrator.runs.finished_run import FILES, FinishedRun
from orchestrator.runs.record_contents import ABLATIONS
from orchestrator.runs.records import SCHEMA, Records
from orchestrator.runs.run_directory import locked, write_manifest
from tests.orchestrator.finished_runs import change_config, make_run, replace_parquet
from tests.orchestrator.small_disks import small_disk
from trainables import checksum

NASTY = "<b>salts</b> & </script><script>alert(1)</script>"
SECTIONS = (
    "Overview", "Error against mixing", "Which mixing wins", "How much is learned",
    "What each channel is worth", "Effect of the dimension", "Distances between the elements",
    "Coverage", "Learning curves", "Predictions", "All configurations", "Cost",
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("report") / "run")


@pytest.fixture(scope="module")
def page(made: Path) -> Path:
    """The report of the run as it is."""
    return write_report(made)


def body_of(path: Path) -> str:
    """The page without its scripts, which hold plotly and the figures' numbers."""
    return re.sub(r"<script.*?</script>", "", text_of(path), flags=re.DOTALL)


def text_of(path: Path) -> str:
    """The page with its lines as one: where a template breaks them is nothing to a reader."""
    return " ".join(path.read_text().split())


def refusal(folder: Path) -> str:
    with pytest.raises(UsageError) as caught:
        write_report(folder)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_every_section_is_there_and_linked(made: Path, page: Path) -> None:
    assert page == made / "report.html"
    body = body_of(page)
    headings = re.findall(r'<h2 id="(s\d+)">(.*?)</h2>', body)
    assert [title for _, title in headings] == list(SECTIONS)
    links = re.findall(r'<a href="#(s\d+)">(.*?)</a>', body)
    assert links == headings
    assert "24 models done of 24, recipe tuned; begun 2031-05-06 07:08 UTC" in body
    assert "Abacus 3000" in body and "What salts is." in body
    assert "Mat2Vec-S" in body or "Mat2Vec-S" in page.read_text()


def test_the_page_asks_no_other_host(page: Path) -> None:
    text = page.read_text()
    body = body_of(page)
    assert not re.findall(r"""(?:src|href|action)\s*=\s*["']?(?:[a-z]+:)?//""", body)
    assert not re.findall(r"<(?:link|iframe|img|object|embed)\b", body)
    assert not re.findall(r"<script[^>]+src", text)
    assert "cdn.plot.ly" not in body


def test_the_numbers_are_those_of_the_ledger(made: Path, page: Path) -> None:
    body = body_of(page)
    ledger = pd.read_parquet(made / "ledger.parquet")
    means = ledger.groupby(["backbone", "dim", "mixing"])["test_mae"].mean()
    for value in means:
        assert f">{value:.4g}<" in body
    assert "all 12 configurations" in body
    assert f"<td>{ledger['epochs'].sum()}</td>" in body


def test_rmse_and_r2_are_those_of_the_predictions(made: Path, page: Path) -> None:
    body = body_of(page)
    ledger = pd.read_parquet(made / "ledger.parquet").set_index("key")
    predictions = pd.read_parquet(made / "predictions.parquet")
    tested = predictions[predictions["part"] == "test"].groupby("key")
    names = ["backbone", "dim", "mixing"]
    rmse = tested.apply(lambda p: ((p["target"] - p["prediction"]) ** 2).mean() ** 0.5)
    r2 = tested.apply(
        lambda p: 1 - ((p["target"] - p["prediction"]) ** 2).mean() / p["target"].var(ddof=0)
    )
    scores = ledger[names].assign(rmse=rmse, r2=r2).groupby(names)[["rmse", "r2"]].mean()
    assert len(scores) == 12 and scores.notna().all().all()
    for row in scores.itertuples():
        assert f'>{row.rmse:.4g}</td><td class="number">{row.r2:.3f}<' in body
    assert "<th>unit</th>" in body and "<td>eV</td>" in body


def test_a_models_predictions_may_go_on_in_the_next_row_group(made: Path, tmp_path: Path) -> None:
    run = shutil.copytree(made, tmp_path / "run")
    table = pq.read_table(run / "predictions.parquet")
    pq.write_table(table, run / "predictions.parquet", row_group_size=7)
    sums.note(run, {"predictions.parquet": sums.of_file(run / "predictions.parquet")})
    pd.testing.assert_frame_equal(FinishedRun(run).test_scores, FinishedRun(made).test_scores)


def test_the_page_says_how_trainings_ended_and_what_is_drawn(
    tmp_path: Path, made: Path, page: Path
) -> None:
    body = body_of(page)
    ledger = pd.read_parquet(made / "ledger.parquet")
    late = int((ledger["best_epoch"] == 1).sum())
    assert "Drawn are 6 of 24 models" in body
    assert "stopped early" not in body
    assert "Of 24 models, 24 ended at the limit of 2 epochs; of these" in body
    assert "lets none stop before that" in body
    assert f"of these, {late} had their best epoch in the last tenth" in body
    assert body.count("<td>at the limit: 2</td>") == 12
    assert ("Most models had not converged" in body) == (late > 12)
    # the same with patience in its place
    run = shutil.copytree(made, tmp_path / "run")
    told = '"epochs":2,', '"patience":500,'
    asked = (
        ledger["spec"].str.replace(told[0], '"epochs":50,').str.replace(told[1], '"patience":2,')
    )
    replace_parquet(run, "ledger.parquet", ledger.assign(spec=asked))
    body = body_of(write_report(run))
    assert "24 stopped early, as their validation error had not fallen for 2 epochs." in body
    assert body.count("<td>early: 2</td>") == 12 and "had not converged" not in body


def test_only_matbenchs_own_crystals_stand_beside_its_leaderboard(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", task="phonons", folds=(0,))
    assert "†" not in body_of(write_report(run)), "30 crystals of a folder with that name"
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["datasets"]["phonons"] |= {"crystals": 1263, "quarantined": 2}
    write_manifest(run, manifest)
    assert "57.76" in body_of(write_report(run))
    manifest["datasets"]["phonons"]["folds"] = "digest of folds of one's own"
    write_manifest(run, manifest)
    body = body_of(write_report(run))
    assert "†" not in body and "official" not in body


def test_texts_name_the_mixings_of_the_run(tmp_path: Path, page: Path) -> None:
    text = text_of(page)
    assert "in this run H (handcrafted only), 0 and L (learned only)" in text
    assert "feature-led (H, 0)" in text and "embedding-led (L)" in text
    run = make_run(tmp_path / "run", backbones=("megnet",), mixing=("0", "2"), folds=(0,))
    text = text_of(write_report(run))
    assert "in this run 0 and 2" in text and "handcrafted only), " not in body_of(
        run / "report.html"
    )
    assert "feature-led (0)" in text and "embedding-led (2)" in text


def test_the_wall_time_is_from_the_first_session_to_the_last_record(
    made: Path, page: Path, tmp_path: Path
) -> None:
    assert "wall time" not in body_of(page), "its manifest is of a time to come"
    run = shutil.copytree(made, tmp_path / "run")
    manifest = json.loads((run / "manifest.json").read_text())
    manifest |= {"created": "2021-05-06T07:00:00+00:00", "sessions": ["a", "b"]}
    (run / "manifest.json").write_text(json.dumps(checksum.add(manifest)))
    for path in (run / "records").glob("*.json"):
        os.utime(path, (1620288000, 1620288000))  # 2021-05-06 08:00
    body = body_of(write_report(run))
    assert "1 h 00 min, in 2 sessions" in body
    assert "2021-05-06 07:00 to 2021-05-06 08:00 UTC" in body
    assert "1 node, 2 CPUs (Abacus 3000), 0 GPUs, 7.5 GiB of memory for the workers" in body
    assert "24 models on cpu without fused kernels and 1 thread</td>" in body


def test_a_run_that_was_computed_in_two_ways_says_so(made: Path, tmp_path: Path) -> None:
    run = shutil.copytree(made, tmp_path / "run")
    ledger = pd.read_parquet(run / "ledger.parquet")
    ledger.loc[:3, "threads"] = 2
    replace_parquet(run, "ledger.parquet", ledger)
    text = (
        "4 models on cpu without fused kernels and 2 threads; 20 models on cpu without fused"
        " kernels and 1 thread, alike within rounding only</td>"
    )
    assert text in body_of(write_report(run))


def test_models_that_are_not_done_are_listed(tmp_path: Path) -> None:
    error = "Traceback (most recent call last):\n  File x\nRuntimeError: <no> memory & less"
    run = make_run(tmp_path / "run", failed=("L",), error=error)
    body = body_of(write_report(run))
    assert "16 models done of 24" in body
    assert "8 models are not done; they are listed at the end" in body
    listed = body[body.index(">Not done</h2>") :]
    assert listed.count("<td>failed</td>") == 8
    assert listed.count("RuntimeError: &lt;no&gt; memory &amp; less") == 8
    assert "Traceback" not in listed
    assert "salts/fold1/megnet/d6" in listed


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", task=NASTY, backbones=("cgcnn",), dims=(4,), folds=(0,))
    text = write_report(run).read_text()
    assert "<script>alert(1)" not in text
    assert "<b>salts" not in body_of(run / "report.html")


def test_further_axes_have_a_table_and_settings_a_column(tmp_path: Path, page: Path) -> None:
    assert "<th>setting</th>" not in body_of(page)
    run = make_run(
        tmp_path / "run",
        backbones=("cgcnn",),
        dims=(4,),
        lr=(1e-3, 1e-2),
        layers=(1, 2),
        seed=(0, 1),
    )
    body = body_of(write_report(run))
    ledger = FinishedRun(run).ledger
    assert len(ledger) == 3 * 2 * 2 * 2 * 2 and ledger["setting"].nunique() == 4
    table = body.split("Further axes</h2>")[1].split("</table>")[0]
    means = ledger.groupby(["mixing", "setting"])["val_mae"].mean().groupby("setting").min()
    for axis, value in (("lr", "0.001"), ("lr", "0.01"), ("layers", "1"), ("layers", "2")):
        lowest = min(
            mean for setting, mean in means.items() if f"{axis} {value}" in _parts(setting)
        )
        row = f'<td>{axis}</td><td class="number">{value}</td><td class="number">6</td>'
        assert f'{row}<td class="number">{lowest:.4g}</td>' in table
    assert "Drawn are 3 of 48 models" in body and "all 12 configurations" in body


def test_the_ratio_of_the_channels_is_told_where_both_are_there(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", backbones=("cgcnn",), dims=(4,), folds=(0, 1))
    ledger = FinishedRun(run).ledger
    hybrid = ledger["mixing"] == "0"
    told = ledger.assign(log_ratio_start=float("nan"), log_ratio_end=float("nan"))
    told.loc[hybrid, "log_ratio_end"] = [-0.25, 0.75]
    replace_parquet(run, "ledger.parquet", told)
    table = body_of(write_report(run)).split("How much is learned</h2>")[1].split("</table>")[0]
    assert table.count("<tr>") == 2
    assert "mean of 2 models" in table
    numbers = re.findall(r'<td class="number">([^<]*)</td>', table)
    assert numbers[-4:] == ["2", "−∞", "0.25", "0.71"]


def test_errors_without_a_channel_are_told_of_hybrids(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", backbones=("cgcnn",), dims=(4,), folds=(0, 1))
    ledger = FinishedRun(run).ledger
    hybrid = ledger["mixing"] == "0"
    told = ledger.assign(**dict.fromkeys(ABLATIONS, float("nan")))
    for number, name in enumerate(ABLATIONS):
        told.loc[hybrid, name] = [2.0 + number, 3.0 + number]
    replace_parquet(run, "ledger.parquet", told)
    table = body_of(write_report(run)).split("each channel is worth</h2>")[1].split("</table>")[0]
    assert table.count("<tr>") == 2
    numbers = re.findall(r'<td class="number">([^<]*)</td>', table)
    trained, trivial = (
        f"{ledger.loc[hybrid, name].mean():.4g}" for name in ("test_error", "dummy_error")
    )
    assert numbers[-7:] == ["2", trained, "2.5", "3.5", "4.5", "5.5", trivial]
    none = ledger.assign(**dict.fromkeys(ABLATIONS, float("nan")))
    replace_parquet(run, "ledger.parquet", none)
    assert "each channel is worth" not in body_of(write_report(run))


@pytest.mark.parametrize(
    ("axis", "values"),
    [("element_init", ("normal", "zero")), ("handcrafted", ("cgcnn92", "elements"))],
)
def test_a_further_axis_may_have_words(tmp_path: Path, axis: str, values: tuple[str, str]) -> None:
    small = {"backbones": ("cgcnn",), "dims": (4,), "mixing": ("0",), "folds": (0,)}
    run = make_run(tmp_path / "run", **small, **{axis: values})
    body = body_of(write_report(run))
    for value in values:
        assert f"<td>{axis}</td><td>{value}</td>" in body
        assert f"{axis} {value}" in set(FinishedRun(run).ledger["setting"])


def _parts(setting: object) -> list[str]:
    return str(setting).split(", ")


def test_a_run_of_an_earlier_version_has_a_report(made: Path, tmp_path: Path) -> None:
    run = shutil.copytree(made, tmp_path / "run")
    ledger = pd.read_parquet(run / "ledger.parquet")
    replace_parquet(run, "ledger.parquet", ledger[SCHEMA.names])
    assert FinishedRun(run).ledger["gamma"].equals(ledger["gamma"])
    assert "24 models done of 24" in body_of(write_report(run))


def test_sections_with_nothing_to_compare_are_left_out(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", backbones=("megnet",), dims=(4,), mixing=("0",), folds=(0,))
    body = body_of(write_report(run))
    titles = re.findall(r'<h2 id="s\d+">(.*?)</h2>', body)
    absent = ("Error against mixing", "Which mixing wins", "Effect of the dimension")
    assert titles == [title for title in SECTIONS if title not in absent]
    assert "<h1>Models of salts</h1>" in body and "every mixing" not in body


def test_what_no_model_has_is_not_explained(page: Path) -> None:
    overview = text_of(page).partition("Error against mixing</h2>")[0]
    assert "R² is 1 for a perfect model" in overview
    assert "for classes" not in overview and "of tensors" not in overview


def test_a_column_without_entries_is_left_out() -> None:
    shown = html.table(pd.DataFrame({"unit": ["", ""], "setting": ["", "lr 0.1"], "dim": [4, 8]}))
    assert ">unit<" not in shown and ">setting<" in shown and ">dim<" in shown
    assert ">unit<" in html.table(pd.DataFrame({"unit": []})), "nor any row"


def test_a_section_is_added_as_contributing_says(made: Path) -> None:
    contributing = (Path(__file__).resolve().parents[2] / "CONTRIBUTING.md").read_text()
    guide = contributing.split("## Add a section to the report")[1]
    code, template = (
        re.search(rf"```{kind}\n(.*?)```", guide, re.S) for kind in ("python", "html")
    )
    assert code and template
    names = {"FinishedRun": FinishedRun, "Values": Values}
    exec(code[1], names)  # noqa: S102  # the guide's own text
    macros = html._environment().from_string(template[1]).module
    run = FinishedRun(made)
    body = macros.slowest(**names["slowest"](run))
    assert "Of 6 s of training, the 5 models that took longest." in body
    assert body.count("<tr>") == 6 and run.done["array"].iloc[0] in body


def test_a_choice_on_test_errors_is_said_to_leak(tmp_path: Path, made: Path, page: Path) -> None:
    assert "have had a say" not in body_of(page)
    run = shutil.copytree(made, tmp_path / "run")
    change_config(run, select_on="test")
    assert "the test parts have had a say in Mat2Vec-S" in body_of(write_report(run))


# ------------------------------------------------------------------------------ runs that are none


@pytest.mark.parametrize("name", FILES)
def test_an_unfinished_run_is_refused_in_one_line(made: Path, tmp_path: Path, name: str) -> None:
    run = shutil.copytree(made, tmp_path / "run")
    (run / name).unlink()
    (run / "report.html").unlink(missing_ok=True)
    assert refusal(run) == (
        f"{run / name}: missing; {run} is no finished run, let hybrid_grid end first"
    )
    assert not (run / "report.html").exists()


def test_a_run_without_a_single_model_is_refused(tmp_path: Path, made: Path) -> None:
    run = shutil.copytree(made, tmp_path / "run")
    ledger = pd.read_parquet(run / "ledger.parquet").assign(status="failed")
    replace_parquet(run, "ledger.parquet", ledger)
    assert refusal(run) == f"{run}: no model is done; there is nothing to report"


def test_the_command(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert JOBS["report"].main([str(made)]) == 0
    assert capsys.readouterr().out == f"{made / 'report.html'}\n"
    for arguments, words in (
        ([str(tmp_path)], f"{tmp_path / 'manifest.json'}: missing"),
        ([], "RUN"),
        ([str(made), "--fast"], "--fast"),
    ):
        assert JOBS["report"].main(arguments) == 2
        out, err = capsys.readouterr()
        assert out == "" and len(err.splitlines()) == 1
        assert err.startswith("error: ") and words in err


def test_a_damaged_record_is_one_line(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(made, tmp_path / "run")
    for path in (run / "records").glob("*.safetensors"):
        path.write_bytes(b"broken")
    assert JOBS["report"].main([str(run)]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1 and "damaged; run the command that trained it again" in err


# --------------------------------------------------------------------- how the job of its own ends


def test_a_run_that_a_job_is_at_work_in_is_left_alone(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(made, tmp_path / "run")
    (run / "report.html").unlink(missing_ok=True)
    with locked(run):
        assert JOBS["report"].main([str(run)]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1 and "is working in it; wait for it" in err
    assert not (run / "report.html").exists()
    assert JOBS["report"].main([str(run)]) == 0


def test_no_lock_is_left_in_a_folder_that_is_no_run(tmp_path: Path) -> None:
    assert JOBS["report"].main([str(tmp_path)]) == 2
    assert JOBS["report"].main([str(tmp_path / "new")]) == 2
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_line(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "disk", "64m") as disk:
        run = shutil.copytree(made, disk.folder / "run", ignore=shutil.ignore_patterns("*.html"))
        room = shutil.disk_usage(disk.folder).free - 2**20  # a page has some MB
        (disk.folder / "filler").write_bytes(bytes(room))
        assert JOBS["report"].main([str(run)]) == 2
        assert capsys.readouterr().err == (
            f"error: {run / 'report.html'}: No space left on device;"
            " the same command begins again\n"
        )
        assert not (run / "report.html").exists()


def test_an_interruption_is_one_line(
    made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: object) -> str:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("it went on")

    monkeypatch.setattr(report, "render", interrupted)
    assert JOBS["report"].main([str(made)]) == 130
    assert capsys.readouterr().err == "\nstopped; the same command begins again\n"


def test_curves_of_faultless_models_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of two classes that every model tells apart: a logarithmic axis has no 0."""
    run = make_run(tmp_path / "run", backbones=("megnet",), mixing=("H",), folds=(0,))
    monkeypatch.setattr(Records, "arrays", lambda self, key: {"curve/val_mae": np.zeros(3)})
    assert curves(FinishedRun(run)) is None
