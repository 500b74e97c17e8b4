"""Formatted numbers."""

from __future__ import annotations

import math

import pytest

from orchestrator.interface.format import are, counted, with_deviation


@pytest.mark.parametrize(
    ("mean", "deviation", "text"),
    [
        (30.8, 2.40718, "30.80 ± 2.41"),
        (0.34812, 0.0123456, "0.3481 ± 0.0123"),
        (12345.6, 78.9, "12346 ± 79"),
        (-0.05, 0.1, "-0.05000 ± 0.10000"),
        (96.3, None, "96.30"),
        (96.3, math.nan, "96.30"),
        (0.0, 0.5, "0 ± 0.5"),
        (math.inf, 1.0, "– ± 1"),
    ],
)
def test_a_deviation_has_the_decimal_places_of_its_mean(
    mean: float, deviation: float | None, text: str
) -> None:
    assert with_deviation(mean, deviation) == text


def test_one_of_a_kind_is_no_plural() -> None:
    assert [counted(number, "row") for number in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]
    assert [are(number) for number in (0, 1, 2)] == ["are", "is", "are"]
