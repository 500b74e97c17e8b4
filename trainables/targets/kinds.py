"""The kinds of target by name; the only list of them."""

from __future__ import annotations

from collections.abc import Callable

from trainables.crystals.targets import KindName
from trainables.targets.base import Kind, Target
from trainables.targets.binary import Binary
from trainables.targets.scalar import Scalar
from trainables.targets.site import Site
from trainables.targets.tensor import Dielectric, Elastic, Piezo, TensorKind
from trainables.targets.vector import Properties, Spectrum

KINDS: dict[KindName, Callable[[Target], Kind]] = {
    "scalar": Scalar,
    "binary": Binary,
    "spectrum": Spectrum,
    "properties": Properties,
    "site": Site,
    "dielectric": Dielectric,
    "elastic": Elastic,
    "piezo": Piezo,
}


def kind_of(target: Target) -> Kind:
    """How a target is learned."""
    return KINDS[target.kind](target)


def tensor_of(length: int) -> KindName | None:
    """The kind of tensor that a flat list of that many numbers may be; None if of none."""
    for name, kind in KINDS.items():
        if isinstance(kind, type) and issubclass(kind, TensorKind) and length in kind.sizes():
            return name
    return None
