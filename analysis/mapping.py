"""The type of functions that distribute long computations: like `map`, in the items' order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]
