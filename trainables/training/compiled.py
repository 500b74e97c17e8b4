"""Compiles training steps where that pays.

On the CPU `trainables.kernels` fuses the main operations, for seconds of building once; torch's
compiler takes half a minute to some minutes there and is slower (docs/results.md). On a GPU it pays
for long trainings, as it saves most kernel launches of every step.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.fx.experimental._config
from torch import Tensor, nn

from trainables.models.stacking import Stack
from trainables.private_cache import keep_compiled_code_private
from trainables.representations.graph_batch import GraphBatch

# A minute of compiling compared with some milliseconds per step.
STEPS_WORTH_COMPILING = 20_000


def forward_of(
    model: nn.Module, device: torch.device, steps: int, backend: str = "inductor"
) -> Callable[[GraphBatch], Tensor]:
    """The model's forward pass for `steps` training steps on a device, compiled if that pays.

    Only the number of steps decides, not a measurement: the same command gives the same bits. What
    `torch.func.vmap` stacks is not compiled: it would be compiled anew for each size of a batch.
    """
    stacked = any(isinstance(part, Stack) for part in model.modules())
    if device.type != "cuda" or steps < STEPS_WORTH_COMPILING or stacked:
        return model
    return compiled(model, backend)


def compiled(model: nn.Module, backend: str = "inductor") -> Callable[[GraphBatch], Tensor]:
    """The forward pass, compiled once for batches and arrays of every size."""
    keep_compiled_code_private()
    # Members leave an array, so the leading axis of the weights shrinks: it is no constant.
    torch._dynamo.config.force_parameter_static_shapes = False
    # Two sizes that are equal in the first batch may differ in the next.
    torch.fx.experimental._config.use_duck_shape = False
    function: Callable[[GraphBatch], Tensor] = torch.compile(model, dynamic=True, backend=backend)
    return function
