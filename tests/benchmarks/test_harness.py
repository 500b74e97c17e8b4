"""Two sides in turns, the table and the file."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from benchmarks.harness import Figure, Report, Spread, alone, compare, table, timed


def test_ratio_is_taken_pair_by_pair() -> None:
    figure = Figure("x", "s", Spread((1.0, 2.0, 4.0)), Spread((10.0, 40.0, 20.0)))
    assert figure.ratio is not None
    assert figure.ratio.values == (10.0, 20.0, 5.0)
    assert figure.ratio.median == 10.0


def test_quartiles_lie_within_the_values() -> None:
    assert Spread((1.0, 2.0, 3.0, 4.0, 5.0)).quartiles == (2.0, 4.0)
    assert Spread((7.0,)).quartiles == (7.0, 7.0)


def test_sides_take_turns_and_the_warm_up_does_not_count() -> None:
    calls: list[str] = []

    def side(name: str, first: float) -> float:
        calls.append(name)
        return first if calls.count(name) == 1 else 1.0

    figure = compare(
        "x", lambda: side("ours", 99.0), lambda: side("theirs", 77.0), unit="s", repeats=3
    )
    assert figure.ours.values == (1.0, 1.0, 1.0)
    assert figure.theirs is not None and figure.theirs.values == (1.0, 1.0, 1.0)
    pairs = [calls[start : start + 2] for start in range(0, len(calls), 2)]
    assert all(set(pair) == {"ours", "theirs"} for pair in pairs)
    assert len({pair[0] for pair in pairs}) == 2  # neither always begins


def test_timed_divides_by_what_was_done() -> None:
    assert 0.01 <= timed(lambda: time.sleep(0.04), per=4)() < 0.04


def test_a_figure_without_a_peer_has_no_ratio() -> None:
    figure = alone("x", lambda: 2.0, unit="s", repeats=2)
    assert figure.ratio is None
    assert "theirs" not in figure.as_json()


def test_table_lines_up() -> None:
    with_peer = Figure("long name of a row", "s", Spread((1.0,)), Spread((12.5,)), bar=12.0)
    lines = table([with_peer, Figure("short", "s/model", Spread((0.5,)))]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "12.50 ×" in lines[1] and lines[1].endswith("12")


def test_file_says_what_was_measured_on_what(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report("probe", {"width": 3}, peers={"peer": "1.0"}, results=tmp_path)
    report.add(Figure("x", "s", Spread((2.0,)), Spread((6.0,)), bar=2.0, facts={"loss": [1.0]}))
    report.finish()
    content = json.loads((tmp_path / "probe.json").read_text())
    assert content["figures"][0]["ratio"]["median"] == 3.0
    assert content["figures"][0]["facts"] == {"loss": [1.0]}
    assert content["config"] == {"width": 3} and content["peers"] == {"peer": "1.0"}
    assert content["hardware"]["cores"] >= 1 and content["hardware"]["memory_gib"] > 0
    assert {"python", "torch", "numpy"} <= content["versions"].keys()
    assert len(content["load_average"]) == 3
    assert "3.00 ×" in capsys.readouterr().out


def test_the_command_in_the_file_names_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data.json.gz"
    data.touch()
    monkeypatch.setattr("sys.argv", ["probe", "--data", str(data), "--width", "3"])
    Report("probe", {}, results=tmp_path).finish()
    command = json.loads((tmp_path / "probe.json").read_text())["command"]
    assert command.endswith("--data data.json.gz --width 3")
