"""Recipes: how a backbone is optimised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from trainables.elements import handcrafted

RecipeName = Literal["paper", "tuned"]
# of the schedule "plateau"
PLATEAU_FACTOR, PLATEAU_PATIENCE, PLATEAU_STEP = 0.7, 60, 1e-4
ElementInit = Literal["normal", "zero", "uniform", "frozen"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that determines an optimisation besides data, model and seed.

    Attributes:
        optimiser: "sgd" (momentum 0.9), "adam", "adamw" or "lamb" (with look-ahead).
        lr: highest learning rate.
        weight_decay: decoupled (adamw) only.
        beta2: of adamw, decay of its average of squared gradients.
        loss: "mse" or "l1", on standardised targets; "laplace", for formulas only: the negative
            logarithm of a Laplace distribution whose scale the model predicts too.
        schedule: "constant"; "step" (× 0.1 at `milestones`); "cosine" (linear warm-up over the
            first `warmup` of the epochs, an epoch at least unless it is 0, then half a cosine to 0
            at the last); "plateau" (× 0.7
            each time the training loss has not fallen for 60 epochs, by a model's own curve).
        averaging: decay per step of an exponential moving average of the weights, which is then
            used in validation, selection and test; 0 for none.
        epochs: the largest number.
        patience: epochs without a better validation MAE after which a model stops.
        batch_size: crystals.
        element_init: how the learned vectors of the elements start: "normal", N(0, 1); "zero";
            "uniform", U(−0.05, 0.05); "frozen", N(0, 1) and not trained.
        handcrafted: name of the table that the handcrafted vectors are projected from
            (`trainables/elements/handcrafted.py`).
    """

    name: RecipeName
    optimiser: Literal["sgd", "adam", "adamw", "lamb"]
    lr: float
    weight_decay: float = 0.0
    beta2: float = 0.999
    loss: Literal["mse", "l1", "laplace"] = "mse"
    schedule: Literal["constant", "step", "cosine", "plateau"] = "constant"
    milestones: tuple[int, ...] = ()
    warmup: float = 0.05
    averaging: float = 0.0
    epochs: int = 1000
    patience: int = 500
    batch_size: int = 128
    element_init: ElementInit = "normal"
    handcrafted: str = handcrafted.CGCNN92

    def __post_init__(self) -> None:
        """Refuses values with which no model could learn.

        Raises:
            ValueError: a rate that is not above 0, a number below 1, or no table.
        """
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr {self.lr:g}: a rate is a finite number above 0")
        for name in ("epochs", "patience", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: must be at least 1")
        handcrafted.demand_name(self.handcrafted)

    def rate(self, epoch: float) -> float:
        """Factor of `lr` at an epoch, which may be fractional (schedules move every step)."""
        if self.schedule == "step":
            return 0.1 ** sum(epoch >= milestone for milestone in self.milestones)
        if self.schedule == "cosine":
            warm = max(1.0, self.warmup * self.epochs) if self.warmup else 0.0
            if epoch < warm:
                return (epoch + 1e-2) / warm
            return 0.5 * (1 + math.cos(math.pi * (epoch - warm) / max(1e-9, self.epochs - warm)))
        return 1.0

    def slowed(self, losses: Sequence[float]) -> float:
        """Factor of `lr` by the training losses of the epochs so far: 1 but for "plateau".

        As torch's ReduceLROnPlateau: an epoch counts as better if its loss is lower by 1e-4 of the
        lowest.
        """
        if self.schedule != "plateau":
            return 1.0
        lowest, waited, factor = math.inf, 0, 1.0
        for loss in losses:
            better = loss < lowest * (1 - PLATEAU_STEP)
            lowest, waited = (loss, 0) if better else (lowest, waited + 1)
            if waited > PLATEAU_PATIENCE:
                waited, factor = 0, factor * PLATEAU_FACTOR
        return factor

    def validates(self, epoch: int) -> bool:
        """Whether models are validated after an epoch."""
        return True


@dataclass(frozen=True, kw_only=True)
class CyclicRecipe(Recipe):
    """A learning rate that rises and falls linearly (Smith 2017, arXiv:1506.01186).

    Validation uses an average over the weights at the cycles' ends, where the rate is lowest.

    Attributes:
        half: epochs from the lowest rate to the highest.
        lowest: factor of `lr`.
    """

    half: int
    lowest: float

    def rate(self, epoch: float) -> float:
        """Factor of `lr` at an epoch, which may be fractional."""
        way = epoch % (2 * self.half) / self.half
        return self.lowest + (1 - self.lowest) * (way if way < 1 else 2 - way)

    def validates(self, epoch: int) -> bool:
        """True at the end of each cycle, and of the last epoch."""
        return (epoch + 1) % (2 * self.half) == 0 or epoch + 1 == self.epochs
