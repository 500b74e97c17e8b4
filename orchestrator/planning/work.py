"""What a grid still has to train, seen without starting anything."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.data.datasets import is_here
from orchestrator.data.divided import recorded_digests
from orchestrator.data.featurize import Featurized, featurized_before
from orchestrator.data.given_folds import demand_columns, demand_own_folds, fields_of
from orchestrator.data.inputs import fingerprint, open_sources, targets_of
from orchestrator.hybrid_grid.cells import GridArray, arrays, cells
from orchestrator.hybrid_grid.config import GridConfig
from orchestrator.hybrid_grid.flags import Options
from orchestrator.interface.errors import UsageError
from orchestrator.runs.records import FAILED, Records
from orchestrator.runs.run_directory import slug
from trainables.backbones import BACKBONES
from trainables.crystals.registry import TASKS, Task
from trainables.crystals.sources import Source
from trainables.training.specification import Target


@dataclass(frozen=True)
class Work:
    """A grid and what is left of it.

    Attributes:
        config: its tasks by the names of their data sets.
        sources: the data sets that are on this machine, by name.
        absent: those that would be downloaded first.
        featurised: (task, backbone) -> what this run has featurised before.
        planned: all arrays.
        left: what the job would train: the arrays without the models that are recorded.
        recorded: number of recorded models of each task.
    """

    config: GridConfig
    sources: dict[str, Source]
    absent: dict[str, Task]
    featurised: dict[tuple[str, str], Path]
    planned: list[GridArray]
    left: list[GridArray]
    recorded: dict[str, int]

    @property
    def models(self) -> int:
        """Of the whole grid."""
        return sum(len(array.spec.mixings) for array in self.planned)

    def model_epochs(self, task: str) -> int:
        """Of a task's models that are left, if each goes to its last epoch."""
        left = [array.spec for array in self.left if array.task == task]
        return sum(len(spec.mixings) * spec.recipe.epochs for spec in left)


def look(options: Options) -> Work:
    """Opens what is on this machine and asks the run directory what is done.

    Raises:
        UsageError: a data set cannot be had, or two have one name.
    """
    if options.data_dir is not None and not options.data_dir.is_dir():
        raise UsageError(f"{options.data_dir}: --data-dir is not a folder; check the path")
    specs = options.config.tasks
    here = tuple(spec for spec in specs if is_here(spec, options.data_dir))
    absent = [TASKS[spec.removeprefix("matbench_")] for spec in specs if spec not in here]
    sources: dict[str, Source] = {}
    if here:
        sources = open_sources(
            options.config.model_copy(update={"tasks": here}),
            options.data_dir,
            follow_links=options.follow_links,
        )
    name_of = dict(zip(here, sources, strict=True))
    names = tuple(name_of.get(spec, spec.removeprefix("matbench_")) for spec in specs)
    config = options.config.model_copy(update={"tasks": names})
    demand_own_folds(options.division, names)
    demand_columns(options.division, sources)
    found = _featurised(config, sources, options.run)
    folds = recorded_digests(options.run, fields_of(options.division))
    known = {
        (task, backbone): fingerprint(
            config, dataclasses.replace(data, folds=folds.get(task, "")), backbone
        )
        for (task, backbone), data in found.items()
        if options.division is None or task in folds
    }
    targets = {task.name: Target(name=task.target, unit=task.unit) for task in absent}
    planned = cells(config, targets | targets_of(sources), known)
    records = Records(options.run / "records")
    recorded = records.recorded(cell.key for cell in planned)
    if options.retry_failed:
        recorded = {key for key in recorded if records.read(key)["status"] != FAILED}
    return Work(
        config=config,
        sources=sources,
        absent={task.name: task for task in absent},
        featurised={
            (task, backbone): data.folders[BACKBONES[backbone].graph_kind.name]
            for (task, backbone), data in found.items()
        },
        planned=arrays(planned),
        left=arrays(cell for cell in planned if cell.key not in recorded),
        recorded={
            task: sum(cell.task == task and cell.key in recorded for cell in planned)
            for task in names
        },
    )


def _featurised(
    config: GridConfig, sources: Mapping[str, Source], run: Path
) -> dict[tuple[str, str], Featurized]:
    found: dict[tuple[str, str], Featurized] = {}
    for name, source in sources.items():
        folder = run / "shards" / slug(source.name)
        for backbone in config.backbones:
            kind = BACKBONES[backbone].graph_kind
            data = featurized_before(source, [kind], folder, max_atoms=config.max_atoms)
            if data is not None:
                found[name, backbone] = data
    return found
