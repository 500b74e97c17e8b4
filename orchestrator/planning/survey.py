"""A grid's data sets sampled, and each of its configurations measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from orchestrator.data.inputs import LEAST_CRYSTALS
from orchestrator.hybrid_grid.cells import GridArray
from orchestrator.hybrid_grid.flags import Options
from orchestrator.interface.errors import UsageError
from orchestrator.planning import measure as measuring
from orchestrator.planning import sample
from orchestrator.planning.measure import Costs
from orchestrator.planning.sample import Sample, Size
from orchestrator.planning.work import Work
from trainables.crystals.checks import MAX_ATOMS
from trainables.crystals.ionic import IonicSource
from trainables.crystals.shards import DamagedError, ShardError
from trainables.models.options import NetworkOptions
from trainables.training.recipe import Recipe

Name = tuple[str, str]  # data set, backbone
Configuration = tuple[str, int, NetworkOptions | None, Recipe]
Say = Callable[[str], None]
STAND_IN = "ionic"  # what is measured on where no data set of the grid is here


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What is known of a grid's data and of its models.

    Attributes:
        samples: of the data sets that are here and have something left to train.
        sizes: of those that can be estimated, also where they are not here.
        costs: of an array, by configuration.
        measured_on: the data sets on which the costs were measured.
    """

    samples: Mapping[Name, Sample]
    sizes: Mapping[Name, Size]
    costs: Mapping[Configuration, Costs]
    measured_on: list[str]

    @property
    def reading(self) -> float:
        """Seconds that reading and featurising take on one core."""
        return sum({task: one.seconds for (task, _), one in self.samples.items()}.values())

    def costs_of(self, array: GridArray) -> Costs:
        """Of arrays like this one, on any data."""
        return self.costs[_configuration(array)]


def read(work: Work, say: Say) -> dict[Name, Sample]:
    """Samples of the data sets that are here and have something left to train.

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
                found |= {name: sample.featurised(folder) for name, folder in folders.items()}
                continue
            except DamagedError:
                pass  # the job would make them again, from what is now read instead
            except ShardError as error:
                raise UsageError(str(error)) from None
        drawn = sample.draw(work.sources[task], backbones, work.config.max_atoms)
        found |= {(task, backbone): one for backbone, one in drawn.items()}
    return found


def measure(options: Options, work: Work, samples: Mapping[Name, Sample], say: Say) -> Survey:
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
        costs[kind] = measuring.measure(
            array.spec,
            on[array.spec.backbone][1].dataset,
            options.worker,
            device,
            traffic=options.plan_gpus is not None,
        )
    names = list(dict.fromkeys(name for name, _ in on.values()))
    return Survey(samples=samples, sizes=sizes, costs=costs, measured_on=names)


def _configuration(array: GridArray) -> Configuration:
    """What arrays have in common whose costs are the same on the same data."""
    spec = array.spec
    return spec.backbone, spec.dim, spec.options, spec.recipe


def _grounds(backbones: set[str], here: Mapping[Name, Sample]) -> dict[str, tuple[str, Sample]]:
    """By backbone, the data set with most rows, for it will take most of the time."""
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
