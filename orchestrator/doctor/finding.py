"""The result of one check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["good", "note", "bad"]


@dataclass(frozen=True)
class Finding:
    """What a check found, and the fix if something is wrong.

    Attributes:
        verdict: "note" is for what works, but slower or less safely than it could.
        fix: a command or an edit; empty if nothing has to be done.
    """

    verdict: Verdict
    what: str
    seen: str
    fix: str = ""

    @property
    def line(self) -> str:
        """The finding as it is printed."""
        mark = {"good": "ok  ", "note": "note", "bad": "BAD "}[self.verdict]
        return f"{mark}  {self.what}: {self.seen}" + (f"; {self.fix}" if self.fix else "")


def judged(good: bool, what: str, seen: str, fix: str, otherwise: Verdict = "bad") -> Finding:
    """A finding that is good, or else has a fix."""
    return Finding("good", what, seen) if good else Finding(otherwise, what, seen, fix)
