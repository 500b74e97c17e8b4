"""The axes of a grid: what differs between its models, each declared once.

An axis is the annotation of a field of `GridConfig` (`orchestrator/grid/config.py`). Its flag, the
parsing of its values, the product of the grid, the key of a model, the column of the ledger and the
groups of tables and report follow from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any, Literal

import pyarrow as pa
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from trainables.models.backbones import BACKBONES
from trainables.models.mixing import Mixing
from trainables.training.specification import ModelSpec

Read = Callable[[object], Any]  # one value, of any type; raises ValueError with a reason in a line
EMPTY = "is empty; give one value at least, or leave it out for the default"
DISTINCT = 900  # floats of three digits in a decade
TYPES: Mapping[type, pa.DataType] = {int: pa.int64(), float: pa.float64(), str: pa.string()}


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`: floats are drawn evenly on a logarithmic scale."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low!r}..{self.high!r}"

    @classmethod
    def parse(cls, text: str, read: Read) -> Range:
        """Parses "8..64" or "1e-4..1e-2", its ends as `read` does.

        Raises:
            ValueError: an end is wrong, or the range does not rise.
        """
        low, high = map(read, text.split("..", 1))
        if not low < high:
            raise ValueError(f"{text} is wrong, a range rises from its lower end")
        if isinstance(low, float) and low <= 0:
            raise ValueError(f"{text} is wrong, a range on a logarithmic scale begins above 0")
        return cls(low, high)

    @property
    def size(self) -> float:
        """An upper limit of the number of values that `at` gives."""
        if isinstance(self.low, int):
            return self.high - self.low + 1
        return 2 + DISTINCT * (1 + math.log10(self.high / self.low))

    def at(self, share: float) -> float:
        """The value below which a share (0 ≤ share < 1) of the range lies; of floats 3 digits."""
        if isinstance(self.low, int):
            return self.low + int(share * self.size)
        value = self.low * (self.high / self.low) ** share
        return min(max(float(f"{value:.3g}"), self.low), self.high)


Values = tuple[Any, ...]  # one value or several, or one `Range`


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis of a grid, as the annotation of its field in the configuration.

    Attributes:
        column: of the ledger; it also names the axis in a point of the grid.
        part: of a model's specification that holds the value. An axis of the recipe or of the
            network's options need not be given: then each backbone has its own value. Those of the
            condition repeat configurations too, and are never averaged over.
        field: name of the value in this part, if it is not `column`.
        kind: type of a value.
        read: parses one value.
        repeats: models that differ in it repeat one configuration and never compete.
        within_array: models that differ only in it are trained in one array.
        ranges: whether a search may draw it from a range of numbers.
        alone: a single value stands alone in the manifest, not in a list.
        choices: names offered by --help.
        applies: whether models of a mixing have such a value; all if None. One that does not apply
            is stored as another model of the grid has it, and is not shown.
    """

    column: str
    kind: type
    read: Read
    help: str
    part: Literal["model", "recipe", "options", "condition"] = "model"
    field: str = ""
    repeats: bool = False
    within_array: bool = False
    ranges: bool = False
    alone: bool = False
    choices: Iterable[str] | None = None
    metavar: str | None = None
    applies: Callable[[Mixing], bool] | None = None

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Validates and serialises the field by this axis."""
        written = core_schema.plain_serializer_function_ser_schema(self.written)
        return core_schema.no_info_plain_validator_function(self.values, serialization=written)

    @property
    def name(self) -> str:
        """Name of the value in its part of the specification."""
        return self.field or self.column

    def values(self, given: object) -> Values | None:
        """Parses the values of the axis.

        Raises:
            ValueError: a reason in one line.
        """
        if given is None and self.part != "model":
            return None
        if self.alone and not isinstance(given, list | tuple):
            given = (given,)
        if not isinstance(given, list | tuple):
            raise ValueError(f"{given!r} is wrong, it must be a list")
        if not given:
            raise ValueError(EMPTY)
        values = tuple(map(self.value, given))
        if repeated := {value for value in values if values.count(value) > 1}:
            raise ValueError(f"given twice: {', '.join(map(str, sorted(repeated)))}")
        if len(values) > 1 and any(isinstance(value, Range) for value in values):
            raise ValueError("a range stands alone, without other values")
        return values

    def value(self, given: object) -> Any:
        """Parses one value, or a range."""
        if self.ranges and isinstance(given, str) and ".." in given:
            return Range.parse(given, self.read)
        return self.read(given)

    def written(self, values: Values | None) -> Any:
        """The values as JSON."""
        if values is None:
            return None
        plain = [str(value) if isinstance(value, Range) else value for value in values]
        return plain[0] if self.alone and len(plain) == 1 else plain

    def fits(self, backbone: str) -> bool:
        """Whether models of a backbone have such a value."""
        options = BACKBONES[backbone].options
        return self.part != "options" or self.name in {field.name for field in fields(options)}

    def shown(self, model: ModelSpec) -> Any:
        """The value of a model; None where it does not apply."""
        idle = self.applies is not None and not self.applies(Mixing(model.mixing))
        return None if idle else self.of(model)

    def of(self, model: ModelSpec) -> Any:
        """The value of a model; None if its network has no such option, or has it unset."""
        part = model if self.part == "model" else getattr(model, self.part)
        return getattr(part, self.name, None)


def whole(least: int, most: float = math.inf, says: str = "") -> Read:
    """Makes a parser of whole numbers from `least` to `most`; `says` describes them in words."""

    def read(given: object) -> int:
        value = _number(given, "a valid integer")
        if not value.is_integer():
            raise ValueError(f"{given!r} is wrong, it must be a valid integer")
        if value < least:
            raise ValueError(_wrong(given, says, f"must be greater than or equal to {least}"))
        if value > most:
            raise ValueError(_wrong(given, says, f"must be less than {most + 1:.0f}"))
        return int(value)

    return read


def number(fits: Callable[[float], bool], says: str) -> Read:
    """Makes a parser of numbers for which `fits` is true; `says` describes them in words."""

    def read(given: object) -> float:
        value = _number(given, "a valid number")
        if not fits(value):
            raise ValueError(_wrong(given, says, ""))
        return value

    return read


def _number(given: object, kind: str) -> float:
    try:
        if not isinstance(given, bool) and isinstance(given, Real | str):
            return float(given)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{given!r} is wrong, it must be {kind}")


def _wrong(given: object, says: str, bound: str) -> str:
    return f"{given} is wrong, {says or f'it {bound}'}"


def named(given: object) -> str:
    """Parses a name.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(given, str):
        raise ValueError(f"{given!r} is wrong, it must be a name")
    return given


def tell(values: Mapping[str, Any]) -> str:
    """Values by axis in words, as "lr 0.001, layers 4"; None is left out."""
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)
