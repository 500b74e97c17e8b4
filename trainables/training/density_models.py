"""What a recorded model of densities of states says of crystals.

Legend: B crystals, N nodes, L energies.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from trainables.representations.batches import DeviceColumns
from trainables.representations.columns import Columns
from trainables.representations.densities import density_column
from trainables.training.densities import build, predictions
from trainables.training.density_spec import DENSITY_VERSION, DensitySpec
from trainables.training.rebuilding import demand_version, dtype_of, with_weights


def rebuilt(spec: DensitySpec, arrays: Mapping[str, np.ndarray]) -> nn.Module:
    """The recorded model, as a stack of one on the CPU.

    Args:
        arrays: of its record.

    Raises:
        ValueError: it was trained by another version, or the weights are those of another network.
    """
    demand_version(spec, DENSITY_VERSION)
    model = build(spec, [torch.Generator()], [np.zeros(spec.window.points)])
    return with_weights(model, arrays, dtype_of(spec.precision))


def densities(model: nn.Module, spec: DensitySpec, graphs: Columns) -> np.ndarray:
    """[B, L] densities of crystals by a stack of one, of which 1 is the maximum of a crystal."""
    points = spec.window.points
    unknown = np.zeros((graphs.nodes, points))
    dtype, column = dtype_of(spec.precision), density_column(points)
    data = DeviceColumns.load(graphs, unknown, "cpu", dtype, column)
    return predictions(model, data, np.arange(len(graphs)))[0]
