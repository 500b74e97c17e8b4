"""The list of cases names existing tests."""

from __future__ import annotations

import csv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_each_case_has_its_tests() -> None:
    with open(Path(__file__).with_name("cases.csv"), encoding="utf-8", newline="") as file:
        cases = list(csv.DictReader(file))
    assert len(cases) > 40
    assert len({case["test"] for case in cases}) == len(cases), "two are about the same tests"
    for case in cases:
        path, _, name = case["test"].partition("::")
        assert f"\ndef {name}" in (ROOT / path).read_text(encoding="utf-8"), case["test"]
