"""The models of the contrastive job: their keys, their arrays, the columns of their records."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from orchestrator.contrast.flags import ContrastJobOptions
from orchestrator.training.members import OUTCOME, MembersArray
from trainables.models.recipe import Recipe
from trainables.representations.pairs import Pairs, pair_split
from trainables.targets.base import Target
from trainables.training.contrast_spec import (
    CONTRAST_VERSION,
    NETWORKS,
    ContrastMembers,
    ContrastSpec,
    Learns,
    members_of,
)

SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("key", "task", "learns", "recipe")]
    + [(name, pa.int64()) for name in ("size", "member", "seed")]
    + [("status", pa.string())]
    + [(name, pa.float64()) for name in ("val_error", "test_error", "temperature", "duplicates")]
    + OUTCOME
)
LEARNS: Mapping[Learns, str] = {"pairs": "contrast", "work_function": "regression"}
SIZES = (50, 200, 1000)  # materials that are learned from, for the learning curve
LONGEST = 10  # times the epochs of the whole, that a smaller part gets at most


@dataclass(frozen=True, kw_only=True)
class ContrastArray(MembersArray[ContrastSpec]):
    """Contrastive models, or regressions, of one number of materials.

    Attributes:
        source: name of the data set; `task` says what is learned too, as errors of both kinds of
            models are no errors of one thing.
    """

    source: str

    @property
    def data(self) -> str:
        """See `TrainingArray`."""
        return self.source

    @property
    def spec(self) -> ContrastMembers:
        """See `TrainingArray`."""
        return ContrastMembers(models=dict(self.models))

    @property
    def id(self) -> str:
        """See `TrainingArray`."""
        size = "" if self.first.size is None else f"/{self.first.size}"
        return f"{self.task}{size}"

    @property
    def kind(self) -> str:
        """See `TrainingArray`."""
        return LEARNS[self.first.learns]

    def cost(self, dataset: Pairs) -> float:
        """Edges times models times epochs, of the materials that are learned from."""
        share = min(1.0, (self.first.size or len(dataset)) / len(dataset))
        return float(dataset.data.graphs.edges * share * len(self.models) * self.epochs)

    def row(self, label: str) -> dict[str, Any]:
        """See `TrainingArray`."""
        model = self.models[label]
        return super().row(label) | {
            "learns": model.learns,
            "size": model.size,
            "member": model.member,
        }

    @staticmethod
    def describe(row: Mapping[str, Any]) -> str:
        """Formats as "contrast member 1", or "regression of 50 member 0"."""
        of = "" if row["size"] is None else f" of {row['size']}"
        return f"{LEARNS[row['learns']]}{of} member {row['member']}"


def sizes_of(options: ContrastJobOptions, pairs: Pairs) -> tuple[int, ...]:
    """The sizes of the learning curve that are smaller than the training part."""
    if not options.curve:
        return ()
    learned = len(pair_split(pairs, options.split, options.split_seed).train)
    return tuple(size for size in SIZES if size < learned)


def arrays_of(options: ContrastJobOptions, source: str, pairs: Pairs) -> list[ContrastArray]:
    """The ensembles, then those of the learning curve, which have one member each."""
    network = NETWORKS[options.recipe]
    width = options.width or network.options.width
    learned = len(pair_split(pairs, options.split, options.split_seed).train)

    def array(learns: Learns, size: int | None) -> ContrastArray:
        first = ContrastSpec(
            data=pairs.fingerprint,
            target=_target(learns, pairs),
            representation=network.representation,
            fold=0,
            seed=options.seed,
            recipe=_longer(options.in_effect(network.recipe), size, learned),
            training=CONTRAST_VERSION,
            options=dataclasses.replace(network.options, width=width),
            grid=pairs.grid,
            learns=learns,
            rule=options.split,
            split_seed=options.split_seed,
            size=size,
            mask=options.mask if learns == "pairs" else None,
            precision=64 if options.float64 else 32,
        )
        members = options.members if size is None else 1
        task = f"{source}/{LEARNS[learns]}"
        return ContrastArray(task=task, source=source, models=members_of(first, members))

    return [array(one, size) for size in (None, *sizes_of(options, pairs)) for one in LEARNS]


def _longer(recipe: Recipe, size: int | None, learned: int) -> Recipe:
    """The recipe of a part of the materials: as many steps as of all, or `LONGEST` as many epochs.

    Of few materials an epoch has few steps, so that a model would not be trained.
    """
    times = min(1.0 if size is None else learned / size, LONGEST)
    changed = {name: round(times * getattr(recipe, name)) for name in ("epochs", "patience")}
    return dataclasses.replace(recipe, **changed)


def _target(learns: Learns, pairs: Pairs) -> Target:
    if learns == "pairs":
        # no unit: the error that stands beside it is a cross-entropy
        return Target(name="profile", unit=None, kind="spectrum", shape=(pairs.grid.points,))
    return Target(name="work_function", unit="eV")
