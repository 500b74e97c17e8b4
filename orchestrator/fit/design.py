"""What is trained: a first design, and larger ones, which keep all models of the smaller."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.fit.flags import FitOptions
from orchestrator.grid.arrays import arrays
from orchestrator.grid.cells import Cell, cells
from orchestrator.grid.request import Options, build_config
from orchestrator.planning.estimate import estimate, schedule
from orchestrator.planning.machine import Machine
from orchestrator.planning.work import Survey, Work
from trainables.models.mixing import RESIDUAL

DIM = 64
COGN, MEGNET = "cogn", "megnet"
# Of parts into which a fold's training part is divided, and epochs: the first that leaves time for
# more than itself is taken. docs/results.md has the ensemble of 8 parts and 100 epochs.
FIRST = ((8, 100), (8, 60), (8, 40), (4, 40), (4, 20), (2, 20), (2, 10), (2, 5))
SHARE = 0.5  # of the time that the first design may take, its learning curve included
SEEDS = 4
# Of the training part, by which the learning curve is measured; 0 is all of it.
CURVE = (4, 2)


@dataclass(frozen=True, kw_only=True)
class Design:
    """Models of one data set.

    Attributes:
        inner_folds: parts of a fold's training part, of which each model holds back one.
        curve: sizes of training parts beside the whole one.
    """

    backbones: tuple[str, ...] = (COGN,)
    mixing: tuple[str, ...] = ("H",)
    seeds: int = 1
    inner_folds: int = 8
    epochs: int = 100
    curve: tuple[int, ...] = ()

    def options(self, asked: FitOptions) -> Options:
        """As hybrid_grid takes it."""
        overrides: dict[str, Any] = {
            "tasks": (asked.structures,),
            "folds": asked.folds,
            "backbones": self.backbones,
            "mixing": self.mixing,
            "dims": (DIM,),
            "seed": tuple(range(asked.seed, asked.seed + self.seeds)),
            "inner_folds": self.inner_folds,
            "epochs": (self.epochs,),
        }
        if self.curve:
            overrides["train_size"] = (*self.curve, 0)
        if asked.max_bad is not None:
            overrides["max_bad"] = asked.max_bad
        return Options(
            config=build_config(None, overrides),
            run=asked.run,
            data_dir=asked.data_dir,
            follow_links=asked.follow_links,
            withheld=frozenset(),
            division=None,
            tables={},
            address=asked.address,
            worker=asked.worker,
            dry_run=False,
            plan_gpus=None,
            extend=True,
            retry_failed=False,
        )

    def __str__(self) -> str:
        networks, mixings = " and ".join(self.backbones), " and ".join(self.mixing)
        seeds = "" if self.seeds == 1 else f", {self.seeds} seeds"
        return f"{networks}, {mixings}, {self.inner_folds} parts, {self.epochs} epochs{seeds}"

    @property
    def bare(self) -> Design:
        """Without its learning curve."""
        return replace(self, curve=())

    def larger(self) -> Iterator[Design]:
        """Designs that add one thing to this one, the most useful first."""
        if RESIDUAL not in self.mixing:
            yield replace(self.bare, mixing=(*self.mixing, RESIDUAL))
        if MEGNET not in self.backbones:
            yield replace(self.bare, backbones=(*self.backbones, MEGNET))
        if self.seeds < SEEDS:
            yield replace(self.bare, seeds=self.seeds + 1)


# Has all networks: costs are measured by it.
ALL = Design(backbones=(COGN, MEGNET), mixing=("H", RESIDUAL))


@dataclass(frozen=True)
class Plan:
    """Seconds that designs take on this machine.

    Attributes:
        work: of the design that has all networks.
        slower: by which factor a design took longer than was predicted.
    """

    asked: FitOptions
    work: Work
    survey: Survey
    machine: Machine
    slower: float = 1.0

    def seconds(self, design: Design, done: Design | None = None) -> float:
        """What a design takes beyond one that is done."""
        before = set() if done is None else set(self._cells(done))
        left = arrays(cell for cell in self._cells(design) if cell not in before)
        budget = self.machine.budget(self.asked.worker)
        sizes = self.survey.sizes
        parts = [
            estimate(
                array,
                self.survey.costs_of(array),
                sizes[array.task, array.spec.backbone],
                budget,
            ).seconds
            for array in left
        ]
        workers = max(1, self.machine.workers(self.asked.worker))
        return self.slower * schedule(parts, workers) if parts else 0.0

    def _cells(self, design: Design) -> list[Cell]:
        """Its models, without the names that tell arrays of one design apart."""
        config = design.options(self.asked).config
        config = config.model_copy(update={"tasks": self.work.config.tasks})
        return [replace(cell, label=_label(cell)) for cell in cells(config, self.work.targets, {})]

    def first(self, seconds: float, crystals: int) -> Design:
        """The design to begin with, of `SHARE` of the seconds if there is one."""
        learned = crystals - crystals // 5
        for parts, epochs in FIRST:
            sizes = tuple(learned // part for part in CURVE if learned // part >= 4 * parts)
            found = Design(inner_folds=parts, epochs=epochs, curve=sizes)
            if self.seconds(found) <= SHARE * seconds:
                return found
        return found.bare

    def next(self, done: Design, seconds: float) -> Design | None:
        """The first of the larger designs that takes at most so many seconds more."""
        return next((one for one in done.larger() if self.seconds(one, done) <= seconds), None)


def _label(cell: Cell) -> str:
    spec = cell.spec
    return f"seed {spec.seed}, {spec.condition.train_size} crystals"
