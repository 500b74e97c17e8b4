"""Signatures of the functions of `kernels.cpp`, so that a wrong call is an error and not a crash.

The arguments of a function are the sizes that the letters of its tensors stand for, in the order of
`sizes`, then its tensors, then its numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

# Legend: K models, N nodes, E edges or rows, L distinct bond lengths, B crystals, F and A features.
# MEGNet's bonds have 32 features, its hidden layers 64. I and O components of spherical features, P
# couplings, W entries of Wigner matrices.


class Parameter(NamedTuple):
    """A tensor argument of a function.

    Attributes:
        name: as in `kernels.cpp`.
        axes: factor and letter of each axis' size; no letter if the size is the factor.
        below: for an index, the letter of the size that bounds its entries; "" for float32.
    """

    name: str
    axes: tuple[tuple[int, str], ...]
    below: str

    def described(self, sizes: Mapping[str, int]) -> str:
        """Its axes, as `[3, 2·A]`, with the known sizes filled in."""
        return f"[{', '.join(_described(factor, letter, sizes) for factor, letter in self.axes)}]"


@dataclass(frozen=True)
class Signature:
    """The parameters of a function.

    Attributes:
        sizes: letters, in the order of the function's first arguments.
        tensors: `name [axes]` each, as `x [K N 2A]`; for an index with its bound, as `dst [E] < N`.
        numbers: how many floats come last.
    """

    sizes: str
    tensors: str
    numbers: int = 0

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """One for each tensor."""
        return tuple(map(_parameter, self.tensors.split(", ")))


def _parameter(text: str) -> Parameter:
    name, _, rest = text.partition(" [")
    axes, _, below = rest.partition("]")
    return Parameter(name, tuple(map(_axis, axes.split())), below.strip(" <"))


def _described(factor: int, letter: str, sizes: Mapping[str, int]) -> str:
    if letter and letter not in sizes:
        return letter if factor == 1 else f"{factor}·{letter}"
    return str(factor * sizes.get(letter, 1))


def _axis(text: str) -> tuple[int, str]:
    letter = text.lstrip("0123456789")
    return int(text.removesuffix(letter) or 1), letter


_ENDS = "own [K N 64], other [K N 64]"
_BY_KIND = f"{_ENDS}, bond [K L 64], dst [E] < N, src [E] < N, kind [E] < L"
_OF_BOND = f"{_ENDS}, bond [K E 32], dst [E] < N, src [E] < N"
_LAST = "w4 [K 64 64], b4 [K 1 64], w5 [K 64 32], b5 [K 1 32]"
_ALL = f"w1 [K 32 64], b1 [K 1 64], w2 [K 64 32], b2 [K 1 32], w3 [K 32 64], {_LAST}"
_FILTERED = "x [K N A], filter [K L A], dst [E] < N, src [E] < N, kind [E] < L, weight [E]"
_FRAMED = "x [K I N A], gain [K E P A], dst [E] < N, src [E] < N, weight [E], into [E W], out [E W]"
_SUM = "own [K N 2A], other [K N 2A], length [K L 2A], dst [E] < N, src [E] < N, kind [E] < L"

SIGNATURES: Mapping[str, Signature] = {
    "softplus_forward": Signature("KNF", "x [K N F], bias [K 1 F], y [K N F]", 1),
    "softplus_backward": Signature(
        "KNF", "y [K N F], dy [K N F], dx [K N F], dbias [K 1 F]", 1
    ),
    "scatter_rows": Signature("KNEF", "x [K E F], index [E] < N, y [K N F]"),
    "scatter_weighted_rows": Signature("KNEF", "x [K E F], index [E] < N, weight [E], y [K N F]"),
    "gather_rows": Signature("KNEF", "x [K N F], index [E] < N, y [K E F]"),
    "gather_weighted_rows": Signature("KNEF", "x [K N F], index [E] < N, weight [E], y [K E F]"),
    "filtered_forward": Signature("KNLEA", f"{_FILTERED}, y [K N A]"),
    "filtered_backward": Signature(
        "KNLEA", f"{_FILTERED}, dy [K N A], dx [K N A], dfilter [K L A]"
    ),
    "framed_forward": Signature("KNEAIOPW", f"{_FRAMED}, y [K O N A]"),
    "framed_backward": Signature(
        "KNEAIOPW", f"{_FRAMED}, dy [K O N A], dx [K I N A], dgain [K E P A]"
    ),
    "bonds_forward": Signature("KNE", f"{_OF_BOND}, {_ALL}, y [K E 32]", 1),
    "bonds_backward": Signature(
        "KNE",
        f"{_OF_BOND}, {_ALL}, dy [K E 32], down [K N 64], dother [K N 64], dbond [K E 32],"
        " dw1 [K 32 64], db1 [K 1 64], dw2 [K 64 32], db2 [K 1 32], dw3 [K 32 64],"
        " dw4 [K 64 64], db4 [K 1 64], dw5 [K 64 32], db5 [K 1 32]",
        1,
    ),
    "bonds_by_kind_forward": Signature("KNLE", f"{_BY_KIND}, {_LAST}, y [K E 32]", 1),
    "bonds_by_kind_backward": Signature(
        "KNLE",
        f"{_BY_KIND}, {_LAST}, dy [K E 32], down [K N 64], dother [K N 64], dbond [K L 64],"
        " dw4 [K 64 64], db4 [K 1 64], dw5 [K 64 32], db5 [K 1 32]",
        1,
    ),
    "attention_forward": Signature(
        "KBEF",
        "x [K E F], query [K B F], weight [E], crystal [E] < B, share [K E], y [K B F]",
    ),
    "attention_backward": Signature(
        "KBEF",
        "x [K E F], query [K B F], share [K E], crystal [E] < B, y [K B F], dy [K B F],"
        " dx [K E F], dquery [K B F]",
    ),
    "gated_statistics": Signature(
        "KNLEA", f"{_SUM}, weight [E], mean [K 1 2A], var [K 1 2A]", 1
    ),
    "gated_forward": Signature(
        "KNLEA", f"{_SUM}, count [E], scale [K 1 2A], offset [K 1 2A], y [K N A]"
    ),
    "gated_backward": Signature(
        "KNLEA",
        f"{_SUM}, count [E], weight [E], mean [K 1 2A], rstd [K 1 2A], gain [K 1 2A],"
        " bias [K 1 2A], dy [K N A], slopes [E 2A], down [K N 2A], dother [K N 2A],"
        " dlength [K L 2A], dgain [K 1 2A], dbias [K 1 2A]",
        1,
    ),
}  # fmt: skip
