"""Files made from one grid are neither shown nor used with another one. No Ray."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from orchestrator import cli
from orchestrator.contrast import files as contrast
from orchestrator.dos import files as dos
from orchestrator.element_groups import files as groups
from orchestrator.interface.errors import UsageError
from orchestrator.jobs import JOBS
from orchestrator.runs import sums
from orchestrator.runs.finished_run import FinishedRun, demand_sound_table
from orchestrator.runs.ledger import LEDGER, digest_of
from tests.orchestrator.complete_runs import complete_run
from tests.orchestrator.finished_runs import make_run, replace_parquet

SMALL = {"backbones": ("cgcnn",), "dims": (4,)}
DERIVED = ("embeddings.parquet", "predictions.parquet", "distances.parquet")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = complete_run(tmp_path_factory.mktemp("made") / "run")
    # its report would be one of these jobs too, of which these files hold next to nothing
    of_dos = (dos.FACTS, dos.PREDICTIONS, dos.ELEMENTS, dos.LEDGER)
    of_contrast = (contrast.FACTS, contrast.PREDICTIONS, contrast.EMBEDDINGS, contrast.LEDGER)
    sums.remove(run, *of_dos, *of_contrast)
    return run


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def test_each_file_names_the_ledger_that_it_was_made_from(run: Path) -> None:
    digest = digest_of(pd.read_parquet(run / "ledger.parquet"))
    for name in DERIVED:
        assert sums.made_from(pq.read_schema(run / name)) == {LEDGER: digest}
    for name in ("ensemble.json", "consensus.json", "tables/Mat2Vec-H-3.meta.json"):
        assert json.loads((run / name).read_text())[sums.MADE_FROM] == {LEDGER: digest}


def test_the_digest_is_of_the_models_alone(run: Path) -> None:
    """The same grid trained again takes another time, and gives the same tables to the bit."""
    ledger = pd.read_parquet(run / "ledger.parquet")
    digest = digest_of(ledger)
    assert digest_of(ledger.assign(seconds=9.0, device="other", versions="{}")) == digest
    assert digest_of(ledger.iloc[1:]) != digest
    assert digest_of(ledger.assign(status="failed")) != digest
    worse = ledger.assign(val_mae=ledger["val_mae"] * (1 + 1e-15))
    assert digest_of(worse) != digest


def test_an_ensemble_and_groups_from_before_the_grid_was_extended_are_left_out(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(run, mixing=("H", "0"), **SMALL)
    sums.remove(run, "scale.meta.json")
    capsys.readouterr()
    assert JOBS["report"].main([str(run)]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told == [
        f"{run / file}: made from another ledger than the run has now; run {job} again; the report"
        f" leaves {job} out"
        for file, job in (("ensemble.json", "ensemble"), ("consensus.json", "element_groups"))
    ]
    assert cli.main(["ensemble", str(run)]) == 0  # and so says the line
    assert "ensemble.json" not in capsys.readouterr().err


def test_substitutes_of_another_grid_are_told_with_a_word(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["substitutes", "Na", "--run", str(run)]) == 0
    assert capsys.readouterr().err == ""
    make_run(run, mixing=("H", "0"), **SMALL)
    assert cli.main(["substitutes", "Na", "--run", str(run)]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {run / groups.FACTS}: made from another ledger")


@pytest.mark.parametrize("name", DERIVED)
def test_a_job_that_was_stopped_between_two_files_mixes_nothing(
    run: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """The ledger is the first file of a grid to be replaced, and the kill came after it."""
    ledger = pd.read_parquet(run / "ledger.parquet")
    replace_parquet(run, "ledger.parquet", ledger.iloc[1:])
    with pytest.raises(UsageError, match=r"made from another ledger than .* run hybrid_grid again"):
        demand_sound_table(run / "tables" / "Mat2Vec-H-3.csv")
    for job in ("ensemble", "element_groups", "report"):
        capsys.readouterr()
        assert cli.main([job, str(run)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "made from another ledger" in line and line.endswith("; run hybrid_grid again")
    digest = {LEDGER: FinishedRun(run).digest}
    for other in set(DERIVED) - {name}:
        sums.write_parquet(run, other, pq.read_table(run / other), digest)
    assert cli.main(["report", str(run)]) == 2
    assert f"error: {run / name}: made from another ledger" in capsys.readouterr().err


def test_a_persons_own_table_is_theirs(run: Path, tmp_path: Path) -> None:
    """In a run's folder or elsewhere; a copy of an edited table of ours is the user's own."""
    ours = run / "tables" / "Mat2Vec-H-3.csv"
    demand_sound_table(ours)
    own = Path(shutil.copy(ours, run / "tables" / "mine.csv"))
    own.write_text(own.read_text().replace("0.1", "0.2"))
    demand_sound_table(own)
    elsewhere = Path(shutil.copy(own, tmp_path / ours.name))
    demand_sound_table(elsewhere)
    ours.write_bytes(own.read_bytes())
    with pytest.raises(UsageError, match=r"Mat2Vec-H-3\.csv: damaged \(its SHA-256 is not that"):
        demand_sound_table(ours)


def grid_alone(run: Path) -> Path:
    """A run without other jobs' facts, which are not enough for a report."""
    sums.remove(run, "consensus.json", "scale.meta.json")
    return run


def test_a_run_of_an_earlier_version_is_read_with_a_word(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (grid_alone(run) / sums.FILE).unlink()
    for name in DERIVED:  # which say nothing of what they were made from
        pq.write_table(pq.read_table(run / name).replace_schema_metadata(None), run / name)
    assert cli.main(["ensemble", str(run)]) == 0
    told = capsys.readouterr().err.splitlines()
    assert len(told) == len(set(told)) == 4
    for line in told:
        assert ".parquet: has no digest in SHA256SUMS, as of an earlier version" in line


@pytest.mark.parametrize(
    ("name", "content"),
    [("manifest.json", b"{}"), ("manifest.json", b"[" * 100_000), ("ledger.parquet", b"")],
)
def test_files_without_a_digest_that_are_of_another_kind_are_named(
    run: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes
) -> None:
    (run / sums.FILE).unlink()
    if content:
        (run / name).write_bytes(content)
    else:
        pq.write_table(pq.read_table(run / name).drop_columns(["val_mae"]), run / name)
    for job in ("ensemble", "element_groups", "report"):
        assert cli.main([job, str(run)]) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith(f"error: {run / name}: damaged (")


def test_a_run_that_was_copied_elsewhere_works(run: Path, tmp_path: Path) -> None:
    moved = grid_alone(run).rename(tmp_path / "moved")
    assert cli.main(["ensemble", str(moved)]) == 0


def test_lines_of_files_that_are_gone_go_too(run: Path) -> None:
    (run / "groups.csv").unlink()
    sums.write_text(run, "relations.csv", "one,other,correlation,p\n")
    known = sums.read(run)
    assert known is not None and "groups.csv" not in known and "relations.csv" in known
    sums.remove(run, "relations.csv", "never.there")
    assert "relations.csv" not in (sums.read(run) or {})
    assert not (run / "relations.csv").exists()
