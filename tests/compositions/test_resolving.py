"""Data sets of formulas by name or path: fetched, kept, read from a folder, refused."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from orchestrator.data import naming
from orchestrator.data.compositions import resolve
from orchestrator.interface.errors import UsageError
from orchestrator.jobs import JOBS
from tests.compositions_for_tests import write_formulas
from tests.serving import serving
from trainables.crystals.registry import TASKS

FILE = TASKS["steels"].file_name
ROWS = [[f"Fe{row}C", 1000.0 + row] for row in range(1, TASKS["steels"].n + 1)]
CONTENT = gzip.compress(
    json.dumps(
        {
            "index": list(range(len(ROWS))),
            "columns": ["composition", "yield strength"],
            "data": ROWS,
        }
    ).encode(),
    mtime=0,
)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a server that the registry takes for MatBench's, with CONTENT for steels."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / FILE).write_bytes(CONTENT)
    task = dataclasses.replace(TASKS["steels"], sha256=hashlib.sha256(CONTENT).hexdigest()[:12])
    monkeypatch.setattr(naming, "TASKS", MappingProxyType({**TASKS, "steels": task}))
    monkeypatch.setenv("ELEMGRID_CACHE", str(tmp_path / "cache"))
    with serving(folder) as address:
        monkeypatch.setattr(type(task), "url", property(lambda self: f"{address}/{self.file_name}"))
        yield folder


def refusal(*arguments: Any, **more: Any) -> str:
    with pytest.raises(UsageError) as caught:
        resolve(*arguments, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("spec", ["steels", "matbench_steels"])
def test_a_task_is_fetched_once_and_kept(served: Path, tmp_path: Path, spec: str) -> None:
    data = resolve(spec)
    assert (data.name, len(data), data.ids[0]) == ("steels", 312, "mb-steels-001")
    assert (tmp_path / "cache" / FILE).read_bytes() == CONTENT
    (served / FILE).unlink()
    assert len(resolve(spec)) == 312
    assert len(resolve(spec, tmp_path)) == 312, "a folder without the file leaves the cache"


def test_the_job_fetches_what_it_is_told_by_name(
    served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--tasks", "steels", "--run", str(tmp_path / "run"), "--no-controls", "--dry-run"]
    assert JOBS["transfer"].main(flags) == 0
    said = capsys.readouterr().out
    assert "steels: 312 formulas of 2 elements, a number" in said
    (tmp_path / "cache" / FILE).unlink()
    (served / FILE).unlink()
    assert JOBS["transfer"].main(flags) == 2
    assert "HTTP 404" in capsys.readouterr().err


def test_without_a_network_a_folder_has_the_file_or_a_table(served: Path, tmp_path: Path) -> None:
    (served / FILE).rename(tmp_path / FILE)
    assert len(resolve("steels", tmp_path)) == 312
    (tmp_path / FILE).write_bytes(b"another")
    assert "is not that of MatBench's steels" in refusal("steels", tmp_path)
    (tmp_path / FILE).unlink()
    table = tmp_path / "steels.csv"
    table.write_text("\n".join(["formula,target", *(f"{f},{y}" for f, y in ROWS)]))
    assert len(resolve("steels", tmp_path)) == 312
    table.write_text("\n".join(["formula,target", *(f"{f},{y}" for f, y in ROWS[:40])]))
    assert "matbench_steels has 312" in refusal("steels", tmp_path)
    assert not (tmp_path / "cache").exists(), "nothing was fetched"
    assert "not a folder" in refusal("steels", tmp_path / "none")


def test_a_file_with_name_and_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_formulas(tmp_path / "a=b:c.csv")
    monkeypatch.setenv("HOME", str(tmp_path))
    for spec in (str(path), "~/a=b:c.csv", "~/a=b:c.csv:target"):
        assert resolve(spec).name == "a=b:c"
    for spec in (f"salts={path}", f"salts={path}:target", "salts=~/a=b:c.csv"):
        assert resolve(spec).name == "salts"
    assert "no target after the colon" in refusal(f"salts={path}:")
    assert "no such file" in refusal(f"={path}")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("stels", "--tasks stels: no such data set or file; did you mean steels?"),
        ("nowhere.csv", "--tasks nowhere.csv: no such file or folder"),
        ("zzzz", "known are steels, expt_gap, expt_is_metal, glass, or give a CSV"),
        ("phonons", "--tasks phonons: a task of crystals; the grid takes it"),
    ],
)
def test_what_is_no_data_set_of_formulas(spec: str, words: str) -> None:
    assert words in refusal(spec)
    assert words.replace("--tasks", "--compositions") in refusal(spec, flag="--compositions")


def test_what_was_looked_for_in_the_folder_is_told(served: Path, tmp_path: Path) -> None:
    (served / FILE).unlink()
    (folder := tmp_path / "mine").mkdir()
    told = refusal("steels", folder)
    assert f"--data-dir {folder} has none of {FILE}, steels.csv, steels.csv.gz; http" in told
    assert "has none of" not in refusal("steels")


def test_the_target_may_be_in_other_capitals(tmp_path: Path) -> None:
    path = tmp_path / "gaps.csv"
    path.write_text("Formula,Gap\n" + "".join(f"Fe{row}C,{row}\n" for row in range(1, 21)))
    assert len(resolve(f"{path}:gap")) == 20
    assert "no column 'gup' (did you mean 'Gap'?)" in refusal(f"{path}:gup")
