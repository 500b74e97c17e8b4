"""The command line of a comparison."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.jobs import JOBS
from orchestrator.transfer.flags import parse
from orchestrator.transfer.inputs import open_data


def refusal(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    assert JOBS["transfer"].main(flags) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ")
    return lines[0]


def test_wrong_usage_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.csv"
    rows = [f"Na{n}Cl,{n * n}" for n in range(1, 13)]
    path.write_text("\n".join(["formula,target", *rows]))
    good = ("--tasks", str(path), "--run", str(tmp_path / "run"))
    assert "--tasks" in refusal(capsys)
    assert "no such file or folder" in refusal(capsys, "--tasks", "nowhere.csv")
    assert "did you mean steels?" in refusal(capsys, "--tasks", "matbench_stels")
    assert "did you mean skipatom?" in refusal(capsys, *good, "--tables", "skipatm")
    for flag in ("--tables", "--folds", "--seeds"):
        assert f"{flag}: expected at least one argument" in refusal(capsys, *good, flag)
    assert "a task of crystals" in refusal(capsys, "--tasks", "phonons")
    assert "--data-dir is not a folder" in refusal(
        capsys, "--tasks", "steels", "--data-dir", str(tmp_path / "none")
    )
    assert "--folds: 5 is wrong, it must be from 0 to 4" in refusal(capsys, *good, "--folds", "5")
    assert "given twice: 1" in refusal(capsys, *good, "--seeds", "1", "1")
    assert "--epochs: 0 is wrong" in refusal(capsys, *good, "--epochs", "0")
    early = refusal(capsys, *good, "--recipe", "paper", "--patience", "19")
    assert "--patience 19: recipe paper validates after epoch 20 for the first time" in early
    for fits in (["--patience", "20"], ["--patience", "5", "--epochs", "5"]):
        asked = parse([*good, "--recipe", "paper", *fits])
        assert list(open_data(asked)) == ["mine"]
    capsys.readouterr()
    assert "--cpus-per-worker: 0 is wrong" in refusal(capsys, *good, "--cpus-per-worker", "0")
    assert "there are mat2vec" in refusal(capsys, *good, "--reference", "mine")
    assert "another data set is called mine" in refusal(
        capsys, "--tasks", str(path), f"mine={path}", "--run", str(tmp_path / "run")
    )
    assert "did you mean --tables" in refusal(capsys, *good, "--table", "x")
    assert not (tmp_path / "run").exists()


def test_a_dry_run_says_what_would_be_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["formula,gap", *[f"Na{n}Cl,{n * n}" for n in range(1, 13)]]))
    flags = ("--tasks", f"{path}:gap", "--seeds", "0", "1", "--run", str(tmp_path / "run"))
    assert JOBS["transfer"].main([*flags, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "mine: 12 formulas of 2 elements, a number" in said
    assert "mine: 40 models, 40 epochs at most in batches of 16" in said
    assert not (tmp_path / "run").exists()


def test_defaults() -> None:
    options = parse(["--tasks", "steels"])
    assert options.tables == ("mat2vec",) and options.folds == (0, 1, 2, 3, 4)
    assert options.seeds == (0, 1, 2) and options.tasks == ("steels",)
    assert options.controls and not options.trainable and options.recipe == "tuned"


def test_where_formulas_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["formula,gap", *[f"Na{n}Cl,{n * n}" for n in range(1, 13)]]))
    for folder in (path, path / "below"):
        told = refusal(capsys, "--tasks", str(path), "--write-formulas", str(folder))
        assert f"--write-formulas {folder}: " in told and "name a folder" in told
