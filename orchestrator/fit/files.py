"""The files that `fit` writes: `fit_progress.json` as it goes on, `fit.json` at its end."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.ensemble import files as ensemble
from orchestrator.fit.design import Design
from orchestrator.interface.errors import UsageError
from orchestrator.runs import layout, sums
from orchestrator.runs.finished_files import FinishedFiles, read_json

PROGRESS, FACTS = layout.FIT_PROGRESS, layout.FIT


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a fit has come.

    Attributes:
        asked: what may not change: structures, folds and seed.
        first: the design that it began with.
        done: the largest one that is done; None if the first is not.
        seconds: spent on what is done.
        slower: as of `Plan`.
        curve: the learning curve, once the first design is done.
    """

    asked: dict[str, Any]
    first: Design
    done: Design | None = None
    seconds: float = 0.0
    slower: float = 1.0
    curve: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def write(self, run: Path) -> None:
        """Writes it into the run directory."""
        sums.write_json(run, PROGRESS, dataclasses.asdict(self))


def read_progress(run: Path, asked: dict[str, Any]) -> Progress | None:
    """The progress of an earlier command; None if there is none.

    Raises:
        UsageError: the folder holds another run, a fit of something else, or a damaged file.
    """
    path = run / PROGRESS
    if not path.is_file():
        if (run / layout.MANIFEST).exists():
            raise UsageError(f"--run {run}: holds a run that is no fit; name another folder")
        return None
    content = read_json(run, PROGRESS, "fit")
    try:
        done = content["done"]
        found = Progress(
            **content
            | {"first": _design(content["first"]), "done": None if done is None else _design(done)}
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: damaged ({error}); name another --run") from None
    if found.asked != json.loads(json.dumps(asked)):
        before = ", ".join(f"{name} {value}" for name, value in found.asked.items())
        raise UsageError(f"--run {run}: holds a fit of {before}; name another folder")
    return found


def _design(given: dict[str, Any]) -> Design:
    lists = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    return Design(**given | lists)


def forget(run: Path) -> None:
    """Deletes earlier results, which are of fewer models than there will be."""
    sums.remove(run, FACTS, *ensemble.FILES)


def withdraw(run: Path) -> None:
    """Deletes the progress of a fit whose data were refused: nothing is left to go on with."""
    if not (run / layout.MANIFEST).exists():
        sums.remove(run, PROGRESS)
        if not sums.read(run):
            (run / sums.FILE).unlink(missing_ok=True)


class FinishedFit(FinishedFiles):
    """The files of a fit."""

    job, facts_file = "fit", FACTS
