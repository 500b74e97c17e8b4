"""Scores of predictions as MatBench v0.1 defines them, and the true area under the ROC curve.

Dunn et al. 2020, 10.1038/s41524-020-00406-3.

The leaderboard's `rocauc` is computed from labels cut at 0.5, which makes it the balanced
accuracy; the area under the true curve, from probabilities, is `roc_auc` here.
"""

from __future__ import annotations

import numpy as np

# Relative errors of smaller targets are meaningless; the leaderboard leaves them out, as done here.
LEAST_TARGET = 1e-5
THRESHOLD = 0.5


def regression_scores(target: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """mae, rmse, mape (a share; NaN if all targets are 0) and max_error of [B] predictions."""
    error = np.abs(prediction - target)
    counted = np.abs(target) > LEAST_TARGET
    relative = error[counted] / np.abs(target[counted])
    return {
        "mae": float(error.mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "mape": float(relative.mean()) if counted.any() else float("nan"),
        "max_error": float(error.max()),
    }


def r_squared(target: np.ndarray, prediction: np.ndarray) -> float:
    """1 − Σ(target − prediction)²/Σ(target − mean)², [B] each; NaN if all targets are equal."""
    around = float(((target - target.mean()) ** 2).sum())
    missed = float(((target - prediction) ** 2).sum())
    return 1 - missed / around if around > 0 else float("nan")


def classification_scores(target: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """Scores of the probabilities [B] of class 1.

    `roc_auc` is the area under the curve, NaN if only one class is present; `rocauc_labels` is
    the leaderboard's rocauc; accuracy, balanced_accuracy and f1 are computed from labels too.
    """
    # Imported here: it takes a second, and regressions do not need it.
    from sklearn.metrics import (
        accuracy_score,
        balanced_accuracy_score,
        f1_score,
        roc_auc_score,
    )

    truth, labels = target > THRESHOLD, probability > THRESHOLD
    both = 0 < truth.sum() < len(truth)
    return {
        "roc_auc": float(roc_auc_score(truth, probability)) if both else float("nan"),
        "rocauc_labels": float(roc_auc_score(truth, labels)) if both else float("nan"),
        "accuracy": float(accuracy_score(truth, labels)),
        "balanced_accuracy": float(balanced_accuracy_score(truth, labels)) if both
        else float("nan"),
        "f1": float(f1_score(truth, labels, zero_division=0)),
    }  # fmt: skip
