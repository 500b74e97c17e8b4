"""The cells of a grid, and the space that they lie in."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.grid.axes import Range, Values, tell
from orchestrator.grid.conditions import describe
from orchestrator.grid.config import AXES, GridConfig
from orchestrator.interface.errors import UsageError
from trainables.crystals.condition import Condition
from trainables.models.backbones import BACKBONES
from trainables.models.mixing import Mixing
from trainables.models.options import NetworkOptions
from trainables.models.recipe import Recipe
from trainables.targets.base import Target
from trainables.training.specification import TRAINING_VERSION, ModelSpec

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
        entry, recipe = BACKBONES[backbone], self.config.recipe_of(backbone)
        parts: dict[str, dict[str, Any]] = {"model": {}, "recipe": {}, "options": {}}
        mixing = Mixing(values["mixing"])
        for column, value in values.items():
            axis = CHOICES[column]
            if axis.applies is not None and not axis.applies(mixing):
                value = self._idle(column, recipe)
            if axis.fits(backbone):
                parts[axis.part][axis.name] = value
        return {
            **parts["model"],
            "representation": entry.representation,
            "network": entry.version,
            "recipe": dataclasses.replace(recipe, **parts["recipe"]),
            "options": _options(backbone, parts["options"]).at(values["dim"]),
        }

    def _idle(self, column: str, recipe: Recipe) -> Any:
        """The value of an axis of the recipe where it has no effect: one for all such models.

        It is one of the grid's, so that they train in an array with others.
        """
        given, own = self._given[column], getattr(recipe, CHOICES[column].name)
        return own if own in given else given[0]

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


def _options(backbone: str, given: Mapping[str, Any]) -> NetworkOptions:
    """The options of a network.

    Raises:
        UsageError: they do not go together.
    """
    try:
        return BACKBONES[backbone].options(**given)
    except ValueError as error:
        raise UsageError(f"{backbone}: {error}") from None
