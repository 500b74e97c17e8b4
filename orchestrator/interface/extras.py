"""What only some jobs need, and `pip install elemgrid` leaves out: the extras of pyproject.toml."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

from orchestrator.interface.errors import UsageError


@dataclass(frozen=True)
class Extra:
    """An extra of the package.

    Attributes:
        modules: what is imported of it, with the name that the user knows it by.
    """

    name: str
    modules: tuple[tuple[str, str], ...]

    def missing(self) -> list[str]:
        """The names of what is not installed."""
        return [name for module, name in self.modules if not _installed(module)]

    def demand(self, who: str) -> None:
        """Raises UsageError, which names who needs it and the remedy, unless it is installed."""
        if lost := self.missing():
            named = ", ".join(lost[:-1]) + (" and " if lost[1:] else "") + lost[-1]
            are = "is" if len(lost) == 1 else "are"
            raise UsageError(
                f"{who} needs {named}, which {are} not installed:"
                f' pip install "elemgrid[{self.name}]"'
            )


@cache
def _installed(module: str) -> bool:
    found = find_spec(module)
    return found is not None and found.origin is not None  # a mere folder of that name has none


RAY = Extra("ray", (("ray", "Ray"),))
EMBEDDINGS = Extra("analysis", (("elementembeddings", "ElementEmbeddings"),))
ANALYSIS = Extra(
    "analysis",
    (
        ("deap", "DEAP"),
        *EMBEDDINGS.modules,
        ("numba", "Numba"),
        ("optuna", "Optuna"),
    ),
)
