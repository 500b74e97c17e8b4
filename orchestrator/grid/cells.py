"""The cells of a grid, the space that they lie in, and their arrays."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from orchestrator.grid.axes import Range, Values, tell
from orchestrator.grid.conditions import describe
from orchestrator.grid.config import AXES, GridConfig
from trainables.crystals.condition import Condition, usual_sizes
from trainables.models.backbones import BACKBONES
from trainables.models.mixing import Mixing
from trainables.representations.dataset import Dataset
from trainables.targets.base import Target
from trainables.targets.kinds import kind_of
from trainables.training.specification import TRAINING_VERSION, ArraySpec, ModelSpec, Variant

Point = dict[str, Any]  # a configuration: the values of axes, by column of the ledger
REPEATS = {axis.column: axis for axis in AXES.values() if axis.repeats}
CONDITIONS = {column: axis for column, axis in REPEATS.items() if axis.part == "condition"}
CHOICES = {axis.column: axis for axis in AXES.values() if not axis.repeats}
# Those that share an array come last, so that cells of one array are consecutive.
ORDERED = sorted(CHOICES, key=lambda column: CHOICES[column].within_array)
WITHIN = [column for column in ORDERED if CHOICES[column].within_array]
USUAL = ("backbone", "dim", "mixing")  # what the id of each array and each table name


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One model of the grid, and the name of its data set, which may differ between grids.

    Attributes:
        label: its values on further axes that have several, in words.
    """

    task: str
    spec: ModelSpec
    label: str = ""

    @property
    def key(self) -> str:
        """Key of the model."""
        return self.spec.key


class Space:
    """The points of a grid or search, and the cells that train each of them.

    Args:
        config: the axes with their values.
        targets: by task.
        fingerprints: of the data sets as featurised for a backbone, by (task, backbone); a cell
            whose data set is not featurised yet has a key that no record has.
        conditions: by task; those of the configuration unless given.
    """

    def __init__(
        self,
        config: GridConfig,
        targets: Mapping[str, Target],
        fingerprints: Mapping[tuple[str, str], str],
        conditions: Mapping[str, Sequence[Condition]] | None = None,
    ) -> None:
        self.config, self._targets, self._fingerprints = config, targets, fingerprints
        given = {axis.column: getattr(config, name) for name, axis in AXES.items()}
        usual = [] if conditions else config.conditions({})
        self._conditions = conditions or dict.fromkeys(config.tasks, usual)
        repeated = [column for column in REPEATS if column not in CONDITIONS]
        self._repeats = [
            dict(zip(repeated, values, strict=True))
            for values in itertools.product(*(given[column] for column in repeated))
        ]
        self._inner = [
            {"inner_folds": config.inner_folds, "inner_fold": number}
            for number in range(config.inner_folds or 0)
        ] or [{}]
        self._given: dict[str, Values] = {
            column: given[column] for column in ORDERED if given[column] is not None
        }
        self._one = {
            column: values[0]
            for column, values in self._given.items()
            if len(values) == 1 and not isinstance(values[0], Range)
        }

    @property
    def choices(self) -> dict[str, Values]:
        """The values, or the range, of each axis on which configurations differ, by column."""
        return {
            column: values
            for column, values in self._given.items()
            if column in USUAL or column not in self._one
        }

    def points(self) -> Iterator[Point]:
        """Every combination of all values; there has to be no range."""
        choices = self.choices
        for values in itertools.product(*choices.values()):
            yield dict(zip(choices, values, strict=True))

    def draw(self, number: int) -> Point:
        """A random point, decided by its number and the first seed alone."""

        def drawn(column: str, values: Values) -> Any:
            entropy = [self.config.seed[0], number, *column.encode()]
            share = np.random.default_rng(entropy).random()
            first = values[0]
            return first.at(share) if isinstance(first, Range) else values[int(share * len(values))]

        return {column: drawn(column, values) for column, values in self.choices.items()}

    def cells(self, *points: Point) -> list[Cell]:
        """The models of some configurations.

        Each is trained on all data sets, folds, seeds, conditions and inner folds.

        A point names values by column of the ledger. An axis that it leaves out has the only value
        of the configuration, or each backbone's own; a value that a backbone has no option for is
        ignored.

        Raises:
            ValueError: a point names no axis, leaves out one with several values, or has a wrong
                value.
        """
        models = [
            (self._model(point), [name for name in point if name not in USUAL]) for point in points
        ]
        found = (
            self._cell(repeat, condition, model | inner, told)
            for repeat in self._repeats
            for condition in self._conditions[repeat["task"]]
            for model, told in models
            for inner in self._inner
        )
        return list(dict.fromkeys(found))

    def _model(self, point: Point) -> dict[str, Any]:
        """The part of a specification that a configuration decides."""
        if unknown := sorted(point.keys() - CHOICES.keys()):
            raise ValueError(f"{unknown[0]!r} is no axis; there are {', '.join(CHOICES)}")
        if several := [
            name for name in self.choices if name not in point and name not in self._one
        ]:
            raise ValueError(f"a point without {several[0]!r}, which has several values")
        given = {
            name: CHOICES[name].read(value) for name, value in point.items() if value is not None
        }
        values = self._one | given
        backbone = values["backbone"]
        if backbone not in self.config.backbones:
            raise ValueError(f"{backbone!r} is none of this run's --backbones")
        parts: dict[str, dict[str, Any]] = {"model": {}, "recipe": {}, "options": {}}
        for column, value in values.items():
            if CHOICES[column].fits(backbone):
                parts[CHOICES[column].part][CHOICES[column].name] = value
        if not Mixing(values["mixing"]).has_start:  # or one model would have several keys
            parts["recipe"].pop("element_init", None)
        if not Mixing(values["mixing"]).has_handcrafted:
            parts["recipe"].pop("handcrafted", None)
        entry, recipe = BACKBONES[backbone], self.config.recipe_of(backbone)
        return {
            **parts["model"],
            "representation": entry.representation,
            "network": entry.version,
            "recipe": dataclasses.replace(recipe, **parts["recipe"]),
            "options": entry.options(**parts["options"]).at(values["dim"]),
        }

    def _cell(
        self,
        repeat: Mapping[str, Any],
        condition: Condition,
        model: Mapping[str, Any],
        told: Iterable[str],
    ) -> Cell:
        task, seed = repeat["task"], repeat["seed"]
        spec = ModelSpec(
            data=self._fingerprints.get((task, model["backbone"]), f"{task}, not featurised"),
            target=self._targets[task],
            fold=repeat["fold"],
            seed=seed,
            training=TRAINING_VERSION,
            condition=condition,
            **model,
        )
        values = {column: CHOICES[column].of(spec) for column in told}
        if len(self.config.seed) > 1:
            values["seed"] = seed
        label = ", ".join(filter(None, (describe(condition), tell(values))))
        return Cell(task=task, spec=spec, label=label)


def cells(
    config: GridConfig,
    targets: Mapping[str, Target],
    fingerprints: Mapping[tuple[str, str], str],
) -> list[Cell]:
    """All cells of a grid, in the order in which they are printed; arguments as of `Space`."""
    space = Space(config, targets, fingerprints)
    return space.cells(*space.points())


@dataclass(frozen=True, kw_only=True)
class GridArray:
    """Cells of one task that are trained together: all that differs is their variant.

    Attributes:
        label: as of its cells.
    """

    task: str
    models: tuple[ModelSpec, ...]
    label: str = ""

    @cached_property
    def spec(self) -> ArraySpec:
        """The specification from which its training starts."""
        return ArraySpec.of(self.models)

    @property
    def id(self) -> str:
        usual = f"{self.task}/fold{self.spec.fold}/{self.spec.backbone}/d{self.spec.dim}"
        return f"{usual}/{self.label}" if self.label else usual

    @property
    def data(self) -> tuple[str, str]:
        return self.task, self.spec.backbone

    @property
    def kind(self) -> str:
        return self.spec.backbone

    @property
    def epochs(self) -> int:
        return self.spec.recipe.epochs

    @property
    def keys(self) -> Mapping[str, str]:
        return self.spec.mixings

    def only(self, labels: Collection[str]) -> GridArray:
        """The array with some of its variants."""
        models = tuple(model for model in self.models if model.variant.label in labels)
        return dataclasses.replace(self, models=models)

    def cost(self, dataset: Dataset) -> float:
        """Relative cost of the whole training, from epochs, models and the cost of an edge."""
        fixed, wide = BACKBONES[self.spec.backbone].edge_cost
        taken = sum(usual_sizes(len(dataset), self.spec.condition)) / sum(usual_sizes(len(dataset)))
        work = dataset.graphs.edges * taken * (fixed + wide * self.spec.width)
        return float(work * len(self.models) * self.epochs)

    @staticmethod
    def member(row: Mapping[str, Any]) -> str:
        """Its mixing, and the inner fold that it holds back, if any."""
        spec = json.loads(row.get("spec") or "{}")
        held = spec["inner_fold"] if spec.get("inner_folds") else None
        return Variant(mixing=str(row["mixing"]), inner_fold=held).label

    @staticmethod
    def describe(row: Mapping[str, Any]) -> str:
        """Formats as "megnet d64 -2", or "megnet d64 -2 lr 0.001" where the array has a label."""
        usual = f"{row['backbone']} d{row['dim']} {GridArray.member(row)}"
        _, _, label = row["array"].partition(f"/{row['backbone']}/d{row['dim']}/")
        return f"{usual} {label}" if label else usual

    def row(self, label: str) -> dict[str, Any]:
        """What the ledger says of a member before it is trained."""
        (model,) = (model for model in self.models if model.variant.label == label)
        return {
            "key": model.key,
            "task": self.task,
            "backbone": model.backbone,
            "dim": model.dim,
            "mixing": model.mixing,
            "fold": model.fold,
            "seed": model.seed,
            "recipe": model.recipe.name,
            "target": model.target.name,
            "unit": model.target.unit,
            "metric": kind_of(model.target).metric,
            "spec": model.text,
            "array": self.id,
        }


def arrays(cells: Iterable[Cell]) -> list[GridArray]:
    """Groups cells into arrays: those that differ only in axes within an array, or inner fold."""
    same: dict[str, Any] = {**dict.fromkeys(WITHIN, ""), "inner_fold": 0}
    groups: dict[tuple[str, str, ModelSpec], list[ModelSpec]] = {}
    for cell in cells:
        shared = dataclasses.replace(cell.spec, **same)
        groups.setdefault((cell.task, cell.label, shared), []).append(cell.spec)
    return [
        GridArray(task=task, models=tuple(models), label=label)
        for (task, label, _), models in groups.items()
    ]
