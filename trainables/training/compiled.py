"""When a training step is worth compiling.

On the CPU `trainables.kernels` fuses what is worth fusing, for seconds of building once; torch's
compiler needs half a minute to some minutes there and is slower (docs/results.md). On a GPU it pays
in a long training, whose every step it spares most of the launches.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.fx.experimental._config
from torch import Tensor, nn

from trainables.models.graph_batch import GraphBatch

# A minute of compiling against some milliseconds a step.
STEPS_WORTH_COMPILING = 20_000


def forward_of(
    model: nn.Module, device: torch.device, steps: int, backend: str = "inductor"
) -> Callable[[GraphBatch], Tensor]:
    """The model's forward pass for `steps` training steps on a device, compiled where that pays.

    The number of steps alone decides, not a measurement: the same command gives the same bits.
    """
    if device.type != "cuda" or steps < STEPS_WORTH_COMPILING:
        return model
    return compiled(model, backend)


def compiled(model: nn.Module, backend: str = "inductor") -> Callable[[GraphBatch], Tensor]:
    """Compiled once for batches and arrays of every size."""
    # Members leave an array, so the leading axis of the weights shrinks: a size, not a constant.
    torch._dynamo.config.force_parameter_static_shapes = False
    # Two sizes that are equal in the first batch need not be in the next.
    torch.fx.experimental._config.use_duck_shape = False
    function: Callable[[GraphBatch], Tensor] = torch.compile(model, dynamic=True, backend=backend)
    return function
