"""Parses numbers as crystallographic files write them: with uncertainties, Fortran exponents."""

from __future__ import annotations

import re

# A missing closing bracket is common, and harmless.
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eEdD]([+-]?\d+))?(?:\(\d*\)?)?")


def number(text: str) -> float | None:
    """Value of `0.25`, `-.5`, `1.234(5)`, `0.564D+01`, `1.2(3`; None if it is no finite number."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        return None
    value = float(f"{match[1]}e{match[2]}" if match[2] else match[1])
    return value if abs(value) < float("inf") else None
