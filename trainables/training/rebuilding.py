"""Networks of members made again from their records, as stacks of one on the CPU."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from trainables.representations.graph import FEATURISER_VERSION
from trainables.training.specification import Specification

WEIGHTS = "weights/"


def demand_version(spec: Specification, installed: int) -> None:
    """Raises ValueError if a model was trained by another version.

    Args:
        installed: version of the code that trains such models.
    """
    versions = {
        "training": (spec.training, installed),
        "featuriser": (spec.representation.version, FEATURISER_VERSION),
    }
    for name, (found, own) in versions.items():
        if found != own:
            raise ValueError(f"made with version {found} of the {name}, and {own} is installed")


def with_weights(
    model: nn.Module, arrays: Mapping[str, np.ndarray], dtype: torch.dtype
) -> nn.Module:
    """A stack of one with the weights of a record, in evaluation mode.

    Args:
        arrays: of the record, which keeps a single number as a list of one.

    Raises:
        ValueError: the weights are those of another network.
    """
    state = model.state_dict()
    recorded = {
        name.removeprefix(WEIGHTS): value
        for name, value in arrays.items()
        if name.startswith(WEIGHTS)
    }
    wanted = {name: tuple(value.shape[1:]) or (1,) for name, value in state.items()}
    if wanted != {name: value.shape or (1,) for name, value in recorded.items()}:
        raise ValueError("the weights are those of another network")
    weights = {
        name: torch.from_numpy(value).reshape(state[name].shape) for name, value in recorded.items()
    }
    model.to(dtype).load_state_dict(weights)
    return model.eval()


def dtype_of(precision: int) -> torch.dtype:
    """The floats of so many bits."""
    return torch.float64 if precision == 64 else torch.float32
