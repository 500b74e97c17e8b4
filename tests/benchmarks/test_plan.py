"""What `make bench` runs, and what it skips with a reason."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import cgcnn, megnet
from benchmarks.__main__ import BENCHMARKS, lacking, main, plan

NOTHING = {"data": "", "checkout": "", "matgl_python": "", "shards": ""}


def test_every_benchmark_has_a_module() -> None:
    for benchmark in BENCHMARKS:
        assert importlib.util.find_spec(f"benchmarks.{benchmark.name}"), benchmark.name


def test_without_anything_only_what_needs_nothing_runs() -> None:
    found = plan(NOTHING, epochs=5, card=False)
    assert [name for name, what in found.items() if not isinstance(what, str)] == [
        "featurise_scale",
        "orchestration",
        "ledger",
        "scale",
        "consensus",
    ]
    assert "DATA=" in found["cgcnn"] and "CUDA" in found["gpu"]


def test_what_is_given_is_handed_on(tmp_path: Path) -> None:
    given = {name: str(tmp_path) for name in NOTHING}
    found = plan(given, epochs=5, card=True)
    assert not any(isinstance(what, str) for what in found.values())
    assert found["cgcnn"] == ["--data", str(tmp_path), "--checkout", str(tmp_path), "--epochs", "5"]


def test_a_path_that_does_not_exist_is_lacking(tmp_path: Path) -> None:
    given = {name: str(tmp_path) for name in NOTHING} | {"checkout": str(tmp_path / "nowhere")}
    assert lacking(given, card=True).keys() == {"checkout"}


def test_a_skipped_benchmark_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "megnet"]) == 0
    assert capsys.readouterr().out == (
        "megnet: skipped, no data set: DATA=PATH/matbench_phonons.json.gz\n"
    )


@pytest.mark.parametrize(
    ("parse", "flag", "message"),
    [
        (cgcnn.parse, "--checkout", "no checkout of the published code"),
        (megnet.parse, "--python", "no Python with matgl"),
    ],
)
def test_a_peer_that_is_not_there_is_refused_at_once(
    parse: Callable[[list[str]], object],
    flag: str,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parse(["--data", str(tmp_path), flag, str(tmp_path / "nowhere")])
    assert message in capsys.readouterr().err
