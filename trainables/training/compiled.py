"""When a training step is worth compiling.

On the CPU `trainables.kernels` fuses what is worth fusing, for seconds of building once; torch's
compiler needs half a minute to some minutes there and is slower (docs/results.md). On a GPU it pays
in a long training, whose every step it spares most of the launches.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable

import torch
import torch.fx.experimental._config
from torch import Tensor, nn

from trainables.models.stacking import StackedNetwork
from trainables.private_cache import private_cache
from trainables.representations.graph_batch import GraphBatch

# A minute of compiling against some milliseconds a step.
STEPS_WORTH_COMPILING = 20_000


def forward_of(
    model: nn.Module, device: torch.device, steps: int, backend: str = "inductor"
) -> Callable[[GraphBatch], Tensor]:
    """The model's forward pass for `steps` training steps on a device, compiled where that pays.

    The number of steps alone decides, not a measurement: the same command gives the same bits. What
    `torch.func.vmap` stacks is left as it is: it would be compiled anew for each size of a batch.
    """
    if device.type != "cuda" or steps < STEPS_WORTH_COMPILING or isinstance(model, StackedNetwork):
        return model
    return compiled(model, backend)


def compiled(model: nn.Module, backend: str = "inductor") -> Callable[[GraphBatch], Tensor]:
    """Compiled once for batches and arrays of every size."""
    keep_compiled_code_private()
    # Members leave an array, so the leading axis of the weights shrinks: a size, not a constant.
    torch._dynamo.config.force_parameter_static_shapes = False
    # Two sizes that are equal in the first batch need not be in the next.
    torch.fx.experimental._config.use_duck_shape = False
    function: Callable[[GraphBatch], Tensor] = torch.compile(model, dynamic=True, backend=backend)
    return function


def keep_compiled_code_private() -> None:
    """Has torch and Triton keep what they compile in a folder of this user's own.

    Their own choice is a name in the shared temporary folder that anybody can foresee, make first,
    and fill with code that is run. What the user has chosen for them stands.
    """
    wanted = {"TORCHINDUCTOR_CACHE_DIR": "inductor", "TRITON_CACHE_DIR": "triton"}
    if all(os.environ.get(name) for name in wanted):
        return
    try:
        folder = str(private_cache("compiled"))
    except OSError:  # none that could be trusted or written: for this process alone, then
        folder = tempfile.mkdtemp(prefix="elemgrid-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name, below in wanted.items():
        if not os.environ.get(name):
            os.environ[name] = os.path.join(folder, below)
