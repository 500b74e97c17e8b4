"""docs/references.md names what the code cites, and code that is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
REFERENCES = (ROOT / "docs" / "references.md").read_text(encoding="utf-8")
SOURCES = sorted(
    path for package in ("trainables", "analysis") for path in (ROOT / package).rglob("*.py")
)
# A DOI may hold brackets, and stands in brackets or before a comma itself.
DOI = re.compile(r"10\.\d{4,}/(?:[^\s(),;\]}]|\([^\s()]*\))+")
ARXIV = re.compile(r"arXiv:\d{4}\.\d{5}")


@pytest.mark.parametrize("pattern", [DOI, ARXIV], ids=["doi", "arxiv"])
def test_every_source_of_the_code_is_listed(pattern: re.Pattern[str]) -> None:
    cited = {
        found.rstrip("."): path.relative_to(ROOT).as_posix()
        for path in SOURCES
        for found in pattern.findall(path.read_text(encoding="utf-8"))
    }
    assert len(cited) > 5
    listed = set(pattern.findall(REFERENCES))
    assert {source: path for source, path in cited.items() if source not in listed} == {}


def test_every_module_that_is_named_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)`", REFERENCES)
    assert len(named) > 50
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_every_equation_of_the_thesis_that_the_code_names_is_listed() -> None:
    table = REFERENCES[: REFERENCES.index("## Networks and data")]
    listed = set()
    for numbers in re.findall(r"eqs?\.? ([\d., –]+)", table):
        for part in numbers.split(","):
            ends = [end.split(".") for end in part.strip().split("–") if end.strip()]
            for number in range(int(ends[0][1]), int(ends[-1][1]) + 1) if ends else ():
                listed.add(f"{ends[0][0]}.{number}")
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    named = set(re.findall(r"\b(?:eqs?\.?|[Ee]quations?|–) ?([234]\.\d+)", text))
    assert {"2.13", "3.3", "4.3"} <= named
    assert named <= listed


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert [author["name"] for author in citation["authors"]] == [
        author["name"] for author in project["authors"]
    ]
