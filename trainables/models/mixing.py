"""The mixing of handcrafted and learned element vectors: one value, with one parser.

Section 4.1.2 and eq. 4.1 of the thesis (docs/references.md). Cheap to import, as planning a grid or
parsing its command line needs no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

LARGEST = 30  # |γ| of a number; the ends are H and L
ENDS = {"H": -math.inf, "L": math.inf}


@dataclass(frozen=True)
class Mixing:
    """The weight of the learned vector: z = w_H·h + w_L·l, γ = log10(w_L/w_H) (eq. 4.1).

    `Mixing("H")` is γ = −∞, `Mixing("L")` is γ = +∞, else the label is γ as a number.
    """

    label: str

    @classmethod
    def parse(cls, value: object) -> Self:
        """The mixing that a text or number means; its label has the fewest digits.

        Raises:
            ValueError: neither H, L nor a finite number.
        """
        text = str(value).strip()
        if text.upper() in ENDS:
            return cls(text.upper())
        try:
            gamma = float(text)
        except ValueError:
            raise ValueError(f"mixing {text!r} is neither H, L nor a number") from None
        if not abs(gamma) <= LARGEST:
            raise ValueError(
                f"mixing {text!r}: γ lies between -{LARGEST} and {LARGEST}; the ends are H and L"
            )
        return cls(f"{gamma + 0.0:g}")

    @property
    def gamma(self) -> float:
        """γ; infinite at the ends."""
        return ENDS[self.label] if self.label in ENDS else float(self.label)

    @property
    def learned(self) -> float:
        """w_L = 10^γ / (1 + 10^γ)."""
        return 1 / (1 + 10.0**-self.gamma)

    @property
    def handcrafted(self) -> float:
        """w_H = 1 − w_L, without cancellation."""
        return 1 / (1 + 10.0**self.gamma)
