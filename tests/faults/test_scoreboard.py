"""The table of cases and observations."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import scoreboard

CASE = """<properties><property name="section" value="{section}"/>
<property name="case" value="{case}"/><property name="expected" value="nothing lost"/>
{more}</properties>"""


def report(path: Path, **outcomes: str) -> Path:
    """A JUnit file of tests of one case, in pytest's format."""
    inside = {"passed": "", "failed": "<failure/>", "skipped": '<skipped message="no disk"/>'}
    case = CASE.format(section="Faults", case="a kill", more="")
    tests = [
        f'<testcase classname="tests" name="{name}">{inside[outcome]}{case}</testcase>'
        for name, outcome in outcomes.items()
    ]
    path.write_text(f"<testsuites><testsuite>{''.join(tests)}</testsuite></testsuites>")
    return path


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ({"one": "passed"}, "as expected"),
        ({"one": "passed", "two": "passed"}, "as expected (2 tests)"),
        ({"one": "passed", "two": "failed"}, "**not so in 1 of 2 tests**"),
        ({"one": "skipped"}, "not tried here: no disk"),
        ({"one": "skipped", "two": "passed"}, "as expected; not tried here: no disk"),
    ],
)
def test_a_case_is_as_its_tests_are(tmp_path: Path, outcomes: dict[str, str], verdict: str) -> None:
    (case,) = scoreboard.cases(report(tmp_path / "report.xml", **outcomes))
    assert case.verdict == verdict


def test_what_was_run_again_is_as_it_was_last(tmp_path: Path) -> None:
    first = report(tmp_path / "first.xml", one="failed", two="passed")
    (case,) = scoreboard.cases(first, report(tmp_path / "second.xml", one="passed"))
    assert case.verdict == "as expected (2 tests)"


def test_the_page_is_written_and_a_broken_promise_is_an_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "reliability.md"
    page.write_text(f"before {scoreboard.BEGIN} old {scoreboard.END} after")
    monkeypatch.setattr(scoreboard, "PAGE", page)
    good, bad = report(tmp_path / "1.xml", one="passed"), report(tmp_path / "2.xml", one="failed")
    assert scoreboard.main(["--report", str(bad)]) == 1
    assert "| a kill | nothing lost | **not so in 1 of 1 tests** |" in page.read_text()
    assert scoreboard.main(["--report", str(bad), str(good)]) == 0
    text = page.read_text()
    assert "| a kill | nothing lost | as expected |" in text and "old" not in text
    assert text.startswith("before ") and text.endswith(" after")
