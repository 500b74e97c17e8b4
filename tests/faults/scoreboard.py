"""The table of docs/reliability.md: failures, the guarantee for each, and what tests observed.

make reliability

Rows are those of cases.csv, which names the tests of each, in any folder; a test may report an
observation by `record_property("seen", …)`.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- scoreboard -->", "<!-- end of scoreboard -->"
SECTIONS = ("Faults", "Determinism", "Load", "Bad input", "Security")


@dataclass
class Case:
    """One row: its tests' outcomes, their observations, and why some were skipped."""

    section: str
    what: str
    expected: str
    outcomes: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """The outcome in words."""
        ran = [outcome for outcome in self.outcomes if outcome != "skipped"]
        bad = [outcome for outcome in ran if outcome != "passed"]
        left = [f"not tried here: {why}" for why in dict.fromkeys(self.skipped)]
        if bad:
            return f"**not so in {len(bad)} of {len(ran)} tests**"
        told = ["; ".join(dict.fromkeys(self.seen)) or "as expected"] if ran else []
        number = f" ({len(ran)} tests)" if len(ran) > 1 else ""
        return "; ".join([*told, *left]) + number


def cases(*reports: Path) -> list[Case]:
    """Cases from pytest's JUnit files, by section; of a repeated test the last run counts."""
    tests = {
        (test.get("classname"), test.get("name")): test
        for report in reports
        for test in ElementTree.parse(report).iter("testcase")
    }
    found: dict[tuple[str, str], Case] = {}
    for test in tests.values():
        properties = list(_properties(test))
        told = dict(properties)
        if "case" not in told:
            continue
        case = found.setdefault(
            (told["section"], told["case"]),
            Case(told["section"], told["case"], told["expected"]),
        )
        outcome = _outcome(test)
        case.outcomes.append(outcome)
        case.seen += [value for name, value in properties if name == "seen"]
        if outcome == "skipped":
            case.skipped += [test.find("skipped").get("message", "")]  # type: ignore[union-attr]
    return sorted(found.values(), key=lambda case: SECTIONS.index(case.section))


def _properties(test: ElementTree.Element) -> Iterator[tuple[str, str]]:
    for one in test.iter("property"):
        yield one.get("name", ""), one.get("value", "")


def _outcome(test: ElementTree.Element) -> str:
    for name in ("failure", "error", "skipped"):
        if test.find(name) is not None:
            return name
    return "passed"


def table(rows: Sequence[Case]) -> str:
    """The page in Markdown, one part per section."""
    lines = [
        f"Seen on {datetime.now(UTC):%d %B %Y} with Ray {version('ray')}, torch"
        f" {version('torch')}, Python {platform.python_version()} on {platform.system()}"
        f" ({platform.machine()}); {sum(len(row.outcomes) for row in rows)} tests."
    ]
    for section in SECTIONS:
        own = [row for row in rows if row.section == section]
        if own:
            lines += ["", f"### {section}", "", "| case | promised | seen |", "|---|---|---|"]
            lines += [f"| {row.what} | {row.expected} | {row.verdict} |" for row in own]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the tests of all cases, and those that only --all-faults runs; writes the page.

    With a report, runs nothing."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--report",
        type=Path,
        nargs="+",
        default=[],
        help="of tests that have been run, a later one of those that were run again",
    )
    reports: list[Path] = parser.parse_args(argv).report
    if not reports:
        reports = [ROOT / "runs" / "reliability.xml"]
        reports[0].parent.mkdir(exist_ok=True)
        flags = ["-q", "-m", "case or faults", "--all-faults", f"--junitxml={reports[0]}"]
        flags += ["-o", "junit_family=xunit1"]  # the format that has tests' properties
        reports[0].unlink(missing_ok=True)
        status = subprocess.run([sys.executable, "-m", "pytest", *flags], cwd=ROOT).returncode
        if not reports[0].exists():
            print(f"error: the tests ended with status {status} before their end", file=sys.stderr)
            return status
    rows = cases(*reports)
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{after}", encoding="utf-8")
    print(PAGE)
    return int(any("not so" in row.verdict for row in rows))


if __name__ == "__main__":
    sys.exit(main())
