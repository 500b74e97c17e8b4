"""What a grid still has to train, and its cost, measured on samples of its data sets."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from orchestrator.data.datasets import is_here
from orchestrator.data.divided import recorded_digests
from orchestrator.data.featurise import Featurised, featurised_before
from orchestrator.data.given_folds import demand_columns, demand_own_folds, fields_of
from orchestrator.data.targets import targets_of
from orchestrator.grid.arrays import GridArray, arrays
from orchestrator.grid.cells import Cell, Space
from orchestrator.grid.columns import NOTHING, with_axes
from orchestrator.grid.conditions import EACH
from orchestrator.grid.config import GridConfig
from orchestrator.grid.inputs import LEAST_CRYSTALS, demand_learnable, fingerprint, open_sources
from orchestrator.grid.parts import common
from orchestrator.grid.request import Options
from orchestrator.grid.strategies import Search
from orchestrator.interface.errors import UsageError
from orchestrator.planning import measure as measuring
from orchestrator.planning import sample
from orchestrator.planning.measure import Costs
from orchestrator.planning.sample import Sample, Size
from orchestrator.runs.ledger import compile_ledger
from orchestrator.runs.records import FAILED, Records
from orchestrator.runs.run_directory import slug
from trainables.crystals.checks import MAX_ATOMS
from trainables.crystals.ionic import IonicSource
from trainables.crystals.registry import TASKS, Task
from trainables.crystals.sources import Source
from trainables.models.backbones import BACKBONES
from trainables.models.options import NetworkOptions
from trainables.models.recipe import Recipe
from trainables.representations.columns import column_of
from trainables.representations.dataset import element_matrix
from trainables.representations.shards import DamagedError, ShardError, load_contents
from trainables.targets.base import NUMBER, Target
from trainables.targets.kinds import kind_of


@dataclass(frozen=True)
class Work:
    """A grid and what is left to train.

    Attributes:
        config: its tasks by the names of their data sets.
        sources: the data sets that are on this machine, by name.
        absent: those that would have to be downloaded.
        featurised: (task, backbone) -> data that this run has featurised before.
        planned: all arrays.
        left: the arrays without the models that are recorded.
        recorded: number of recorded models of each task.
    """

    config: GridConfig
    sources: dict[str, Source]
    absent: dict[str, Task]
    featurised: dict[tuple[str, str], Path]
    planned: list[GridArray]
    left: list[GridArray]
    recorded: dict[str, int]

    @cached_property
    def targets(self) -> dict[str, Target]:
        """The target of each data set."""
        return {array.task: array.spec.target for array in self.planned}

    @property
    def models(self) -> int:
        """Number of models of the whole grid."""
        return sum(len(array.spec.mixings) for array in self.planned)

    def model_epochs(self, task: str) -> int:
        """Epochs of a task's models that are left, if each runs to its last epoch."""
        left = [array.spec for array in self.left if array.task == task]
        return sum(len(spec.mixings) * spec.recipe.epochs for spec in left)


def look(options: Options) -> Work:
    """Opens the data sets on this machine and reads from the run directory what is done.

    Raises:
        UsageError: a data set cannot be found, or two have the same name.
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
    demand_learnable(config, targets_of(sources))
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
    targets |= targets_of(sources, {task: data for (task, _), data in found.items()})
    conditions = {name: config.conditions(_in_turn(config, name, found)) for name in names}
    search = Search(Space(config, targets, known, conditions))
    planned, recorded = _proposed(search, options)
    return Work(
        config=config,
        sources=sources,
        absent={task.name: task for task in absent},
        featurised={
            (task, backbone): data.folders[BACKBONES[backbone].representation.name]
            for (task, backbone), data in found.items()
        },
        planned=arrays(planned),
        left=arrays(cell for cell in planned if cell.key not in recorded),
        recorded={
            task: sum(cell.task == task and cell.key in recorded for cell in planned)
            for task in names
        },
    )


def _in_turn(
    config: GridConfig, task: str, featurised: Mapping[tuple[str, str], Featurised]
) -> dict[str, list[str]]:
    """What is held out of a data set in turn, but for parts of folds with too few crystals.

    Raises:
        UsageError: that is asked for, and the data set is not featurised yet.
    """
    words = [word for word in EACH if word in (config.leave_out or ())]
    if not words:
        return {}
    data = next((one for (name, _), one in featurised.items() if name == task), None)
    if data is None:
        raise UsageError(
            f"--leave-out {words[0]}: which ones {task} has is known once it is featurised; name"
            " them, or leave --dry-run out"
        )
    contents = load_contents(next(iter(data.folders.values())))
    elements = element_matrix(contents.z, contents.crystal, len(contents.rows))

    def having(numbers: Sequence[int]) -> np.ndarray:
        return np.asarray(elements[:, list(numbers)].any(axis=1))

    return {word: common(word, having) for word in words}


def _proposed(search: Search, options: Options) -> tuple[list[Cell], set[str]]:
    """The cells that are known: what the strategy proposes from all that is recorded.

    Returns:
        The cells, and the keys of those that are done.
    """
    records = Records(options.run / "records")
    planned = proposed = search.propose(NOTHING)
    while True:
        recorded = records.recorded(cell.key for cell in planned)
        if options.retry_failed:
            recorded = {key for key in recorded if records.read(key)["status"] != FAILED}
        if not proposed or len(recorded) < len(planned):
            return planned, recorded
        tasks = {cell.key: cell.task for cell in planned}
        proposed = search.propose(with_axes(compile_ledger(records, tasks)).to_pandas())
        planned = [*planned, *proposed]


def _featurised(
    config: GridConfig, sources: Mapping[str, Source], run: Path
) -> dict[tuple[str, str], Featurised]:
    found: dict[tuple[str, str], Featurised] = {}
    for name, source in sources.items():
        folder = run / "shards" / slug(source.name)
        for backbone in config.backbones:
            kind = BACKBONES[backbone].representation
            data = featurised_before(source, [kind], folder, max_atoms=config.max_atoms)
            if data is not None:
                found[name, backbone] = data
    return found


Name = tuple[str, str]  # data set, backbone
Configuration = tuple[str, int, NetworkOptions | None, Recipe]
Say = Callable[[str], None]
STAND_IN = "ionic"  # the data set to measure on if none of the grid's is here


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What is known of a grid's data and of its models.

    Attributes:
        samples: of the data sets that are here and have something left to train.
        sizes: of those that can be estimated, even if they are not here.
        costs: of an array, by configuration.
        measured_on: the data sets on which the costs were measured.
    """

    samples: Mapping[Name, Sample]
    sizes: Mapping[Name, Size]
    costs: Mapping[Configuration, Costs]
    measured_on: list[str]

    @property
    def reading(self) -> float:
        """Seconds for reading and featurising on one core."""
        return sum({task: one.seconds for (task, _), one in self.samples.items()}.values())

    def costs_of(self, array: GridArray) -> Costs:
        """Costs of arrays with the same configuration, on any data."""
        return self.costs[_configuration(array)]


def read_samples(work: Work, say: Say) -> dict[Name, Sample]:
    """Samples the data sets that are here and have something left to train.

    Raises:
        UsageError, SourceError: one cannot be read.
    """
    found: dict[Name, Sample] = {}
    backbones: tuple[str, ...] = work.config.backbones
    for task in dict.fromkeys(array.task for array in work.left if array.task in work.sources):
        say(f"reading {task}")
        folders = {name: folder for name, folder in work.featurised.items() if name[0] == task}
        if len(folders) == len(backbones):
            try:
                known = column_of(kind_of(work.targets[task]))
                found |= {
                    (task, backbone): sample.featurised(
                        folder, BACKBONES[backbone].representation.columns, known
                    )
                    for (task, backbone), folder in folders.items()
                }
                continue
            except DamagedError:
                pass  # the job would make them again from the source, which is read below
            except ShardError as error:
                raise UsageError(str(error)) from None
        target = work.targets[task]
        drawn = sample.draw(
            work.sources[task],
            backbones,
            work.config.max_atoms,
            target,
            work.config.accepted_bad,
        )
        found |= {(task, backbone): one for backbone, one in drawn.items()}
    return found


def measure_all(options: Options, work: Work, samples: Mapping[Name, Sample], say: Say) -> Survey:
    """Sizes, and the costs of every configuration that is left."""
    enough = {name: one for name, one in samples.items() if len(one.dataset) >= LEAST_CRYSTALS}
    sizes = {name: one.size for name, one in enough.items()}
    for task in work.absent.values():
        for backbone in work.config.backbones:
            sizes[task.name, backbone] = sample.absent(task, backbone, enough)
    largest: dict[Configuration, GridArray] = {}
    for array in sorted(work.left, key=lambda array: len(array.spec.mixings)):
        if (array.task, array.spec.backbone) in sizes:
            largest[_configuration(array)] = array
    on = _grounds({array.spec.backbone for array in largest.values()}, enough)
    device = "cuda" if options.worker.gpus and torch.cuda.is_available() else "cpu"
    costs: dict[Configuration, Costs] = {}
    for number, (kind, array) in enumerate(largest.items(), 1):
        say(f"measuring {kind[0]} d{kind[1]}, {number} of {len(largest)} configurations")
        name, ground = on[array.spec.backbone]
        foreign = options.tables.get(array.spec.recipe.handcrafted)
        spec = dataclasses.replace(
            array.spec,
            target=_measured(work.targets.get(name, NUMBER)),
            table=None if foreign is None else foreign.table,
        )
        costs[kind] = measuring.measure(
            spec,
            ground.dataset,
            options.worker,
            device,
            traffic=options.plan_gpus is not None,
        )
    names = list(dict.fromkeys(name for name, _ in on.values()))
    return Survey(samples=samples, sizes=sizes, costs=costs, measured_on=names)


def _measured(target: Target) -> Target:
    """The target of a measurement: a class costs what a number does, and a sample may have one."""
    return NUMBER if target.kind == "binary" else target


def _configuration(array: GridArray) -> Configuration:
    """What arrays with equal costs of an epoch on the same data have in common."""
    spec = array.spec
    recipe = dataclasses.replace(spec.recipe, lr=1.0, weight_decay=0.0, epochs=1)
    return spec.backbone, spec.dim, spec.options, recipe


def _grounds(backbones: set[str], here: Mapping[Name, Sample]) -> dict[str, tuple[str, Sample]]:
    """By backbone, the data set with the most rows, as it will take most of the time."""
    grounds = {}
    ordered = sorted(here.items(), key=lambda item: item[1].size.crystals * item[1].size.rows)
    for (task, backbone), one in ordered:
        if backbone in backbones:
            grounds[backbone] = task, one
    missing = sorted(backbones - set(grounds))
    if missing:
        drawn = sample.draw(IonicSource(), missing, max_atoms=MAX_ATOMS)
        grounds |= {backbone: (STAND_IN, one) for backbone, one in drawn.items()}
    return grounds
