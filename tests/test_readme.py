"""The README promises flags, jobs and make targets; they must exist, and none may be missing."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.cli import JOBS
from orchestrator.grid.flags import _parser

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_the_table_of_flags_is_that_of_the_parser() -> None:
    table = README.split("### Flags of `hybrid_grid`")[1].split("\n## ")[0]
    promised = set(re.findall(r"--[a-z][a-z-]+", table))
    known = {flag for flag in _parser()._option_string_actions if flag.startswith("--")}
    assert promised == known - {"--help"}


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+)", README)) <= targets


def test_every_job_exists() -> None:
    named = set(re.findall(r"-m orchestrator\.(\w+)", README))
    assert named <= set(JOBS)


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing
