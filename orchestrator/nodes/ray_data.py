"""Tables read ahead by Ray Data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import ray
from ray.data import Datasource, ExecutionResources, ReadTask
from ray.data.block import BlockMetadata

from orchestrator.nodes import ray_internals

Part = Callable[[], Iterator[pa.Table]]


def read_ahead(parts: Sequence[Part], piece: int, held: int) -> Iterator[pa.Table]:
    """The tables of all parts, each read by a task while the one before is used.

    Args:
        piece: bytes of a table.
        held: bytes of tables in the object store.
    """
    # On this training's node but outside its placement group, and without a CPU: the trainings
    # hold all CPUs, and a task that waited for one would wait forever.
    here = {f"node:{ray.util.get_node_ip_address()}": 1e-3}
    data = ray.data.read_datasource(
        Parts(parts),
        override_num_blocks=len(parts),
        num_cpus=0,
        resources=here,
        concurrency=1,
    )
    ray_internals.share_metrics(data)
    context = data.context
    context.enable_progress_bars = context.print_on_execution_start = False
    context.target_max_block_size = piece
    context.execution_options.preserve_order = True
    # Otherwise each training would claim half of the object store for itself.
    context.execution_options.resource_limits = ExecutionResources(object_store_memory=held)
    yield from data.iter_batches(batch_size=None, batch_format="pyarrow")


class Parts(Datasource):
    """One task per part."""

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__()
        self._parts = parts

    def get_name(self) -> str:
        return "Shards"

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(part, unknown) for part in self._parts]
