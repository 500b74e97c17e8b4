"""Trains one array of CrabNets, which compare element tables fold by fold. No Ray.

Legend: F columns of a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from trainables.compositions.dataset import Compositions
from trainables.crystals.split import VALIDATION_SHARE, Split
from trainables.models.crabnet import PUBLISHED, CrabNet
from trainables.models.layers import Generators
from trainables.models.options import CrabNetOptions
from trainables.models.recipe import CyclicRecipe, Recipe, RecipeName
from trainables.training.array import ArrayTraining, Member, Trained
from trainables.training.compositions import CompositionProblem, DeviceCompositions, scaling
from trainables.training.fitted import FittedArray
from trainables.training.outcome import Outcome, not_evaluated

# Like `specification.TRAINING_VERSION`, for the models here.
TRANSFER_VERSION = 4
TEST_SHARE = 0.2  # of an official fold
# Smallest and largest batch size: as published, which fills a GPU in 500 epochs; and small, because
# on a CPU few epochs have to suffice.
BATCHES: dict[RecipeName, tuple[int, int]] = {"paper": (128, 4096), "tuned": (16, 64)}
# Validation share of the rows outside the test part: as published; and smaller, since it is only
# used to select the best epoch.
HELD: dict[RecipeName, float] = {"paper": VALIDATION_SHARE, "tuned": 0.1}

RECIPES: dict[RecipeName, Recipe] = {
    # As published, except for early stopping, which considers the average alone.
    "paper": CyclicRecipe(
        name="paper", optimiser="lamb", lr=6e-3, lowest=1e-4 / 6e-3, half=10, loss="laplace",
        epochs=500, patience=60,
    ),
    # Selected on validation parts only; docs/results.md has the comparison.
    "tuned": Recipe(
        name="tuned", optimiser="adamw", lr=3e-4, weight_decay=0.3, loss="l1",
        schedule="cosine", warmup=0.1, averaging=0.99, epochs=40, patience=40,
    ),
}  # fmt: skip


def training_rows(name: RecipeName, compositions: int) -> float:
    """Approximate number of rows of a data set from which a model learns."""
    return (1 - TEST_SHARE) * (1 - HELD[name]) * compositions


def recipe_for(name: RecipeName, compositions: int, **changes: Any) -> Recipe:
    """A recipe with its batch size: 2^round(log2 n − 4) for n training rows, within bounds.

    On few rows, absolute errors let a transformer collapse to one value for all; the Laplace loss,
    where it also predicts a scale, prevents that.
    """
    size = 2 ** round(np.log2(max(1.0, training_rows(name, compositions))) - 4)
    least, most = BATCHES[name]
    batch = int(min(max(size, least), most))
    fields: dict[str, Any] = {"batch_size": batch}
    if batch < most:
        fields["loss"] = "laplace"
    return replace(RECIPES[name], **fields | changes)


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """One model: a table, the fold that it is tested on, and a seed."""

    table: str
    fold: int
    seed: int

    @property
    def label(self) -> str:
        """Its name in its array, whose models have one seed."""
        return f"fold{self.fold}/{self.table}"


@dataclass(frozen=True, kw_only=True)
class TransferSpec:
    """One array: what its members share, and the members.

    Attributes:
        models: entrant -> key.
        trainable: whether the tables are trained too.
        options: of the network.
    """

    models: dict[Entrant, str]
    seed: int
    recipe: Recipe
    trainable: bool = False
    options: CrabNetOptions = PUBLISHED


@dataclass(frozen=True)
class TransferData:
    """A data set of formulas, and the table [118, F] of the elements H…Og of each entrant."""

    compositions: Compositions
    tables: Mapping[Entrant, np.ndarray]


class TransferFit(FittedArray):
    """CrabNets in training.

    Args:
        device: "cpu" or "cuda".
    """

    def __init__(
        self,
        spec: TransferSpec,
        data: TransferData,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.spec, self.data = spec, data
        self._entrants = {entrant.label: entrant for entrant in spec.models}
        compositions = data.compositions
        self.splits = {
            label: compositions.split(entrant.fold, spec.seed, HELD[spec.recipe.name])
            for label, entrant in self._entrants.items()
        }
        # Common random numbers: all models of a seed start from the same draws and get the same
        # batches, so that a difference between tables is due to the tables.
        initial, order = np.random.SeedSequence([spec.seed]).generate_state(2)
        # Of the whole data set: equal for all folds, whose training parts differ by a row.
        rows = training_rows(spec.recipe.name, len(compositions))
        steps = max(1, round(rows / spec.recipe.batch_size))
        self.source = DeviceCompositions(compositions, torch.device(device), dtype)
        self.training = ArrayTraining(
            [
                Member(key=key, label=entrant.label, seed=int(initial))
                for entrant, key in spec.models.items()
            ],
            self._build,
            CompositionProblem(
                self.source, list(self.splits.values()), spec.recipe, steps, int(order)
            ),
            spec.recipe,
        )

    def _build(self, generators: Generators, members: Sequence[Member]) -> nn.Module:
        entrants = [self._entrants[member.label] for member in members]
        tables = [_by_number(self.data.tables[entrant]) for entrant in entrants]
        # Independent of the present members, so that one can leave the array.
        columns = max(self.data.tables[entrant].shape[1] for entrant in self._entrants.values())
        return CrabNet(
            generators,
            tables,
            columns=columns,
            trainable=self.spec.trainable,
            options=self.spec.options,
        )

    def _evaluate(self, trained: Trained) -> Outcome:
        split = self.splits[trained.history.member.label]
        return evaluate(trained, self.source, split, self.spec.trainable)


def _by_number(table: np.ndarray) -> torch.Tensor:
    """Rows by atomic number; row 0 is unused."""
    return torch.from_numpy(np.vstack([np.zeros_like(table[:1]), table]).astype(np.float64))


def evaluate(
    trained: Trained, source: DeviceCompositions, split: Split, trainable: bool
) -> Outcome:
    """Evaluates a model with its best-validation weights; the only use of the test part."""
    outcome = not_evaluated(trained, split)
    if outcome.history.diverged:
        return outcome
    arrays = dict(outcome.arrays)
    target, classes = source.data.target, source.data.classes
    mean, scale = scaling(target[split.train], classes)
    metrics = {"val_error": outcome.history.best_error}
    if not classes:
        metrics["dummy_mae"] = _mae(target[split.test], mean)
    for part, rows in (("validation", split.validation), ("test", split.test)):
        said = source.predict(trained.model, rows)[0].double().cpu().numpy()
        value = 1 / (1 + np.exp(-said)) if classes else said * scale + mean
        arrays[f"predictions/{part}/row"], arrays[f"predictions/{part}/value"] = rows, value
        if not classes:
            metrics[f"{'val' if part == 'validation' else part}_mae"] = _mae(target[rows], value)
    if trainable:
        arrays["table"] = trained.model.state_dict()["table"][0, 1:].cpu().numpy()
    return replace(outcome, metrics=metrics, arrays=arrays)


def _mae(target: np.ndarray, value: np.ndarray | float) -> float:
    return float(np.abs(target - value).mean())
