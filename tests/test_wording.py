"""Docstrings and comments are written in plain words."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("trainables", "analysis", "orchestrator", "benchmarks", "scripts")
# Write "the user", "is printed" or "is reported", "depends on".
INDIRECT = re.compile(
    r"\bpersons?\b|\b(?:is|are) told\b|\bhangs? on\b|\bmends?\b|\bwhose is\b", re.IGNORECASE
)


def prose(source: str) -> Iterator[tuple[int, str]]:
    """Line number and text of each docstring and comment."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.lineno, str(node.value.value)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def indirect(source: str) -> list[str]:
    """The indirect phrases, each with the line where its docstring or comment starts."""
    return [f"{n}: {found[0]}" for n, text in prose(source) for found in INDIRECT.finditer(text)]


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_and_comments_are_direct(package: str) -> None:
    found = {
        str(path.relative_to(ROOT)): phrases
        for path in sorted((ROOT / package).rglob("*.py"))
        if (phrases := indirect(path.read_text()))
    }
    assert not found


def test_indirect_phrases_are_found() -> None:
    source = (
        'def f(told):\n    """What the person is told."""\n    return "is told"  # hangs on it\n'
    )
    assert indirect(source) == ["2: person", "2: is told", "3: hangs on"]
