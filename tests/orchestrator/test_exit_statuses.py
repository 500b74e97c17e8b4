"""Exit statuses: the table of docs/reliability.md, the constants, and what each --help says."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from orchestrator.doctor import job as doctor
from orchestrator.interface.job import INTERRUPTED, NOBODY_READS, OK, SOME_FAILED, USAGE
from orchestrator.jobs import JOBS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
KILLED = 128 + signal.SIGKILL  # as shells tell of a signal
BEFORE_THE_JOB = 128 + signal.SIGTERM


def test_the_table_is_that_of_the_constants() -> None:
    section = (
        PAGE.read_text(encoding="utf-8").partition("## Exit status\n")[2].partition("\n## ")[0]
    )
    listed = [int(found) for found in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)]
    assert listed == [OK, SOME_FAILED, USAGE, INTERRUPTED, KILLED, NOBODY_READS, BEFORE_THE_JOB]
    assert doctor.AMISS == SOME_FAILED


@pytest.mark.parametrize("job", list(JOBS))
def test_each_help_names_its_own(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        JOBS[job].main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    told = [int(found) for found in re.findall(r"\b(\d+) ", text.rpartition("exit status: ")[2])]
    failing = ("hybrid_grid", "transfer", "dos", "contrast", "doctor", "fit", "predict")
    some = [SOME_FAILED] if job in failing else []
    assert told == [OK, *some, USAGE, INTERRUPTED]
