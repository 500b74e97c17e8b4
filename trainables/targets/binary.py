"""One of two classes a crystal, as 0 or 1."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from trainables.crystals.crystal import Crystal
from trainables.crystals.targets import read_target
from trainables.targets.base import Scaler, Target, mean_of

if TYPE_CHECKING:
    from torch import Tensor

THRESHOLD = 0.5  # of the probability, for labels


class Binary:
    """A `Kind`: the network's output is the logit of class 1, its loss the cross-entropy.

    Its error is 1 − the area under the ROC curve, which knows no threshold.
    """

    metric = "1-roc_auc"
    per_site = False

    def __init__(self, target: Target) -> None:
        self.target = target

    def parse(self, cell: str, crystal: Crystal) -> np.ndarray:
        """See `Kind`."""
        return np.array(read_target(cell))

    def scaler(self, known: np.ndarray) -> Scaler:
        """Classes are learned as they are."""
        return Scaler(mean=0.0, scale=1.0, unit=1.0)

    def loss(
        self, predicted: Tensor, true: Tensor, form: str, weight: Tensor | None = None
    ) -> Tensor:
        """[K] mean binary cross-entropy, whatever the recipe's form."""
        from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

        each = cross_entropy(predicted, true.expand_as(predicted), reduction="none")
        return mean_of(each, weight)

    def errors(self, predicted: Tensor, true: Tensor, scaler: Scaler) -> Tensor:
        """See `Kind`; NaN where an output is not finite, or only one class is present."""
        truth = true.cpu().numpy()
        # of the probabilities, as in `metrics`: of large logits, they may be equal
        said = self.value(predicted.double().cpu().numpy(), scaler)
        return predicted.new_tensor([1 - roc_auc(truth, one) for one in said])

    def value(self, outputs: np.ndarray, scaler: Scaler) -> np.ndarray:
        """The probability of class 1."""
        small = np.exp(-np.abs(outputs))  # which overflows for no logit
        return np.where(outputs >= 0, 1.0, small) / (1 + small)

    def metrics(self, predicted: np.ndarray, true: np.ndarray, scaler: Scaler) -> dict[str, float]:
        """The area under the curve of the probabilities, and scores of labels cut at 0.5."""
        truth, labels = true > THRESHOLD, predicted > THRESHOLD
        hits, alarms = int((labels & truth).sum()), int((labels & ~truth).sum())
        misses, rejected = int((~labels & truth).sum()), int((~labels & ~truth).sum())
        area = roc_auc(truth, predicted)
        return {
            self.metric: 1 - area,
            "roc_auc": area,
            "accuracy": _share(hits + rejected, len(truth)),
            "balanced_accuracy": (
                _share(hits, hits + misses) + _share(rejected, rejected + alarms)
            ) / 2,
            "f1": _share(2 * hits, 2 * hits + alarms + misses) if hits else 0.0,
        }  # fmt: skip

    def trivial(self, known: np.ndarray) -> np.ndarray:
        """The share of class 1, above one half where it is the majority."""
        return np.array(known.mean())


def roc_auc(truth: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve of scores [B], more for class 1.

    NaN if only one class is present, or a score is not finite.
    """
    from sklearn.metrics import roc_auc_score  # here: only classes need it

    if not 0 < truth.sum() < len(truth) or not np.isfinite(score).all():
        return math.nan
    return float(roc_auc_score(truth, score))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
