"""The mixing of handcrafted and learned element vectors: one value, with one parser.

Section 4.1.2 and eq. 4.1 of the thesis (docs/references.md). Cheap to import, as planning a grid or
parsing its command line needs no torch.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import Self

LARGEST = 30  # |γ| of a number; the ends are H and L
ENDS = {"H": -math.inf, "L": math.inf}
# γ at which both channels are about as long where the learned vectors start as N(0, 1).
BALANCED = -0.8
RESIDUAL, AUTO = "residual", "auto"
WORDS = (*ENDS, RESIDUAL, AUTO)


@dataclass(frozen=True)
class Mixing:
    """How an element's vector is made of the handcrafted h and the learned l.

    A number γ is z = w_H·h + w_L·l with γ = log10(w_L/w_H) (eq. 4.1); H is γ = −∞, L is γ = ∞.
    "auto" learns γ of each element, from `BALANCED` on. "residual" is z = h + c·l, where l starts
    at zero and c grows with the number of crystals that have the element, from 0 to 1.
    """

    label: str

    @classmethod
    def parse(cls, value: object) -> Self:
        """The mixing that a text or number means; its label has the fewest digits.

        Raises:
            ValueError: neither one of `WORDS` nor a finite number.
        """
        text = str(value).strip()
        for word in WORDS:
            if text.casefold() == word.casefold():
                return cls(word)
        try:
            gamma = float(text)
        except ValueError:
            close = difflib.get_close_matches(text, WORDS, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ValueError(
                f"mixing {text!r} is neither {', '.join(WORDS)} nor a number{hint}"
            ) from None
        if not abs(gamma) <= LARGEST:
            raise ValueError(
                f"mixing {text!r}: γ lies between -{LARGEST} and {LARGEST}; the ends are H and L"
            )
        return cls(f"{gamma + 0.0:g}")

    @property
    def gamma(self) -> float:
        """γ; infinite at the ends, NaN where it is not one number."""
        if self.label in (RESIDUAL, AUTO):
            return math.nan
        return ENDS[self.label] if self.label in ENDS else float(self.label)

    @property
    def has_start(self) -> bool:
        """Whether a recipe's start of the learned vectors matters; a residual has its own."""
        return self.label not in ("H", RESIDUAL)

    @property
    def has_handcrafted(self) -> bool:
        """Whether the handcrafted table matters."""
        return self.label != "L"

    @property
    def learned(self) -> float:
        """w_L = 10^γ / (1 + 10^γ) at the start of a training; 1 of a residual."""
        return 1.0 if self.label == RESIDUAL else 1 / (1 + 10.0**-self._start)

    @property
    def handcrafted(self) -> float:
        """w_H = 1 − w_L, without cancellation; 1 of a residual."""
        return 1.0 if self.label == RESIDUAL else 1 / (1 + 10.0**self._start)

    @property
    def _start(self) -> float:
        return BALANCED if self.label == AUTO else self.gamma
