"""What is not installed is named, with the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.interface.errors import UsageError
from orchestrator.interface.extras import Extra


@pytest.mark.parametrize(
    ("modules", "line"),
    [
        ([("no_such_a", "A")], "this needs A, which is not"),
        ([("no_a", "A"), ("json", "JSON"), ("no_b", "B")], "this needs A and B, which are not"),
        ([(f"no_such_{x}", x) for x in "ABC"], "this needs A, B and C, which are not"),
    ],
)  # fmt: skip
def test_all_that_is_missing_is_named(modules: list[tuple[str, str]], line: str) -> None:
    with pytest.raises(UsageError) as caught:
        Extra("some", tuple(modules)).demand("this")
    assert str(caught.value) == f'{line} installed: pip install "elemgrid[some]"'


def test_a_folder_of_the_name_is_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where results lie in `ray/`, and Python looks in the present folder."""
    (tmp_path / "a_mere_folder").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert Extra("some", (("a_mere_folder", "It"),)).missing() == ["It"]
    assert not Extra("some", (("json", "JSON"),)).missing()
