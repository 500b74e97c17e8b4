"""Predicted tensors as the point groups of their crystals allow them, in double precision.

Legend: B crystals, C components of a tensor, … the shape of a prediction.

A network on orbit graphs obeys the symmetry by construction, but in the single precision in which
it computes. Projected once more, in double precision, its tensors obey it to rounding.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from trainables.representations.columns import Columns
from trainables.representations.orbit_graph import OrbitGraphs
from trainables.representations.space_group import first_setting, space_group, turns
from trainables.targets.base import Kind
from trainables.targets.tensor import TensorKind
from trainables.tensors.irreps import FORMS


def allowed(kind: Kind, values: np.ndarray, graphs: Any, rows: np.ndarray) -> np.ndarray:
    """Predictions [B, …] without what symmetry forbids; as they are where that is not known.

    Args:
        values: of crystals, as of `Kind.value`.
        graphs: of a data set, in memory or in a store.
        rows: [B] positions of the crystals in it.
    """
    if not isinstance(kind, TensorKind) or not len(rows):
        return values
    own = graphs.take(rows) if isinstance(graphs, Columns) else next(graphs.in_order([rows]))
    if not isinstance(own, OrbitGraphs):
        return values
    standard = kind.form.turned(values, own.frame.swapaxes(1, 2))
    projected = np.einsum("bcd,bd->bc", invariants(kind.form.name)[own.group], standard)
    return kind.form.turned(projected, own.frame)


@cache
def invariants(name: str) -> np.ndarray:
    """[231, C, C] by number of the space group, the projections in standard orientation.

    Args:
        name: of the form of tensor.
    """
    form = FORMS[name]
    matrices = form.matrices(turns())
    found = np.zeros((231, form.width, form.width))
    for number in range(1, len(found)):
        found[number] = matrices[np.unique(space_group(first_setting(number)).turn)].mean(axis=0)
    return found
