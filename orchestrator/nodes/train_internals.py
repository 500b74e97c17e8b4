"""Uses of Ray Train beyond its public interface; `ray_internals.py` has all others.

Apart from these, as Ray Train takes most of a second to import.
"""

from __future__ import annotations

from typing import Any

import ray
from ray.train.v2._internal.execution.callback import ControllerCallback


class TellsController(ControllerCallback):
    """Tells who controls a training, once it begins.

    Ray Train keeps the actor to itself, and ends a training for the signals alone that it handles
    in the main thread. Without it the cluster would have to be shut down under a thread that uses
    it, which crashes Python.

    Args:
        tell: method of an actor, which gets a handle.
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
