"""What jobs have in common beside how they end: first a look, then the work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.interface.errors import UsageError
from orchestrator.interface.job import OK, look_then_work
from orchestrator.runs.run_directory import locked


@dataclass(frozen=True)
class Asked:
    run: Path
    dry_run: bool


def test_a_dry_run_is_the_look_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = Asked(tmp_path / "run", dry_run=True)
    assert look_then_work(asked, lambda options: "found", lambda options, found: 1 / 0) == OK
    assert capsys.readouterr().out == "the input is sound; nothing is written\n"
    assert not asked.run.exists()


def test_the_work_has_what_was_found_and_the_run_directory_for_itself(tmp_path: Path) -> None:
    asked, done = Asked(tmp_path / "run", dry_run=False), []

    def work(options: Asked, found: str) -> None:
        with pytest.raises(UsageError, match="is working in it"), locked(options.run):
            pass
        done.append(found)

    assert look_then_work(asked, lambda options: "found", work) == OK
    assert done == ["found"]
