"""The pages' templates: they alone hold tags, and whatever they are given is escaped."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest
from jinja2 import UndefinedError, nodes
from markupsafe import Markup

from orchestrator.interface import page
from orchestrator.jobs import JOBS
from orchestrator.report.part import filled

ROOT = Path(__file__).resolve().parents[2] / "orchestrator"
TEMPLATES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.html"))
REPORTED = [name for name, job in JOBS.items() if job.has_sections]
TAG = re.compile(
    r"</?(?:a|b|br|code|details|div|h\d|li|p|script|span|summary|table|t[dhr]|ul)\b[^<]*>"
)
NASTY = "</p></script><script>alert('1')</script>\" &"


class Anything(float):
    """Whatever a template may expect; as text it is hostile."""

    def __str__(self) -> str:
        return NASTY

    def __getattr__(self, name: str) -> Anything:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, key: object) -> Anything:
        return self

    def __call__(self, *given: object) -> Anything:
        return self

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Iterator[Anything]:
        return iter((self, self))


def macros(job: str) -> dict[str, list[str]]:
    """Names of a job's macros, and what each is given."""
    source = (ROOT / job / "sections.html").read_text()
    found = page._environment().parse(source).find_all(nodes.Macro)
    return {macro.name: [argument.name for argument in macro.args] for macro in found}


def sections(job: str) -> list[str]:
    """Names of the functions that a job fills its sections with."""
    module = import_module(f"orchestrator.{job}.sections")
    (listed,) = (value for name, value in vars(module).items() if name.endswith("SECTIONS"))
    return [find.__name__ for _, find in listed]


@pytest.mark.parametrize("job", REPORTED)
def test_each_section_has_a_macro_and_each_macro_a_section(job: str) -> None:
    assert list(macros(job)) and sorted(macros(job)) == sorted(sections(job))


@pytest.mark.parametrize("job", REPORTED)
@pytest.mark.parametrize("number", [0.0, 2.0], ids=["nothing", "something"])
def test_whatever_a_section_is_given_is_escaped(
    job: str, number: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Figures and tables are held to the same below.
    made = page._environment.__wrapped__()
    made.globals |= {"figure": lambda shown: Markup("<figure>"), "table": lambda shown: Markup("")}
    monkeypatch.setattr(page, "_environment", lambda: made)
    body = ""
    for name, arguments in macros(job).items():
        body += page.section(job, name, dict.fromkeys(arguments, Anything(number)))
    assert "<script" not in body and "alert('1')" not in body
    if number:
        assert Markup.escape(NASTY) in body


def test_headings_tables_and_figures_are_escaped() -> None:
    table = page.table(pd.DataFrame({NASTY: [NASTY, 1]}))
    assert table.count(Markup.escape(NASTY)) == 2
    drawn = page.figure(go.Figure(layout={"title": NASTY}))
    assert "alert" in drawn and drawn.count("</script>") == 1
    whole = page.render(NASTY, NASTY, [(NASTY, table)])
    assert whole.count(Markup.escape(NASTY)) == 7
    assert NASTY not in whole


def test_numbers_stand_to_the_right_and_words_wrap() -> None:
    table = page.table(pd.DataFrame({"name": ["a 1", "b"], "error": ["0.1 ± 0.2", "–"]}))
    assert '<th>name</th><th class="number">error</th>' in table
    assert '<td>a 1</td><td class="number">0.1 ± 0.2</td>' in table


def test_what_a_template_lacks_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="descriptions"):
        page.section("hybrid_grid", "overview", {})
    with pytest.raises(TypeError, match="unknown"):
        page.section("transfer", "cost", {"models": 1, "seconds": 1.0, "unknown": 1})


def test_a_section_that_has_nothing_to_say_is_left_out() -> None:
    def cost(found: int) -> dict[str, Any] | None:
        return {"models": found, "seconds": 61.0} if found else None

    assert filled("transfer", [("Cost", cost)], 0) == []
    ((title, body),) = filled("transfer", [("Cost", cost)], 2)
    assert title == "Cost" and body.strip() == "<p>2 models, 1 min 01 s of training.</p>"


# ------------------------------------------------------------------------------------ the sources


def test_no_module_writes_tags() -> None:
    modules = list(ROOT.rglob("*.py"))
    assert len(modules) > 100
    for path in modules:
        tree = ast.parse(path.read_text())
        texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        found = [text for text in texts if isinstance(text, str) and TAG.search(text)]
        assert not found, f"{path}: {found[0]}"
        if "Markup(" in path.read_text():
            assert path == ROOT / "interface" / "page.py"


def test_no_template_turns_escaping_off() -> None:
    assert len(TEMPLATES) == len(REPORTED) + 3
    for name in TEMPLATES:
        source = (ROOT / name).read_text()
        assert not re.search(r"\|\s*safe\b|autoescape|forceescape", source), name
        # A value within a tag stands in quotes, or it could end the attribute.
        assert not re.search(r"<[^<>]*=\s*\{\{", source), name
