"""What contrastive models and regressions say of materials; and those of a record, ready for it.

Legend: B materials, L points, D dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import nn

from trainables.models.contrastive import ContrastiveStack, Embedded, Seen, WorkFunctionStack
from trainables.representations.batches import DeviceColumns
from trainables.representations.columns import Columns
from trainables.representations.pairs import profile_column
from trainables.training.contrast_problems import EVALUATED, seen_alone
from trainables.training.contrast_spec import CONTRAST_VERSION, ContrastSpec
from trainables.training.rebuilding import demand_version, dtype_of, with_weights


def _all(data: DeviceColumns) -> Iterator[Seen]:
    for rows in torch.arange(len(data)).split(EVALUATED):
        yield seen_alone(data.take(rows))


@torch.no_grad()
def work_functions(model: nn.Module, data: DeviceColumns) -> np.ndarray:
    """[B] eV, by the first regression of a stack."""
    model.eval()
    said = torch.cat([model(seen)[0] for seen in _all(data)])
    return np.asarray(said.double().cpu().numpy())


@torch.no_grad()
def embeddings(model: nn.Module, data: DeviceColumns) -> dict[str, np.ndarray]:
    """[B, D] by name, of the first contrastive model of a stack."""
    model.eval()
    views: list[Embedded] = [model(seen) for seen in _all(data)]

    def joined(name: str) -> np.ndarray:
        values: np.ndarray = torch.cat([getattr(one, name)[0] for one in views]).cpu().numpy()
        return values

    return {
        "embeddings/crystal": joined("crystal"),
        "embeddings/profile": joined("profile"),
        "features/crystal": joined("features"),
    }


def rebuilt(spec: ContrastSpec, arrays: Mapping[str, np.ndarray]) -> nn.Module:
    """The recorded model, as a stack of one on the CPU.

    Args:
        arrays: of its record.

    Raises:
        ValueError: it was trained by another version, or the weights are those of another network.
    """
    demand_version(spec, CONTRAST_VERSION)
    stack = ContrastiveStack if spec.learns == "pairs" else WorkFunctionStack
    # the state has the mean and the scale too
    model = stack([torch.Generator()], spec.options, mean=0.0, scale=1.0)
    return with_weights(model, arrays, dtype_of(spec.precision))


def crystals_alone(spec: ContrastSpec, graphs: Columns) -> DeviceColumns:
    """B crystals as a model takes them; of their profiles, which nobody knows, it gets zeros."""
    points = spec.grid.points
    profiles = np.zeros((len(graphs), points))
    return DeviceColumns.load(
        graphs, profiles, "cpu", dtype_of(spec.precision), profile_column(points)
    )
