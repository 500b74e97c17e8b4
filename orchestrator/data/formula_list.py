"""The list of formulas given by `--without`, one per line, and its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

from orchestrator.interface.errors import UsageError
from trainables.compositions.formulas import FORMULA_VERSION, reduce_formula
from trainables.compositions.spelling import why_in_capitals


def read_formulas(path: Path) -> frozenset[str]:
    """Reads the reduced formulas of a text file, one per line.

    Raises:
        UsageError: it cannot be read, a line is no formula, or there is none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageError(f"--without {path}: cannot be read ({reason})") from None
    found = set()
    in_capitals = why_in_capitals(lines)
    for number, line in enumerate(lines, 1):
        if doubt := in_capitals.get(number - 1):
            raise UsageError(f"--without {path}, line {number}: {doubt}")
        if line.strip():
            try:
                found.add(reduce_formula(line.strip()))
            except ValueError as error:
                raise UsageError(f"--without {path}, line {number}: {error}") from None
    if not found:
        raise UsageError(f"--without {path}: holds no formula; leave the flag out")
    return frozenset(found)


def digest_of(formulas: Collection[str]) -> str:
    """SHA-256 (hex, 16 digits) of reduced formulas, in any order.

    It is part of the keys of a grid trained without them. It also changes when formulas are reduced
    in another way, since the same list then stands for other crystals.
    """
    lines = [f"reduced {FORMULA_VERSION}", *sorted(formulas)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
