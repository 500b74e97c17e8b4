"""Damaged files of a finished run: each job that reads one ends in one line that names it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.consensus.agreement import Reference, agree
from analysis.elements import SYMBOLS
from analysis.substitution.groups import divide, ions
from orchestrator import cli
from orchestrator.data.formula_list import digest_of
from orchestrator.element_groups import files as groups
from orchestrator.element_groups.files import FinishedGroups
from orchestrator.element_groups.models import measure
from orchestrator.element_scale.files import FinishedScale
from orchestrator.ensemble.files import FinishedEnsemble
from orchestrator.interface.errors import UsageError
from orchestrator.runs import sums
from orchestrator.runs.finished_files import FinishedFiles
from orchestrator.runs.finished_run import FILES, FinishedRun
from orchestrator.runs.ledger import LEDGER
from orchestrator.transfer.files import FinishedTransfer
from tests.orchestrator.finished_runs import change_config, make_run

GRID = "hybrid_grid"


def garbage(content: bytes) -> bytes:
    return b"\xff garbage\n"


def cut(content: bytes) -> bytes:
    return content[:-20]


def pages(content: bytes) -> bytes:
    """A Parquet file whose footer is whole and whose pages are not."""
    footer = 8 + int.from_bytes(content[-8:-4], "little")
    return content[:4] + b"\xff" * (len(content) - 4 - footer) + content[-footer:]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid with an ensemble, groups, and a table that `transfer` knows to be the grid's."""
    run = make_run(tmp_path_factory.mktemp("damaged") / "run", dims=(4,))
    assert cli.main(["ensemble", str(run)]) == 0
    numbers = np.array([3, 9, 11, 17, 19])
    references = [Reference(numbers, np.array([0, 1, 0, 1, 0]))] * 2
    groups.write_partners(run, agree(references))
    groups.write_groups(run, divide(numbers, references[0].labels, ions()), {})
    sums.write_json(run, groups.FACTS, {sums.MADE_FROM: {LEDGER: FinishedRun(run).digest}})
    (run / "tables").mkdir()
    vectors = np.random.default_rng(0).normal(size=(118, 3))
    table = pd.DataFrame(vectors, index=pd.Index(SYMBOLS[1:], name="element"))
    table.to_csv(run / "tables" / "mine.csv")
    (run / "shards").mkdir()
    sums.write_text(run, "without.txt", "NaCl\n")
    change_config(run, without=digest_of({"NaCl"}))
    return run


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def flags(job: str, run: Path) -> list[str]:
    if job == "substitutes":
        return ["Na", "--run", str(run)]
    if job == "transfer":
        data = run.parent / "data.csv"
        lines = [f"Na{number}Cl,{number}" for number in range(1, 26)]
        data.write_text("\n".join(["formula,target", *lines]))
        own = str(run.parent / "transfer")
        table = str(run / "tables" / "mine.csv")
        return ["--tasks", str(data), "--tables", table, "--run", own, "--no-controls", "--dry-run"]
    return [str(run)]


CASES = [
    *((job, name, GRID) for job in ("report", "ensemble", "element_groups") for name in FILES),
    ("report", "ensemble.json", "ensemble"),
    ("report", "ensemble.parquet", "ensemble"),
    ("substitutes", "groups.csv", "element_groups"),
    ("substitutes", "partners.parquet", "element_groups"),
    ("transfer", "manifest.json", GRID),
    ("transfer", "without.txt", GRID),
]
TEXTS = ("groups.csv", "without.txt")  # the rest of a text is a text


@pytest.mark.parametrize(
    ("job", "name", "writer", "spoil"),
    [(*case, garbage) for case in CASES] + [(*case, cut) for case in CASES if case[1] not in TEXTS],
)
def test_a_damaged_file_is_one_line(
    run: Path,
    capsys: pytest.CaptureFixture[str],
    job: str,
    name: str,
    writer: str,
    spoil: Callable[[bytes], bytes],
) -> None:
    is_refused(run, capsys, job, name, writer, spoil)


@pytest.mark.parametrize(
    ("job", "name"),
    [
        ("ensemble", "ledger.parquet"),
        ("ensemble", "predictions.parquet"),
        ("element_groups", "ledger.parquet"),
        *(("report", name) for name in FILES if name.endswith(".parquet")),
    ],
)
def test_damaged_pages_are_one_line(
    run: Path, capsys: pytest.CaptureFixture[str], job: str, name: str
) -> None:
    is_refused(run, capsys, job, name, GRID, pages)


def is_refused(
    run: Path,
    capsys: pytest.CaptureFixture[str],
    job: str,
    name: str,
    writer: str,
    spoil: Callable[[bytes], bytes],
) -> None:
    path = run / name
    path.write_bytes(spoil(path.read_bytes()))
    before = {path.name for path in run.iterdir()}
    capsys.readouterr()
    assert cli.main([job, *flags(job, run)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {path}: damaged (")
    assert lines[0].endswith(f"); remove it and run {writer} again, which writes it anew")
    assert {path.name for path in run.iterdir()} <= before | {".lock"}


@pytest.mark.parametrize(
    ("files", "name", "read"),
    [
        (FinishedEnsemble, "ensemble.json", lambda found: found.facts),
        (FinishedEnsemble, "ensemble.parquet", lambda found: found.predicted),
        (FinishedTransfer, "transfer.json", lambda found: found.facts),
        (FinishedTransfer, "transfer.parquet", lambda found: found.scores),
        (FinishedScale, "scale.meta.json", lambda found: found.facts),
        (FinishedScale, "element_scale.json", lambda found: found.positions),
        (FinishedScale, "pareto.parquet", lambda found: found.front),
        (FinishedScale, "replaceability.parquet", lambda found: found.pairs),
        (FinishedGroups, "consensus.json", lambda found: found.facts),
        (FinishedGroups, "groups.csv", lambda found: found.groups),
        (FinishedGroups, "geometry.parquet", lambda found: found.geometry),
        (FinishedGroups, "partners.parquet", lambda found: found.partners),
        (FinishedGroups, "screening.csv", lambda found: found.optional("screening.csv")),
        (FinishedGroups, "relations.csv", lambda found: found.optional("relations.csv")),
        (FinishedGroups, "untrained.csv", lambda f: f.optional("untrained.csv")),
    ],
)
@pytest.mark.parametrize("content", [b"", b"\xff garbage", b"garbage\n1\n", b"[1]"])
def test_every_file_of_the_other_jobs_is_read_with_care(
    tmp_path: Path,
    files: type[FinishedFiles],
    name: str,
    read: Callable[[FinishedFiles], object],
    content: bytes,
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read(files(tmp_path))
    text = str(caught.value)
    assert text.startswith(f"{path}: damaged (") and f"run {files.job} again" in text
    if name not in groups.COLUMNS or name == groups.GROUPS:
        path.unlink()
        with pytest.raises(UsageError, match=f"missing; run {files.job} again"):
            read(files(tmp_path))


def test_vectors_that_cannot_be_read_are_one_line(run: Path) -> None:
    path = run / "embeddings.parquet"
    path.write_bytes(pages(path.read_bytes()))
    FinishedRun(run).demand_files()
    for read in (lambda: FinishedRun(run).embeddings, lambda: measure(path, [], seed=0)):
        with pytest.raises(UsageError, match=r"embeddings\.parquet: damaged \("):
            read()


def test_what_the_disk_refuses_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(IsADirectoryError):
        _ = FinishedRun(tmp_path).manifest
