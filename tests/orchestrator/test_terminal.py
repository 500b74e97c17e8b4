"""Printed text from files reaches no terminal as a control sequence."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.data.featurise import write_quarantine
from orchestrator.interface.errors import UsageError
from orchestrator.interface.job import conduct
from orchestrator.interface.terminal import Terminal
from trainables.crystals.quarantine import Quarantine
from trainables.printable import printable

COMMANDS = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b2J",
    "\x7f",
    "\r",
    "\x08",
    "\u202e",
    "\u2066",
    "\u2028",
]


@pytest.mark.parametrize("command", [*COMMANDS, "\u2029", "\ud800", "\x00", "\n", "\u200f"])
def test_a_command_is_shown(command: str) -> None:
    shown = printable(f"a{command}b")
    assert shown.isprintable() and shown.startswith("a\\") and shown.endswith("b")


def test_text_of_all_scripts_is_left_as_it_is() -> None:
    for text in ("NaCl", "γ = −2 → Å³", "钠", "нет", "a\u200cb", "", "👩\u200d🔬"):
        assert printable(text) == text


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_nothing_that_a_job_prints_is_a_command(
    capsys: pytest.CaptureFixture[str], command: str, stream: str
) -> None:
    def work() -> int:
        print(f"data{command}:", 12, file=getattr(sys, stream))
        raise UsageError(f"column {command} is wrong")

    assert conduct(work) == 2
    found = capsys.readouterr()
    for text in (found.out, found.err):
        assert command not in text and text.replace("\n", "").isprintable()
    assert found.err.splitlines()[-1].startswith("error: column ")


def test_a_line_of_progress_still_replaces_the_one_before() -> None:
    text = io.StringIO()
    stream = Terminal(text)
    print("\r\033[K12 of 40\x1b[K", end="", file=stream)
    print("\r", end="", file=stream)
    assert text.getvalue() == "\r\033[K12 of 40\\x1b[K\r"
    assert not stream.isatty()


def test_the_streams_are_as_before_when_a_job_ends(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    assert main(["no\x1b[2Jjob"]) == 2
    assert (sys.stdout, sys.stderr) == before
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("text", ["=1+1", "+1", "-5", "@SUM(1)", "|x", "%x", "\uff1d1", "'=1", "'"])
def test_no_spreadsheet_runs_a_cell_of_the_quarantine(tmp_path: Path, text: str) -> None:
    quarantine = Quarantine()
    quarantine.add(f"{text}.cif", text, f"{text} is bad", 1)
    quarantine.add("a.csv:2", "plain", "no atoms: \x1b[2J")
    write_quarantine(tmp_path / "quarantine.csv", quarantine.rows())
    first, second = csv.DictReader((tmp_path / "quarantine.csv").read_text().splitlines())
    for cell in (first["file"], first["id"], first["reason"]):
        assert cell.startswith("'") and cell[1:].startswith(text)
    assert second == {"file": "a.csv", "row": "2", "id": "plain", "reason": "no atoms: \\x1b[2J"}
