"""Uses of Ray Train beyond its public interface; `ray_internals.py` has all others.

Apart from these, as Ray Train takes most of a second to import.
"""

from __future__ import annotations

from typing import Any

import ray
from ray.train.v2._internal.execution.callback import ControllerCallback


class TellsController(ControllerCallback):
    """Sends a handle to the controller of a training, the actor that can end it, when it begins.

    Ray Train keeps the handle to itself, and ends a training only for signals that it handles in
    the main thread. Shutting down the cluster under a thread that uses it would crash Python.

    Args:
        tell: method of an actor that takes the handle.
    """

    def __init__(self, tell: Any) -> None:
        self._tell = tell

    def after_controller_start(self, train_run_context: Any) -> None:
        """Before any worker is there."""
        self._tell.remote(ray.get_runtime_context().current_actor)


def abort(controller: Any) -> None:
    """Ends a training and its workers.

    Raises:
        RayError: always, as the actor leaves without an answer; or the cluster is gone.
    """
    ray.get(controller.abort.remote())
