"""What trials on Ray know of their cluster, on Tune and on Train alike."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from orchestrator.training.study import Study


def held(study: Study) -> dict[Hashable, ray.ObjectRef]:
    """Array's `data` -> reference to the data set, which Ray now holds."""
    return {name: ray.put(dataset) for name, dataset in study.data.items()}


class Cluster:
    """The cluster as a trial sees it: `trials.Surroundings`."""

    def __init__(self, datasets: Mapping[Hashable, ray.ObjectRef]) -> None:
        self._datasets = datasets
        self._held: tuple[Hashable, Any] | None = None

    def dataset(self, name: Hashable) -> Any:
        """Fetches a data set, and keeps it until another one is asked for."""
        if self._held is None or self._held[0] != name:
            self._held = None  # release the old one before loading the new one
            self._held = (name, ray.get(self._datasets[name]))
        return self._held[1]

    def is_lost(self, error: Exception) -> bool:
        """An error of a task, such as one that reads data, counts as if it were raised here."""
        return isinstance(error, RayError) and not isinstance(error, RayTaskError)

    def without_folder(self) -> str:
        """A late node may not share the run's disk."""
        return f"not on node {ray.util.get_node_ip_address()}; all nodes must share --run"
